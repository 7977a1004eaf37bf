"""`finops export allocated`: what the ledger says of a month, as FOCUS split cost allocation."""

import json
import os
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import focus
from tests.conftest import Finops, fingerprint
from tests.test_house import ROOT

SEPTEMBER = "--from", "2024-09-01", "--to", "2024-10-01"
PERIOD = "--period", "2024-09"
NAME = "focus-1.4_allocated_2024-09.parquet"


def test_the_months_charges_are_written_part_by_part(ran: Path, finops: Finops) -> None:
    done = finops("export", "allocated", *PERIOD)
    assert (done.code, done.err) == (0, "")
    path = ran / "exports" / NAME
    rows = pl.read_parquet(path)
    head = json.loads(finops("ledger", "head", "--json").out)
    assert f"Checkpoint: size {head['size']}, root {head['root']}" in done.out
    assert set(rows["x_LedgerCheckpoint"]) == {f"{head['size']} {head['root']}"}
    split = rows.filter(pl.col("AllocatedMethodId") == "finops:split")
    assert f"{len(rows):,} rows, {split['x_ChargeId'].n_unique()} charges are split" in done.out
    assert set(split["AllocatedResourceId"]) == {
        f"cost_center/{center}" for center in ("ai", "vision", "web")
    }
    assert set(split["x_AllocationRule"]) == {"network"}
    assert finops("focus", "check", path).code == 0


def test_the_row_that_the_docs_show_is_in_the_file(ran: Path, finops: Finops) -> None:
    page = (ROOT / "docs" / "focus-files.md").read_text(encoding="utf-8")
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    finops("export", "allocated", *PERIOD)
    rows = pl.read_parquet(ran / "exports" / NAME)
    assert shown in rows.select(list(shown)).to_dicts()


def test_the_parts_add_up_to_the_charges_in_every_currency_and_measure(
    ran: Path, finops: Finops
) -> None:
    autumn = "--from", "2024-08-01", "--to", "2024-12-01"
    finops("export", "focus", *autumn, "--focus-version", "1.4")
    told = json.loads(finops("export", "allocated", *PERIOD, "--json").out)
    (whole,) = (ran / "exports").glob("focus-1.4_2024*")
    parts = pl.read_parquet(told["path"])
    billed_in = pl.col("BillingPeriodStart").dt.to_string("%Y-%m")
    charges = pl.read_parquet(whole).filter(billed_in == "2024-09")
    added_up = [*focus.COSTS, "PricingQuantity", "ConsumedQuantity", "PricingCurrencyEffectiveCost"]
    sums = parts.group_by("x_ChargeId").agg(pl.col(added_up).sum()).sort("x_ChargeId")
    assert len(charges) < len(parts) == told["rows"]
    assert told["parts"] == len(parts) - len(charges) + told["split_charges"]
    assert sums.equals(
        charges.select("x_ChargeId", pl.col(added_up).fill_null(0)).sort("x_ChargeId")
    )
    for currency, costs in told["sums"].items():
        mine = charges.filter(BillingCurrency=currency)
        assert {cost: Decimal(costs[cost]) for cost in costs} == {
            cost: mine[cost].sum() for cost in focus.COSTS
        }


def test_each_cost_center_has_in_the_file_what_it_has_in_the_ledger(
    ran: Path, finops: Finops
) -> None:
    told = json.loads(finops("export", "allocated", *PERIOD, "--json").out)
    rows = pl.read_parquet(told["path"])
    for entry, center, billed in (
        rows.sort("x_LedgerEntry").head(3).select("x_LedgerEntry", "x_CostCenter", "BilledCost")
    ).iter_rows():
        traced = json.loads(finops("trace", entry, "--json").out)["entry"]
        assert (traced["cost_center"], Decimal(traced["billed_cost"])) == (center, billed)


