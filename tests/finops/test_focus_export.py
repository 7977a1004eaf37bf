import hashlib
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from finops import focus, focus_export, money
from finops.charges import Bill, write
from finops.errors import ConfigError, ExportError
from finops.partition import Window
from finops.raw import Delivery, RawStore, Scope
from finops.warehouse.local import LocalWarehouse
from tests.conftest import BILL
from tests.finops.company import OCTOBER, WHOLE_OCTOBER, completed, csv, deliver, kept_charges

FAITHFUL = (BILL.parent / "faithful.csv").read_bytes()
AUTUMN = Window(date(2026, 9, 1), date(2026, 11, 1))


def exported(
    warehouse: LocalWarehouse, version: str = "1.2", window: Window = AUTUMN
) -> pl.DataFrame:
    done = focus_export.write(warehouse, window, version, warehouse.root.parent / "out")
    return pl.read_parquet(done.path)


def export_of(text: str, warehouse: LocalWarehouse, version: str = "1.2") -> pl.DataFrame:
    deliver(warehouse, csv(text))
    return exported(warehouse, version, OCTOBER)


@pytest.mark.parametrize(
    ("version", "columns", "has_provider"),
    [("1.2", 57, True), ("1.3", 65, True), ("1.4", 65, False)],
)
def test_a_version_has_its_columns_and_ours_behind_them(
    warehouse: LocalWarehouse,
    version: str,
    columns: int,
    has_provider: bool,  # noqa: FBT001
) -> None:
    deliver(warehouse, FAITHFUL)
    rows = exported(warehouse, version)
    theirs = [name for name in rows.columns if not name.startswith("x_")]
    assert len(theirs) == columns
    assert theirs == sorted(theirs) == rows.columns[:columns]
    assert ("ProviderName" in theirs) is ("PublisherName" in theirs) is has_provider
    assert ("x_ProviderName" in rows.columns) is not has_provider
    assert {"x_GpuModel", "x_ChargeId", "x_RawId", "x_RawRow"} <= set(rows.columns)
    known = focus.SCHEMA | dict.fromkeys(("ProviderName", "PublisherName"), pl.String())
    assert rows.schema == {name: known[name] for name in rows.columns}


def test_every_reader_sees_plain_types(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, FAITHFUL)
    done = focus_export.write(warehouse, AUTUMN, "1.2", warehouse.root.parent / "out")
    schema = pq.read_schema(done.path)
    assert str(schema.field("BillingAccountId").type) == "string"
    assert str(schema.field("Tags").type) == "string"
    assert str(schema.field("BilledCost").type) == "decimal128(38, 18)"
    assert str(schema.field("ChargePeriodStart").type) == "timestamp[us, tz=UTC]"
    assert schema.metadata is None


def test_what_a_faithful_bill_said_is_what_the_export_says(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, FAITHFUL)
    told = pl.read_csv(FAITHFUL, infer_schema=False)
    back = exported(warehouse).sort("x_RawRow").select(told.columns)
    for name in told.columns:
        if focus.BY_NAME.get(name, focus.BY_NAME["SkuId"]).dtype == money.DTYPE:
            assert back.get_column(name).equals(told.get_column(name).cast(money.DTYPE)), name
        elif back.schema[name] == pl.String:
            assert back.get_column(name).equals(told.get_column(name)), name


def test_sums_are_those_of_the_warehouse_in_every_currency(warehouse: LocalWarehouse) -> None:
    text = (
        "BilledCost,EffectiveCost,BillingCurrency\n0.1,0.2,USD\n0.000000000000000001,,USD\n-5,1,EUR"
    )
    deliver(warehouse, csv(text))
    done = focus_export.write(warehouse, OCTOBER, "1.2", warehouse.root.parent / "out")
    assert done.rows == 3
    assert done.sums["USD"]["BilledCost"] == Decimal("0.100000000000000001")
    assert done.sums["USD"]["EffectiveCost"] == Decimal("0.2")
    assert done.sums["EUR"]["BilledCost"] == Decimal(-5)


def test_days_are_half_open(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("ChargePeriodStart\n2026-10-02\n2026-10-03\n2026-10-04"))
    rows = exported(warehouse, window=Window(date(2026, 10, 2), date(2026, 10, 4)))
    assert rows.get_column("ChargePeriodStart").dt.day().to_list() == [2, 3]


def test_sources_can_be_chosen(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("BilledCost\n1"))
    store = RawStore(warehouse)
    other = store.keep(csv("BilledCost\n2"), "other")
    delivery = Delivery("focus", "other", WHOLE_OCTOBER, (other,))
    write([Bill(other, completed("BilledCost\n2").lazy())], delivery, warehouse)
    out = warehouse.root.parent / "out"
    assert focus_export.write(warehouse, OCTOBER, "1.2", out).rows == 2
    one = focus_export.write(warehouse, OCTOBER, "1.2", out, ["other"])
    assert one.sums["USD"]["BilledCost"] == 2
    assert one.path.name == "focus-1.2_2026-10-01_2026-11-01_other.parquet"
    with pytest.raises(
        ConfigError, match="no charges of source azur; there are some of: acme, other"
    ):
        focus_export.write(warehouse, OCTOBER, "1.2", out, ["azur"])


