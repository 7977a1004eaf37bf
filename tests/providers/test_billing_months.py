"""Rows of another billing period than their export's month, as Azure and AWS may deliver them."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import charges, tabular, whole_rows
from finops.charges import Bill, Ingested
from finops.errors import DataError, Severity
from finops.normalize import canonical
from finops.partition import Window
from finops.raw import RawObject, RawStore
from finops.warehouse.local import LocalWarehouse
from providers import billing_months
from providers.azure import Azure, AzureSettings
from tests.stubs import aws_export
from tests.stubs.aws_export import Export
from tests.stubs.azure_export import EXPORT, FOCUS, ROWS, Delivered, write

PART = "part_0_0001.csv"
BILLED = Decimal("37644.365")
RAW = RawObject("0" * 64, 1, "bill.csv")
MOVED = "x_DeliveredBillingPeriodStart"


def bill(*rows: tuple[str | None, str]) -> Bill:
    """Make a bill of rows of 1 USD, each with its billing period's start and its charge day."""
    return Bill(
        RAW,
        pl.LazyFrame(
            {
                "BilledCost": ["1"] * len(rows),
                "BillingCurrency": ["USD"] * len(rows),
                "BillingPeriodStart": [start for start, _ in rows],
                "BillingPeriodEnd": ["2026-12-01T00:00:00Z"] * len(rows),
                "ChargeCategory": ["Usage"] * len(rows),
                "ChargePeriodStart": [day for _, day in rows],
                "ChargePeriodEnd": [day for _, day in rows],
            },
            schema_overrides={"BillingPeriodStart": pl.String},
        ),
    )


@pytest.mark.parametrize(
    ("months", "start", "day", "stands_in"),
    [
        ("2026-10", "2026-10-01T00:00:00Z", "2026-10-05", None),
        # A late charge of an earlier day is the later month's, as it is delivered.
        ("2026-10", "2026-10-01T00:00:00Z", "2026-09-30", None),
        ("2026-10", "2026-10-16T00:00:00Z", "2026-10-20", None),
        ("2026-10", "2026-09-16T00:00:00Z", "2026-10-05", "2026-10"),
        ("2026-10", "2026-09-01T00:00:00Z", "2026-09-30", "2026-10"),
        ("2026-10", "2026-11-01T00:00:00Z", "2026-10-31", "2026-10"),
        ("2026-10", None, "2026-10-05", None),
        ("2026-10", None, "2026-09-30", "2026-10"),
        # The same rows in an export of several months stand where an export of one puts them.
        ("2026-09 2026-10", "2026-09-16T00:00:00Z", "2026-09-20", None),
        ("2026-09 2026-10", "2026-09-16T00:00:00Z", "2026-10-05", "2026-10"),
        ("2026-09 2026-10", "2026-09-01T00:00:00Z", "2026-10-05", None),
        ("2026-09 2026-10", "2026-08-16T00:00:00Z", "2026-09-05", "2026-09"),
        ("2026-09 2026-10", "2026-08-16T00:00:00Z", "2026-08-31", "2026-09"),
        ("2026-09 2026-10", "2026-10-16T00:00:00Z", "2026-11-03", None),
        ("2026-09 2026-10", "2026-11-16T00:00:00Z", "2026-11-17", "2026-10"),
    ],
)
def test_the_month_in_which_a_row_stands(
    months: str, start: str | None, day: str, stands_in: str | None
) -> None:
    placed = billing_months.placed(bill((start, day)), months.split())
    row = placed.rows.collect().row(0, named=True)
    if stands_in is None:
        assert row == bill((start, day)).rows.collect().row(0, named=True)
        assert placed.issues == ()
        return
    month = Window.of_period(stands_in)
    assert row["BillingPeriodStart"] == f"{month.start}T00:00:00Z"
    assert row["BillingPeriodEnd"] == f"{month.end}T00:00:00Z"
    assert row[MOVED] == start
    assert row["x_DeliveredBillingPeriodEnd"] == "2026-12-01T00:00:00Z"
    (issue,) = placed.issues
    assert issue.severity is Severity.WARNING
    assert "1 row worth 1 USD of another billing period stand" in issue.message


@pytest.mark.parametrize("start", ["soon", "0001-01-01T00:00:00Z"])
def test_what_is_no_time_of_a_bill_is_left_to_the_checks(start: str) -> None:
    given = bill((start, "2026-09-30"))
    assert billing_months.placed(given, ["2026-10"]) == given