@pytest.mark.parametrize(("version", "columns", "allocated"), [("1.2", 57, 0), ("1.3", 65, 5)])
def test_an_older_version_has_the_columns_it_knew(
    version: str, columns: int, allocated: int, ran: Path, finops: Finops
) -> None:
    told = json.loads(
        finops("export", "allocated", *PERIOD, "--focus-version", version, "--json").out
    )
    names = pl.read_parquet(told["path"]).columns
    assert len([name for name in names if not name.startswith("x_")]) == columns
    assert len([name for name in names if name.startswith("Allocated")]) == allocated
    assert {column.name for column in focus.ALLOCATED} <= set(names)
    assert told["split_charges"] > 0, "a charge is split in every version"
    assert Path(told["path"]).parent == ran / "exports"


def test_the_same_ledger_gives_the_same_bytes(ran: Path, finops: Finops) -> None:
    finops("export", "allocated", *PERIOD, "--out", "a")
    finops("export", "allocated", *PERIOD, "--out", "b")
    assert (ran / "a" / NAME).read_bytes() == (ran / "b" / NAME).read_bytes()


def test_a_bill_that_was_not_attributed_yet_is_refused_and_the_old_file_stays(
    ran: Path, finops: Finops
) -> None:
    finops("export", "allocated", *PERIOD)
    before = (ran / "exports" / NAME).read_bytes()
    bill = ran / "bills" / "september.csv"
    header, first, *rest = bill.read_text(encoding="utf-8").splitlines(keepends=True)
    bill.write_text("".join([header, *rest]), encoding="utf-8")
    finops("ingest", *SEPTEMBER, "bill")
    refused = finops("export", "allocated", *PERIOD)
    assert (refused.code, first != "") == (1, True)
    assert "no longer in the warehouse" in refused.err
    assert "run `finops attribute`" in refused.err
    assert (ran / "exports" / NAME).read_bytes() == before
    assert finops("attribute", *SEPTEMBER).code == 0
    assert finops("export", "allocated", *PERIOD).code == 0
    assert (ran / "exports" / NAME).read_bytes() != before


def test_charges_that_the_ledger_does_not_have_are_refused(acme: Path, finops: Finops) -> None:
    finops("ingest", *SEPTEMBER, "bill")
    empty = finops("export", "allocated", *PERIOD)
    assert (empty.code, empty.out) == (1, "")
    assert "the ledger is empty; `finops run" in empty.err
    finops("attribute", "--from", "2024-09-01", "--to", "2024-09-02")
    bill = acme / "bills" / "september.csv"
    header, *lines = bill.read_text(encoding="utf-8").splitlines(keepends=True)
    bill.write_text("".join([header, *lines, lines[0]]), encoding="utf-8")
    finops("ingest", *SEPTEMBER, "bill")
    refused = finops("export", "allocated", *PERIOD)
    assert refused.code == 1
    assert "1 charges are not in the ledger yet" in refused.err
    assert not (acme / "exports").exists() or not list((acme / "exports").iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--period", "2024-13"), 2, "is not a month"),
        (("--period", "September"), 2, "write it as YYYY-MM"),
        (("--period", "2031-01"), 1, "the ledger has nothing of 2031-01"),
        ((*PERIOD, "--focus-version", "1.1"), 2, "write one of 1.2, 1.3, 1.4"),
        ((*PERIOD, "--source", "bil"), 2, "there are some of: bill"),
        ((*PERIOD, "--out", "finops.toml"), 1, "finops.toml"),
    ],
)
def test_what_cannot_be_exported(
    arguments: tuple[str, ...], code: int, said: str, ran: Path, finops: Finops
) -> None:
    before = fingerprint(ran)
    done = finops("export", "allocated", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "should not happen" not in done.err
    assert fingerprint(ran) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the root user may write everywhere")
def test_a_folder_that_may_not_be_written_to(ran: Path, finops: Finops) -> None:
    (ran / "exports").mkdir(mode=0o500)
    done = finops("export", "allocated", *PERIOD)
    assert done.code == 1
    assert "exports" in done.err
