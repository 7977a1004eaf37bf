from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import batches, checks, normalize
from finops.partition import Window
from finops.raw import Scope
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import completed, csv, deliver, kept_charges

UNKNOWN = {"p9.48xlarge": 3, "g9.xlarge": 1}


def lifted(text: str) -> pl.DataFrame:
    return normalize.canonical(completed(text).lazy(), "bill").collect()


def test_what_cannot_be_read_is_named_by_row_column_and_value(docstring: str) -> None:
    """
    BilledCost,ChargePeriodStart,x_GpuCount
    1,2026-10-03,8
    NaN,yesterday,8.5
    """
    said = [str(issue) for issue in batches.unreadable(lifted(docstring), "bill")]
    assert sorted(said) == [
        (
            "bill: row 2: BilledCost: 'NaN' is no finite number of at most 20 digits before the "
            "point; correct it at the source"
        ),
        (
            "bill: row 2: ChargePeriodStart: 'yesterday' is no time; write it as "
            "2026-10-01T00:00:00Z; correct it at the source"
        ),
        "bill: row 2: x_GpuCount: '8.5' is no whole number; correct it at the source",
    ]


def test_only_the_first_of_many_are_named() -> None:
    assert len(list(batches.unreadable(lifted("BilledCost\n" + "x\n" * 99), "bill"))) == 5


def test_what_was_rounded_away_is_counted_by_currency(docstring: str) -> None:
    """
    BilledCost,BillingCurrency
    0.1234567890123456789,USD
    0.0000000000000000002,USD
    -0.0000000000000000004,EUR
    5e-19,
    0.123456789012345678,JPY
    """
    lost = batches.rounding(lifted(docstring))
    assert {currency: amount for currency, amount in lost.items() if amount} == {
        "USD": Decimal("1e-19"),
        "EUR": Decimal("-4e-19"),
        "XXX": Decimal("5e-19"),
    }


@pytest.mark.parametrize(
    ("charged", "billed", "period", "day"),
    [
        ("2026-10-03T23:59:59Z", "2026-10-01", "2026-10", date(2026, 10, 3)),
        ("2026-10-04T01:00:00+02:00", "2026-10-01", "2026-10", date(2026, 10, 3)),
        ("2026-10-31", "2026-11-01", "2026-11", date(2026, 10, 31)),
        ("", "2026-10-01", "2026-10", date(2026, 10, 1)),
        ("2026-10-03", "", "2026-10", date(2026, 10, 3)),
        ("2026-10-20", "2026-10-15", "2026-10", date(2026, 10, 20)),
    ],
)
def test_where_a_row_belongs(charged: str, billed: str, period: str, day: date) -> None:
    rows = lifted(f"ChargePeriodStart,BillingPeriodStart\n{charged},{billed}")
    assert batches.located(rows).select(batches.PERIOD, batches.DAY).row(0) == (period, day)


@pytest.mark.parametrize("provider", ["aws", "focus"])
def test_unknown_gpu_machines_are_counted_by_type(provider: str, docstring: str) -> None:
    """
    BilledCost,ResourceId,x_InstanceType,x_GpuModel
    1,i-1,p9.48xlarge,
    1,i-1,p9.48xlarge,
    1,i-2,p9.48xlarge,
    1,i-3,g9.xlarge,
    1,i-4,p5.48xlarge,H100
    1,i-5,m7i.large,
    1,i-6,,
    """
    _, words = batches.apart(lifted(docstring))
    findings = batches.uncataloged(batches.tidied(words)[0], provider)
    counted = {f"x_InstanceType: {name} {checks.UNCATALOGED}": n for name, n in UNKNOWN.items()}
    assert findings == (counted if provider == "aws" else {})


def test_bills_without_instance_types_have_no_unknown_ones() -> None:
    _, words = batches.apart(lifted("BilledCost\n1"))
    assert batches.uncataloged(words, "runpod") == {}


OCTOBER_3 = Window(date(2026, 10, 3), date(2026, 10, 4))


@given(
    st.sampled_from(["2026-09", "2026-10", "2026-11"]),
    st.dates(date(2026, 9, 1), date(2026, 11, 30)),
)
def test_rows_are_in_scope_as_their_partitions_are(period: str, day: date) -> None:
    row = pl.DataFrame({batches.PERIOD: [period], batches.DAY: [day]})
    for scope in (
        Scope(),
        Scope(days=OCTOBER_3),
        Scope(frozenset({"2026-10"})),
        Scope(frozenset({"2026-11"}), OCTOBER_3),
    ):
        assert row.select(batches.in_scope(scope)).item() == scope.includes(period, day)


def ids(warehouse: LocalWarehouse, text: str) -> list[str]:
    deliver(warehouse, csv(text))
    return kept_charges(warehouse).sort("x_RawRow").get_column("x_ChargeId").to_list()


def test_identical_rows_have_distinct_ids_that_stay(warehouse: LocalWarehouse) -> None:
    same = "ResourceId,BilledCost\ni-1,1.5\ni-1,1.5\ni-2,1.5\ni-1,1.50\n"
    first = ids(warehouse, same)
    assert first[1:] == [f"{first[0]}-1", first[2], f"{first[0]}-2"]
    assert ids(warehouse, same) == first
    assert set(ids(warehouse, "ResourceId,BilledCost\ni-1,1.5\ni-1,1.5\n")) < set(first)


@pytest.mark.parametrize(
    "change",
    [
        "ResourceId,BilledCost,Tags\ni-1,1.5000000000000001,{}",
        "ResourceId,BilledCost,Tags\ni-2,1.5,{}",
        'ResourceId,BilledCost,Tags\ni-1,1.5,"{""a"":""b""}"',
        "ResourceId,BilledCost,Tags,ChargePeriodStart\ni-1,1.5,{},2026-10-03T00:00:00.000001Z",
        "ResourceId,BilledCost,Tags,x_Own\ni-1,1.5,{},a",
        "ResourceId,BilledCost,Tags,SkuId\ni-1,1.5,{},s",
        "ResourceName,BilledCost,Tags\ni-1,1.5,{}",
    ],
)
def test_another_content_has_another_id(change: str, warehouse: LocalWarehouse) -> None:
    before = ids(warehouse, "ResourceId,BilledCost,Tags\ni-1,1.5,{}")
    assert ids(warehouse, change) != before


@pytest.mark.parametrize(
    "same",
    [
        "BilledCost,ResourceId\n1.50,i-1",
        "ResourceId,BilledCost,SkuId\ni-1,1.5,",
        "ResourceId,BilledCost,x_Own\ni-1,1.5,",
        "ResourceId,BilledCost,x_InstanceType\ni-1,1.5,",
        "ResourceId,BilledCost,ChargeCategory\ni-1,15e-1,usage",
        "ResourceId,BilledCost,ChargePeriodStart\ni-1,1.5,2026-10-03T02:00:00+02:00",
    ],
)
def test_the_same_content_written_differently_has_the_same_id(
    same: str, warehouse: LocalWarehouse
) -> None:
    before = ids(warehouse, "ResourceId,BilledCost\ni-1,1.5")
    assert ids(warehouse, same) == before
