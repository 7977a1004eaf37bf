"""What others say of our split cost allocation: the official validator, and a check of FOCUS 1.4."""

import subprocess
from pathlib import Path

import polars as pl
import pytest

from finops import focus_split_export
from finops.raw import Scope
from tests.finops.company import Company, deliver
from tests.outside import environment
from tests.outside.test_focus_validator import DEFECTS, FIXTURES, found_outside

pytestmark = pytest.mark.slow

RULES = """
cost_centers.a = { type = "team", name = "Team A" }
cost_centers.b = { type = "team", name = "Team B" }
cost_centers.c = { type = "team", name = "Team C" }
splits.even = { method = "even", among = ["a", "b", "c"] }

[[rules]]
id = "storage"
match = { ServiceCategory = "Storage" }
cost_center = "a"

[[rules]]
id = "rest"
match = { BillingCurrency = true }
split = "even"
"""


def exported(folder: Path, version: str) -> Path:
    company = Company.of(folder / "company", RULES)
    faithful = (FIXTURES / "faithful.csv").read_bytes()
    deliver(company.warehouse, faithful, Scope(frozenset({"2026-10"})))
    company.post()
    return focus_split_export.write(
        company.warehouse,
        company.ledger,
        company.organization,
        "2026-10",
        version,
        folder / "exports",
    ).path


def test_the_validator_finds_nothing_but_its_own_defects(tmp_path: Path) -> None:
    path = exported(tmp_path, "1.2")
    assert pl.read_parquet(path)["x_ChargeId"].is_duplicated().any()
    assert set(found_outside(path)) <= set(DEFECTS["faithful"])


def test_the_toolkit_finds_nothing_in_focus_1_4(tmp_path: Path) -> None:
    assert validated(exported(tmp_path, "1.4")) == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":1.5}]}'),
        ("AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":"0.5"}]}'),
        ("AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":0.5,"Share":1}]}'),
        ("AllocatedTags", '{"a":{"b":1}}'),
    ],
)
def test_the_toolkit_would_have_said_so(column: str, value: str, tmp_path: Path) -> None:
    path = exported(tmp_path, "1.4")
    pl.read_parquet(path).with_columns(pl.lit(value).alias(column)).write_parquet(path)
    assert validated(path) != 0


def validated(path: Path) -> int:
    command = [str(environment.toolkit()), "validate", "--dataset", "cost-and-usage", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    print(ran.stdout, ran.stderr)  # noqa: T201 - what it found, where the test fails
    return ran.returncode
