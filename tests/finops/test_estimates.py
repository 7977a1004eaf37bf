"""Reported work cut into hours with a price, exactly."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from finops import money
from finops.estimates import hourly, rows_of

NOON = datetime(2026, 10, 3, 12, tzinfo=UTC)
LONG_AGO = date(2026, 1, 1)


def work(start: datetime, end: datetime, **more: object) -> dict[str, object]:
    return {
        "workload_id": "w-1",
        "name": "train",
        "started_at": start,
        "ended_at": end,
        "is_running": True,
        "resource_id": "pod-1",
        "gpu_model": None,
        "gpu_count": Decimal(2),
        "tags": '{"team": "vision"}',
        "attributes": '{"cost_per_hour": "2.5", "currency": "USD", "provider": "RunPod"}',
        **more,
    }


def test_work_is_cut_at_full_hours_and_at_both_ends() -> None:
    start = datetime(2026, 9, 30, 23, 30, tzinfo=UTC)
    found = hourly([work(start, NOON)], date(2026, 9, 30), datetime(2026, 10, 1, 1, 6, tzinfo=UTC))
    assert found["ended_at"].to_list() == [
        datetime(2026, 10, 1, tzinfo=UTC),
        datetime(2026, 10, 1, 1, tzinfo=UTC),
        datetime(2026, 10, 1, 1, 6, tzinfo=UTC),
    ]
    assert found["cost"].to_list() == [Decimal("1.25"), Decimal("2.5"), Decimal("0.25")]
    assert found["provider"].unique().to_list() == ["runpod"]
    cut = hourly([work(start, NOON)], date(2026, 10, 3), NOON)
    assert cut["started_at"].min() == datetime(2026, 10, 3, tzinfo=UTC)


def test_what_has_no_price_or_no_provider_is_not_guessed() -> None:
    begun = NOON - timedelta(hours=1)
    rows = [
        work(begun, NOON, attributes=None),
        work(begun, NOON, attributes='{"cost_per_hour": "2.5"}'),
        work(begun, NOON, attributes='{"provider": "runpod"}'),
        work(NOON, NOON + timedelta(hours=1)),
    ]
    assert hourly(rows, LONG_AGO, NOON).is_empty()
    assert hourly([], LONG_AGO, NOON).is_empty()
    assert rows_of(hourly([], LONG_AGO, NOON)).is_empty()


@given(
    rate=st.decimals(0, 10**6, places=6),
    seconds=st.integers(1, 40 * 3600),
    offset=st.integers(0, 86_400_000_000),
)
def test_hours_add_up_to_price_times_time(rate: Decimal, seconds: int, offset: int) -> None:
    start = NOON - timedelta(days=2) + timedelta(microseconds=offset)
    attributes = f'{{"cost_per_hour": "{rate}", "provider": "runpod"}}'
    rows = [work(start, start + timedelta(seconds=seconds), attributes=attributes)]
    found = hourly(rows, LONG_AGO, NOON + timedelta(days=9))
    whole = money.CONTEXT.divide(money.CONTEXT.multiply(rate, Decimal(seconds)), Decimal(3600))
    assert abs(money.total(found, "cost") - whole) <= money.QUANTUM * len(found)
    lasts = [end - begun for begun, end in found.select("started_at", "ended_at").iter_rows()]
    assert sum(lasts, timedelta()) == timedelta(seconds=seconds)
    assert all(last <= timedelta(hours=1) for last in lasts)


def test_an_hour_becomes_a_charge_that_says_it_is_an_estimate() -> None:
    hours = hourly([work(NOON - timedelta(minutes=90), NOON)], LONG_AGO, NOON)
    row = rows_of(hours).row(1, named=True)
    assert row["x_CostSource"] == "estimate"
    assert row["x_Provisional"] is True
    assert (row["BilledCost"], row["EffectiveCost"]) == (Decimal("2.5"), Decimal("2.5"))
    assert (row["ConsumedQuantity"], row["x_GpuHours"]) == (Decimal(1), Decimal(2))
    assert row["ServiceProviderName"] == "RunPod"
    assert row["BillingPeriodStart"] == datetime(2026, 10, 1, tzinfo=UTC)
    assert row["BillingPeriodEnd"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert row["x_WorkloadId"] == "w-1"