@pytest.mark.parametrize(
    "dtype",
    [pl.Datetime("us", "UTC"), pl.Datetime("ms"), pl.Datetime("ns", "America/New_York"), pl.Date()],
)
def test_times_keep_their_type(dtype: pl.DataType) -> None:
    times = [datetime(2026, 9, 16, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)]
    given = bill((None, "2026-10-02"), (None, "2026-10-02"))
    typed = pl.Series("BillingPeriodStart", times, pl.Datetime("us", "UTC"))
    column = (
        typed.dt.convert_time_zone(dtype.time_zone).cast(dtype)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone
        else typed.dt.replace_time_zone(None).cast(dtype)
    )
    rows = given.rows.with_columns(column)
    placed = billing_months.placed(Bill(RAW, rows), ["2026-10"]).rows
    assert placed.collect_schema()["BillingPeriodStart"] == dtype
    october = datetime(2026, 10, 1, tzinfo=UTC)
    assert canonical(placed, "x").collect()["BillingPeriodStart"].to_list() == [october, october]
    assert placed.collect()[MOVED].to_list() == ["2026-09-16T00:00:00Z", None]


def test_rows_of_months_told_elsewhere_go_by_the_month_they_stand_in() -> None:
    given = bill(
        ("2026-09-16T00:00:00Z", "2026-09-20"),
        ("2026-09-16T00:00:00Z", "2026-10-05"),
        ("2026-10-16T00:00:00Z", "2026-10-20"),
        ("never", "2026-10-20"),
    )
    rows = billing_months.placed(given, ["2026-09", "2026-10"], ["2026-10"]).rows.collect()
    assert rows.select("~row", "BillingPeriodStart").rows() == [
        (0, "2026-09-16T00:00:00Z"),
        (3, "never"),
    ]


def mid_month(start: str, rows: slice, day: str = "2026-10-02") -> bytes:
    """Write the Azure fixture's charges of `day`, some of them billed from `start` on."""
    frame = pl.read_csv(io.BytesIO(FOCUS), infer_schema=False)
    chosen = pl.Series(range(len(frame))).is_in(list(range(len(frame)))[rows])
    period = {"BillingPeriodStart": f"{start}T00:00:00Z", "BillingPeriodEnd": None}
    changed = (
        pl.when(chosen).then(pl.lit(value, pl.String)).otherwise(pl.col(name)).alias(name)
        for name, value in period.items()
    )
    start_day = pl.lit(f"{day}T00:00:00Z").alias("ChargePeriodStart")
    return frame.with_columns(*changed, start_day).write_csv().encode()


def ingested(base: Path, months: Sequence[str]) -> Ingested:
    warehouse = LocalWarehouse(base / "warehouse")
    store = RawStore(warehouse)
    provider = Azure("az", AzureSettings(export=EXPORT), base)
    window = Window(Window.of_period(months[0]).start, Window.of_period(months[-1]).end)
    delivery = provider.fetch(window, store)
    return charges.write(provider.charges(delivery, store.path), delivery, warehouse)


def stored(base: Path) -> dict[str, Decimal]:
    warehouse = LocalWarehouse(base / "warehouse")
    sums: dict[str, Decimal] = {}
    for each in charges.partitions(warehouse):
        amounts = charges.billed(charges.read(warehouse, each).collect())
        sums[each.period] = sums.get(each.period, Decimal(0)) + amounts.get("EUR", Decimal(0))
    return sums


def test_half_a_month_billed_from_the_16th_is_taken_whole(tmp_path: Path) -> None:
    write(tmp_path, Delivered({PART: mid_month("2026-09-16", slice(0, 7))}))
    taken = ingested(tmp_path, ["2026-10"])
    assert (taken.rows, taken.outside_rows, taken.billed) == (ROWS, 0, {"EUR": BILLED})
    assert stored(tmp_path) == {"2026-10": BILLED}
    (issue,) = [issue for issue in taken.issues if "another billing period" in issue.message]
    assert issue.severity is Severity.WARNING
    assert "7 rows worth 39112.765 EUR" in issue.message


