"""What many tests share: an installation to run commands in, and the demo company."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["DO_NOT_TRACK"] = "1"

from finops.cli import main, terminal

# The profile of `make test`: its examples are enough to find what is grossly wrong.
settings.register_profile("quick", max_examples=20)

BILL = Path(__file__).parent / "fixtures" / "focus" / "september.csv"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Finops = Callable[..., Ran]


@pytest.fixture
def finops(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Finops:
    """Run the command line in this process, as `finops ARGUMENT…`."""

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["finops", *map(str, arguments)])
        monkeypatch.setattr(terminal.output, "width", 140)
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capfd.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def acme(tmp_path: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an installation with one FOCUS source, three cost centers and four rules."""
    folder = installed(tmp_path / "acme", finops)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep what the first run makes, for every test that begins after one."""
    return tmp_path_factory.mktemp("first-run") / "acme"


@pytest.fixture
def ran(first_run: Path, tmp_path: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the same installation after `finops run` for September 2024."""
    if not first_run.exists():
        monkeypatch.chdir(installed(first_run, finops))
        assert finops("run", "--from", "2024-09-01", "--to", "2024-10-01").code == 0
    folder = tmp_path / "acme"
    shutil.copytree(first_run, folder)
    monkeypatch.chdir(folder)
    return folder


def installed(folder: Path, finops: Finops) -> Path:
    """Make the same installation in any folder."""
    assert finops("init", folder).code == 0
    bill = folder / "bills" / "september.csv"
    bill.parent.mkdir()
    bill.write_bytes(BILL.read_bytes())
    with (folder / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[sources.bill]\nprovider = "focus"\npath = "bills/september.csv"\n')
    (folder / "organization.toml").write_text(ORGANIZATION, encoding="utf-8")
    return folder


ORGANIZATION = """
[cost_centers.ai]
type = "business_unit"
name = "AI"
budget = { amount = 100 }

[cost_centers.vision]
type = "team"
name = "Vision"
parent = "ai"
budget = { amount = 40 }

[cost_centers.web]
type = "team"
name = "Web"

[[rules]]
id = "team-tag"
match = { Tags.team = true }
cost_center_from = "Tags.team"

[[rules]]
id = "storage"
match = { ServiceCategory = "Storage" }
cost_center = "web"

[[rules]]
id = "network"
match = { ServiceCategory = ["Networking", "Integration"] }
split = "shared"

[[rules]]
id = "oracle"
match = { ServiceProviderName = { regex = "Ora.*" } }
cost_center = "ai"

[splits.shared]
method = "fixed"
shares = { ai = 0.3, vision = 0.3, web = 0.4 }
"""


def fingerprint(folder: Path) -> dict[str, str]:
    """Digest every file below `folder`."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
