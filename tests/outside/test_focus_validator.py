"""The official validator on our exports: it may only find what it gets wrong, or what we say too."""

import json
import subprocess
import tomllib
from pathlib import Path

import polars as pl
import pytest

from finops import conformance, focus_export, focus_requirements, tabular
from finops.cli import demonstration
from finops.installation import Installation
from finops.partition import Window
from finops.raw import Scope
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import deliver
from tests.outside import environment

FIXTURES = environment.ROOT / "tests" / "fixtures" / "focus"
DEFECTS = tomllib.loads((FIXTURES / "validator_defects.toml").read_text(encoding="utf-8"))
AUTUMN = Window.of_period("2026-09"), Window.of_period("2026-10")
COUNTED_BY_NAME = {"ServiceName-C-005-C", "SkuPriceId-C-008-M"}
"""Rules whose broken names the validator counts, where we count rows."""

pytestmark = pytest.mark.slow


def found_outside(path: Path) -> dict[str, int]:
    """Run the validator; return the broken rows of each rule that failed."""
    script = Path(environment.__file__).parent / "validate.py"
    ran = subprocess.run(
        [environment.interpreter(), script, path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return {str(rule): int(rows) for rule, rows in json.loads(ran.stdout).items()}


def found_here(path: Path) -> dict[str, int]:
    """Run our own check; return the broken rows of each of the model's rules."""
    found = conformance.check(tabular.scan(path, path.name), path.name)
    return {
        rule: result.broken or 0
        for result in found.results
        for rule in focus_requirements.rules_of(result.requirement.id)
    }


def faithful_export(folder: Path) -> Path:
    warehouse = LocalWarehouse(folder / "warehouse")
    deliver(warehouse, (FIXTURES / "faithful.csv").read_bytes(), Scope(frozenset({"2026-10"})))
    days = Window(AUTUMN[0].start, AUTUMN[1].end)
    return focus_export.write(warehouse, days, "1.2", folder / "exports").path


def test_of_a_faithful_bill_it_finds_nothing_but_its_own_defects(tmp_path: Path) -> None:
    assert set(found_outside(faithful_export(tmp_path))) == set(DEFECTS["faithful"])


def test_it_has_defects_that_show_where_columns_are_empty(tmp_path: Path) -> None:
    bare = tmp_path / "bare.parquet"
    rows = pl.read_parquet(faithful_export(tmp_path))
    nothing = pl.lit(None, pl.String)
    rows.with_columns(InvoiceId=nothing, ServiceSubcategory=nothing).write_parquet(bare)
    right = {"ServiceSubcategory-C-002-M"}
    instead = set(DEFECTS["faithful"]) - {"InvoiceId-C-004-C"} | set(DEFECTS["without"])
    assert set(found_outside(bare)) == right | instead


def test_what_it_finds_in_the_demo_company_so_do_we_to_the_row(tmp_path: Path) -> None:
    demonstration.run(tmp_path / "demo")
    warehouse = Installation.open(tmp_path / "demo").warehouse
    done = focus_export.write(warehouse, AUTUMN[1], "1.2", tmp_path / "exports")
    defects = {*DEFECTS["faithful"], *DEFECTS["without"]}
    outside = {rule: rows for rule, rows in found_outside(done.path).items() if rule not in defects}
    here = found_here(done.path)
    assert set(outside) <= {rule for rule, rows in here.items() if rows}
    counted = outside.keys() - COUNTED_BY_NAME
    assert {rule: here[rule] for rule in counted} == {rule: outside[rule] for rule in counted}


def test_a_mutant_is_found_by_both(tmp_path: Path) -> None:
    good = faithful_export(tmp_path)
    bad = tmp_path / "bad.parquet"
    pl.read_parquet(good).with_columns(
        RegionName=None, ConsumedUnit=None, SubAccountName=pl.lit("research")
    ).write_parquet(bad)
    expected = {"RegionName-C-005-C", "ConsumedUnit-C-006-C", "SubAccountName-C-004-C"}
    outside, here = found_outside(bad), found_here(bad)
    assert set(outside) - set(DEFECTS["faithful"]) == expected
    assert {rule for rule, rows in here.items() if rows} == expected
    assert {rule: outside[rule] for rule in expected} == {rule: here[rule] for rule in expected}


def test_our_list_of_requirements_is_quoted_from_its_model() -> None:
    environment.interpreter()
    (path,) = environment.HOME.glob("lib/*/site-packages/focus_validator/rules/model-1.2*.json")
    model = json.loads(path.read_text(encoding="utf-8"))["ModelRules"]
    criteria = {rule: facts["ValidationCriteria"] for rule, facts in model.items()}
    for quoted in focus_requirements.quoted():
        assert criteria[quoted.rule]["MustSatisfy"] == quoted.sentence
        assert criteria[quoted.rule]["Keyword"] == quoted.keyword
