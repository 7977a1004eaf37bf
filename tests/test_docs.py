"""The documentation tells the truth: its commands run, its output is real, its links lead on."""

import importlib.util
import re
import shlex
import tomllib
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from finops import organization
from tests.conftest import Finops
from tests.test_house import ROOT, tracked

PAGES = sorted(path for path in tracked("*.md") if "data" not in path.parts)
_FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#]+)")
DEMO_SECONDS_MOST = 60
_VARYING = re.compile(r"^Time .*$", re.MULTILINE)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), body)
        for path in PAGES
        for found, body in _FENCE.findall(path.read_text(encoding="utf-8"))
        if found == language
    ]


def script(name: str) -> ModuleType:
    """Load a script of the docs folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def refresh() -> ModuleType:
    return script("refresh")


def test_the_readmes_help_is_the_commands_help(refresh: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert refresh.block(readme, "help") == refresh.said("--help")


def test_the_readmes_demo_is_what_the_demo_prints(refresh: ModuleType) -> None:
    shown = refresh.block((ROOT / "README.md").read_text(encoding="utf-8"), "demo")
    assert "Root" in shown
    said = refresh.demo_output()
    assert _VARYING.sub("", shown) == _VARYING.sub("", said)
    took = re.search(r"^Time +([0-9.]+) s$", said, re.MULTILINE)
    assert took is not None
    assert float(took[1]) < DEMO_SECONDS_MOST


def test_the_conformance_page_is_what_the_checks_say() -> None:
    conformance = script("conformance")
    assert conformance.PAGE.read_text(encoding="utf-8") == conformance.page()


def test_every_gap_of_the_demo_bills_has_a_reason_and_every_reason_a_gap() -> None:
    conformance = script("conformance")
    found = {
        source: {
            result.requirement.column for bill in bills for result in bill.results if result.broken
        }
        for source, bills in conformance.demo().items()
    }
    reasons = tomllib.loads(conformance.GAPS.read_text(encoding="utf-8"))
    assert {source: set(columns) for source, columns in reasons.items()} == {
        source: columns for source, columns in found.items() if columns
    }


@pytest.mark.parametrize(("page", "body"), blocks("sh"))
def test_every_command_runs_as_written(
    page: str, body: str, acme: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finops("run", "--from", "2024-09-01", "--to", "2024-10-01").code == 0
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in body.strip().splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        elif words:
            assert words[0] == "finops", f"{page}: {line}"
            assert finops(*words[1:]).code == 0, f"{page}: {line}"


@pytest.mark.parametrize(("page", "body"), blocks("toml"))
def test_every_toml_example_is_valid(page: str, body: str) -> None:
    table = tomllib.loads(body)
    assert table, f"{page}: an example that says nothing"
    if "cost_centers" in table:
        organization.parse(body, table)


def test_the_rules_in_the_docs_are_an_organization() -> None:
    text = "\n".join(body for page, body in blocks("toml") if page == "docs/analyst.md")
    made = organization.parse(text, tomllib.loads(text, parse_float=Decimal))
    assert len(made.rules) == 3


def test_the_rules_page_is_an_organization_with_its_lists(tmp_path: Path) -> None:
    text = "\n".join(body for page, body in blocks("toml") if page == "docs/rules.md")
    (tmp_path / "accounts.csv").write_text("account,owner\n111,web\n", encoding="utf-8")
    (tmp_path / "organization.toml").write_text(text, encoding="utf-8")
    made = organization.load(tmp_path / "organization.toml")
    assert [rule.id for rule in made.rules] == [
        *("training", "web-accounts", "app-tag", "sandboxes", "maps-until-summer", "maps"),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