def test_rows_in_quarantine_are_told_not_exported(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("BilledCost,BillingCurrency\n1,USD\n2,usd\n3,"))
    done = focus_export.write(warehouse, OCTOBER, "1.2", warehouse.root.parent / "out")
    assert (done.rows, done.quarantined_rows) == (1, 2)
    assert done.quarantined == {"usd": 2, "XXX": 3}


@pytest.mark.parametrize("version", ["1.1", "1.5", "", "2"])
def test_a_version_that_is_not_written(warehouse: LocalWarehouse, version: str) -> None:
    with pytest.raises(ConfigError, match=r"write one of 1\.2, 1\.3, 1\.4"):
        exported(warehouse, version)


def test_days_without_charges(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, FAITHFUL)
    with pytest.raises(ExportError, match="there are no charges from 2025-10-01 to 2025-10-02"):
        exported(warehouse, window=Window(date(2025, 10, 1), date(2025, 10, 2)))
    assert not (warehouse.root.parent / "out").exists()


def test_the_provider_is_who_sells(docstring: str, warehouse: LocalWarehouse) -> None:
    """
    ProviderName,PublisherName,ServiceProviderName,HostProviderName
    AWS,Datadog,Datadog,AWS
    ,,Databricks,AWS
    """
    rows = export_of(docstring, warehouse)
    assert rows.select("ProviderName", "PublisherName").rows() == [
        ("AWS", "Datadog"),
        ("Databricks", "Databricks"),
    ]


PRICED = """
    PricingCurrency,BillingCurrency,EffectiveCost,ListUnitPrice,PricingCurrencyEffectiveCost
    ,EUR,2,3,
    EUR,EUR,2,3,
    USD,EUR,2,3,
    USD,EUR,2,3,2.2
"""


def test_prices_in_another_currency_are_never_made_up(warehouse: LocalWarehouse) -> None:
    rows = export_of(PRICED, warehouse)
    named = rows.select(
        "PricingCurrency",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
        "PricingCurrencyContractedUnitPrice",
    )
    assert named.rows() == [
        ("EUR", 2, 3, None),
        ("EUR", 2, 3, None),
        ("USD", None, None, None),
        ("USD", Decimal("2.2"), None, None),
    ]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ONE_THREAD = """
import sys
from datetime import date
from pathlib import Path
from finops import focus_export
from finops.partition import Window
from finops.warehouse.local import LocalWarehouse
window = Window(date(2024, 9, 1), date(2024, 10, 1))
focus_export.write(LocalWarehouse(Path(sys.argv[1])), window, "1.2", Path(sys.argv[2]))
"""


def test_the_same_charges_give_the_same_bytes(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    deliver(warehouse, BILL.read_bytes(), Scope(frozenset({"2024-09"})))
    september = Window(date(2024, 9, 1), date(2024, 10, 1))
    done = focus_export.write(warehouse, september, "1.2", tmp_path / "a")
    subprocess.run(
        [sys.executable, "-c", ONE_THREAD, warehouse.root, tmp_path / "b"],
        check=True,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
    )
    assert digest(done.path) == digest(tmp_path / "b" / done.path.name)


def test_an_older_export_stays_until_the_new_one_is_whole(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, FAITHFUL)
    out = warehouse.root.parent / "out"
    done = focus_export.write(warehouse, AUTUMN, "1.2", out)
    before = digest(done.path)
    damaged = next(warehouse.root.glob("charges/**/part.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(
        ExportError, match=r"^charges/provider=focus/.* bring these charges in again"
    ):
        focus_export.write(warehouse, AUTUMN, "1.2", out)
    assert digest(done.path) == before
    assert [path.name for path in out.iterdir()] == [done.path.name]


def test_an_export_is_a_bill_again(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    deliver(warehouse, FAITHFUL)
    done = focus_export.write(warehouse, AUTUMN, "1.2", tmp_path / "out")
    other = LocalWarehouse(tmp_path / "other")
    again = deliver(other, done.path.read_bytes())
    assert (again.rows, again.quarantined_rows) == (11, 0)
    same = ["BilledCost", "ServiceProviderName", "x_PublisherName", "Tags", "ChargePeriodStart"]
    assert kept_charges(other).select(same).equals(kept_charges(warehouse).select(same))


def test_progress_counts_every_row(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, FAITHFUL)
    seen: list[int] = []
    focus_export.write(
        warehouse, AUTUMN, "1.2", warehouse.root.parent / "out", progress=seen.append
    )
    assert sum(seen) == 11