def test_a_later_month_wipes_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    september = Delivered(
        {PART: mid_month("2026-09-16", slice(None), "2026-09-20")},
        "sep",
        "20260901-20260930",
        "2026-10-06T04:00:00Z",
    )
    october = Delivered({PART: mid_month("2026-09-16", slice(0, 7))}, "oct")
    write(tmp_path, september, october)
    ingested(tmp_path, ["2026-09"])
    ingested(tmp_path, ["2026-10"])
    assert stored(tmp_path) == {"2026-09": BILLED, "2026-10": BILLED}
    ingested(tmp_path, ["2026-09"])
    assert stored(tmp_path) == {"2026-09": BILLED, "2026-10": BILLED}


def test_a_month_billed_from_the_16th_counts_once_when_two_runs_hold_it(tmp_path: Path) -> None:
    october = mid_month("2026-09-16", slice(0, 7))
    september = mid_month("2026-09-16", slice(None), "2026-09-20")
    both = september + b"".join(october.splitlines(keepends=True)[1:])
    write(
        tmp_path,
        Delivered({PART: both}, "both", "20260901-20261031", "2026-11-05T04:00:00Z"),
        Delivered({PART: october}, "later", "20261001-20261031", "2026-11-06T04:00:00Z"),
    )
    taken = ingested(tmp_path, ["2026-09", "2026-10"])
    assert stored(tmp_path) == {"2026-09": BILLED, "2026-10": BILLED}
    assert taken.billed == {"EUR": 2 * BILLED}


def test_rows_of_another_period_in_a_data_export_of_aws(
    export: Export, store: RawStore, tmp_path: Path
) -> None:
    lines = aws_export.FOCUS.splitlines(keepends=True)
    moved = b"".join(lines[1:4]).replace(b"2026-10-01T", b"2026-09-01T")
    export.deliver({"f.csv": lines[0] + moved + b"".join(lines[4:])})
    provider = export.provider()
    delivery = provider.fetch(aws_export.OCTOBER, store)
    warehouse = LocalWarehouse(tmp_path / "bills")
    taken = charges.write(provider.charges(delivery, store.path), delivery, warehouse)
    assert (taken.billed, taken.outside_rows) == ({"USD": Decimal("74.5288")}, 0)
    assert {each.period for each in taken.partitions} == {"2026-10"}
    (issue,) = [issue for issue in taken.issues if "another billing period" in issue.message]
    assert "3 rows worth 55.5288 USD" in issue.message
    assert "month of their export (2026-10)" in issue.message


def test_a_cut_file_is_refused_in_words(tmp_path: Path) -> None:
    body = io.BytesIO()
    rows = mid_month("2026-09-16", slice(0, 7))
    pl.read_csv(rows, infer_schema=False).write_parquet(body)
    path = tmp_path / "cut.parquet"
    bill = body.getvalue()
    footer = int.from_bytes(bill[-8:-4], "little") + 8
    path.write_bytes(b"PAR1" + bytes(len(bill) - footer - 4) + bill[-footer:])
    with pytest.raises(DataError, match="cannot be read to its end"):
        billing_months.placed(Bill(RAW, pl.scan_parquet(path)), ["2026-10"])


def test_an_empty_month_beside_a_filled_one(tmp_path: Path) -> None:
    header = FOCUS.splitlines(keepends=True)[0]
    write(
        tmp_path,
        Delivered({PART: FOCUS}, "oct"),
        Delivered({PART: header}, "nov", "20261101-20261130", "2026-12-02T04:00:00Z"),
    )
    taken = ingested(tmp_path, ["2026-10", "2026-11"])
    assert taken.billed == {"EUR": BILLED}
    assert {each.period for each in taken.partitions} == {"2026-10"}
    assert stored(tmp_path) == {"2026-10": BILLED}


@pytest.mark.parametrize("start", ["2026-10-01T00:00:00Z", "2026-09-01T00:00:00Z"])
def test_a_big_file_is_looked_at_in_parts(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_rows, "_PART_BYTES", 1000)
    day = "2026-10-05T00:00:00Z"
    rows = bill(*[("2026-10-01T00:00:00Z", day)] * 100, (start, day)).rows.collect()
    path = tmp_path / "bill.csv"
    rows.write_csv(path)
    (table,) = tabular.tables(path, "bill")
    assert table.parts is not None
    big = Bill(RAW, table.rows, parts=table.parts)
    found = billing_months.placed(big, ["2026-10"])
    expected = billing_months.placed(Bill(RAW, rows.lazy()), ["2026-10"])
    assert found.issues == expected.issues
    assert found.rows.collect().equals(expected.rows.collect())
    assert found.parts is table.parts
