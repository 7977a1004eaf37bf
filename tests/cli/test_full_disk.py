"""A disk that is full, at every stage of a run: said plainly, and nothing of it is half-written.

The disk is a small tmpfs in a mount namespace of its own, so that it is as real as it is private.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.cli.test_run import SEPTEMBER, billed
from tests.conftest import BILL, Finops

PRIVATE = ["unshare", "--map-root-user", "--mount"]
DRIVER = r"""
import contextlib, io, json, os, shutil, subprocess, sys
from pathlib import Path

_, root, size, free, *arguments = sys.argv
sys.path.insert(0, root)
from tests.conftest import fingerprint
from finops.cli import main

disk, kept = Path("disk"), Path("kept")
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", "disk"], check=True)
shutil.copytree(kept, disk / "warehouse")


def run(*arguments):
    sys.argv = ["finops", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


before = fingerprint(disk)
ballast = disk / "ballast"
room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
ballast.write_bytes(bytes(max(room - int(free), 0)))
told = run(*arguments)
ballast.unlink()
told |= {"before": before, "after": fingerprint(disk), "again": run(*arguments)}
told["coverage"] = run("coverage", "--json")
told["verify"] = run("ledger", "verify")
sys.stdout.write(json.dumps(told))
"""


@pytest.fixture
def small_disk(acme: Path, finops: Finops) -> Path:
    """Fill a warehouse, restate the bill, and lay out what goes on the small disk."""
    can_mount = (
        shutil.which("unshare")
        and not subprocess.run(
            [*PRIVATE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False, capture_output=True
        ).returncode
    )
    if not can_mount:
        pytest.skip("needs unshare, and the right to mount a tmpfs in a namespace of one's own")
    assert finops("run", *SEPTEMBER).code == 0
    text = BILL.read_text(encoding="utf-8").replace("Elastic", "Elastic 2")
    (acme / "bills" / "september.csv").write_text(text, encoding="utf-8")
    (acme / "warehouse").rename(acme / "kept")
    (acme / "disk").mkdir()
    settings = acme / "finops.toml"
    settings.write_text(settings.read_text().replace("./warehouse", "./disk/warehouse"))
    return acme


def crowded(folder: Path, free_kib: int, *command: str) -> dict[str, Any]:
    """Run a command on a disk that has `free_kib` left, and again with plenty."""
    root = str(Path(__file__).parents[2])
    arguments = [root, "64m", str(free_kib * 1024), *command]
    done = subprocess.run(
        [*PRIVATE, sys.executable, "-c", DRIVER, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def slowly(free_kib: int) -> ParameterSet:
    return pytest.param(free_kib, marks=pytest.mark.slow)


def demand_completed(told: dict[str, Any]) -> None:
    assert told["again"]["code"] == 0, told["again"]["err"]
    (only,) = json.loads(told["coverage"]["out"])
    assert only["billed"] == f"{billed().normalize():f}"
    assert told["verify"]["code"] == 0


@pytest.mark.parametrize("free_kib", [190, *(slowly(size) for size in (0, 400, 650))])
def test_a_bill_that_does_not_fit_leaves_everything_as_it_was(
    small_disk: Path, free_kib: int
) -> None:
    told = crowded(small_disk, free_kib, "run", *SEPTEMBER)
    assert told["code"] == 1
    assert "Traceback" not in told["err"]
    assert "No space left on device; " in told["err"]
    assert "nothing was changed" in told["err"]
    assert told["after"] == told["before"]
    demand_completed(told)


@pytest.mark.parametrize("free_kib", [40, *(slowly(size) for size in (0, 260, 275))])
def test_entries_that_do_not_fit_leave_the_ledger_as_it_was(
    small_disk: Path, free_kib: int
) -> None:
    organization = small_disk / "organization.toml"
    text = organization.read_text(encoding="utf-8")
    organization.write_text(text.replace("ai = 0.3, vision = 0.3", "ai = 0.2, vision = 0.4"))
    told = crowded(small_disk, free_kib, "attribute", *SEPTEMBER)
    assert told["code"] == 1
    assert "Traceback" not in told["err"]
    assert "space" in told["err"]
    for table in ("ledger", "charges", "raw"):
        held = [
            {key: digest for key, digest in told[when].items() if f"/{table}/" in f"/{key}"}
            for when in ("before", "after")
        ]
        assert held[0] == held[1] != {}
    demand_completed(told)
