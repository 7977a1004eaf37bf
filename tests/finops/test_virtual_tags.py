from pathlib import Path

import polars as pl
import pytest

from finops import charges, coverage, focus_export, quarantine, virtual_tags
from tests.finops.company import OCTOBER, Company

RULES = """
    cost_centers.ml = { type = "team", name = "ML" }

    [[virtual_tags.env]]
    value = "prod"
    match = { SubAccountId = "1" }
    valid_to = 2026-10-03

    [[virtual_tags.env]]
    value_from = "Tags.env"

    [[virtual_tags."owner é"]]
    value = "us"
    match = { source = "acme", VirtualTags.env = "prod" }

    [[rules]]
    id = "one"
    match = { SubAccountId = "1" }
    cost_center = "ml"
"""
BILL = """
    SubAccountId,Tags,ChargePeriodStart,BilledCost
    1,"{""env"":""dev""}",2026-10-02T00:00:00Z,1
    1,"{""env"":""dev""}",2026-10-03T00:00:00Z,10
    2,,2026-10-03T00:00:00Z,100
"""


@pytest.fixture
def billed(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    return company


def exported(company: Company, *, with_organization: bool = True) -> pl.DataFrame:
    done = focus_export.write(
        company.warehouse,
        OCTOBER,
        "1.2",
        company.root / "out",
        organization=company.organization if with_organization else None,
    )
    return pl.read_parquet(done.path, glob=False).sort("BilledCost")


def test_an_export_shows_the_virtual_tags_of_each_day(billed: Company) -> None:
    shown = exported(billed)
    assert shown.get_column("x_VirtualTags").to_list() == [
        '{"env":"prod","owner é":"us"}',
        '{"env":"dev"}',
        None,
    ]
    assert shown.drop("x_VirtualTags").equals(exported(billed, with_organization=False))


def test_without_virtual_tags_an_export_has_no_column_for_them(tmp_path: Path) -> None:
    company = Company.of(tmp_path / "company", "cost_centers.a = { type = 'team', name = 'A' }")
    company.deliver(BILL)
    assert "x_VirtualTags" not in exported(company).columns


@pytest.mark.parametrize(
    ("column", "sums"),
    [
        ("VirtualTags.env", {"prod": 1, "dev": 10, "not stated": 100}),
        ("Tags.env", {"dev": 11, "not stated": 100}),
        ("SubAccountId", {"1": 11, "2": 100}),
        ("source", {"acme": 111}),
    ],
)
def test_the_ledger_can_be_told_apart_by_what_its_charges_hold(
    column: str, sums: dict[str, int], billed: Company
) -> None:
    billed.post()
    assert told_apart(billed, column) == sums


def told_apart(company: Company, column: str) -> dict[str, int]:
    entries = company.ledger.entries()
    held = virtual_tags.with_dimension(company.warehouse, entries, company.organization, column)
    aside = pl.DataFrame(schema=quarantine.PARTS_SCHEMA)
    lines = coverage.lines(held, aside, pl.col(virtual_tags.DIMENSION), None)
    return {line.name: int(line.share.billed) for line in lines}


def test_a_restated_charge_and_its_reversal_take_each_other_back(billed: Company) -> None:
    billed.post()
    billed.deliver(BILL.replace(",100\n", ",50\n"))
    billed.post()
    assert len(billed.entries()) == 5
    assert told_apart(billed, "SubAccountId") == {"1": 11, "2": 50, "not stated": 0}


def test_rows_keep_their_order(billed: Company) -> None:
    (_, partition) = charges.partitions(billed.warehouse)
    rows = charges.read(billed.warehouse, partition).collect()
    shown = virtual_tags.tagged(rows, billed.organization, partition)
    assert shown.drop(virtual_tags.COLUMN).equals(rows)
