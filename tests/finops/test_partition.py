from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import partition
from finops.errors import ConfigError
from finops.partition import Partition, Window

DAYS = st.dates(date(2001, 1, 1), date(2099, 12, 31))
NAMES = st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True)


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026-13", "2026-00", "26-10", "2026-10-01", "2026-1", "1969-12", "2200-01"],
)
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as YYYY-MM, such as 2026-10"):
        partition.parse_period(text)


@pytest.mark.parametrize("period", ["0000-01", "9999-12"])
def test_a_year_that_no_bill_has(period: str) -> None:
    with pytest.raises(ConfigError, match="is not a month of 1970 to 2199"):
        Window.of_period(period)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "01.10.2026", "2026-10"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as YYYY-MM-DD, such as 2026-10-01"):
        partition.parse_day(text)


@given(DAYS, st.integers(-1000, 0))
def test_a_window_without_days_is_refused(start: date, days: int) -> None:
    with pytest.raises(ConfigError, match="it must be later than the start"):
        Window(start, start + timedelta(days=days))


@given(DAYS, st.integers(1, 400))
def test_a_window_holds_its_start_and_not_its_end(start: date, length: int) -> None:
    window = Window(start, start + timedelta(days=length))
    days = list(window.days())
    assert len(days) == length
    assert days[0] == start
    assert window.end not in days
    assert window.periods() == tuple(sorted({f"{day:%Y-%m}" for day in days}))


@given(DAYS)
def test_a_month_is_the_window_of_all_its_days(day: date) -> None:
    window = Window.of_period(partition.period_of(day))
    assert window.start <= day < window.end
    assert window.periods() == (partition.period_of(day),)
    assert window.start.day == window.end.day == 1


def test_a_window_is_utc() -> None:
    window = Window.of_period("2026-10")
    assert window.start_at == datetime(2026, 10, 1, tzinfo=UTC)
    assert window.end_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert str(window) == "2026-10-01..2026-11-01"


@given(NAMES, NAMES, DAYS, DAYS)
def test_a_key_names_one_partition(provider: str, source: str, month: date, day: date) -> None:
    one = Partition(provider, source, partition.period_of(month), day)
    assert Partition.from_key(one.key("charges")) == one


@pytest.mark.parametrize(
    "key",
    ["", "raw/ab", "charges/provider=a/source=b/period=2026-10/part.parquet", "ingests/x.json"],
)
def test_other_keys_are_no_partition(key: str) -> None:
    assert Partition.from_key(key) is None


@pytest.mark.parametrize(
    ("period", "day", "touches"),
    [
        ("2026-10", date(2026, 10, 31), True),
        ("2026-11", date(2026, 10, 31), True),
        ("2026-10", date(2026, 9, 30), True),
        ("2026-11", date(2026, 11, 1), False),
        ("2026-09", date(2026, 9, 30), False),
    ],
)
def test_a_partition_touches_by_day_or_by_billing_month(
    period: str,
    day: date,
    touches: bool,  # noqa: FBT001 - a table's column
) -> None:
    october = Window.of_period("2026-10")
    assert Partition("aws", "main", period, day).touches(october) is touches
