"""Charts: shapes stay in their box and stand for the money."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from finops.statement import CurrencyStatement, DayLine
from reports import charts
from tests.reports.company import statement


def block(*days: tuple[str, ...]) -> CurrencyStatement:
    lines = [
        DayLine(date(2026, 10, 1 + place), tuple(map(Decimal, amounts)))
        for place, amounts in enumerate(days)
    ]
    names = tuple(f"p{number}" for number in range(len(days[0]) if days else 0))
    return replace(statement().currencies[0], days=tuple(lines), providers=names)


def test_columns_are_stacked_from_the_zero_line() -> None:
    trend = charts.trend(block(("60", "20"), ("0", "100")))
    first, second = trend.columns
    assert (trend.top, trend.bottom, trend.zero) == (Decimal(100), Decimal(), "100")
    assert [(part.y, part.height) for part in first.segments] == [("40", "60"), ("20", "20")]
    assert [(part.y, part.height) for part in second.segments] == [("0", "100")]


def test_credits_hang_below_the_zero_line() -> None:
    trend = charts.trend(
        block(
            ("100", "-50"),
        )
    )
    assert (trend.top, trend.bottom, trend.zero) == (Decimal(100), Decimal(-50), "66.67")
    up, down = trend.columns[0].segments
    assert (up.y, up.height) == ("0", "66.67")
    assert (down.y, down.height) == ("66.67", "33.33")


def test_nothing_spent_draws_nothing() -> None:
    assert charts.trend(block(("0",), ("0",))).columns[1].segments == ()
    assert charts.trend(block()).columns == ()


def test_small_providers_share_a_colour() -> None:
    trend = charts.trend(block(tuple("987654321")))
    assert trend.legend[-1] == (charts.COLOURS, "3 others")
    assert max(part.series for part in trend.columns[0].segments) == charts.COLOURS


def test_every_segment_is_inside_the_box() -> None:
    for each in statement().currencies:
        for column in charts.trend(each).columns:
            for part in column.segments:
                assert 0 <= Decimal(part.y) <= 100
                assert Decimal(part.y) + Decimal(part.height) <= Decimal("100.01")


def test_weekends_are_marked() -> None:
    weekends = [
        column.day.day
        for column in charts.trend(statement().currencies[0]).columns
        if column.is_weekend
    ]
    assert weekends == [3, 4, 10, 11, 17, 18, 24]


def test_budgets_share_one_scale() -> None:
    bars = charts.budget_bars(statement().currencies[0].budgets)
    assert len({bar.limit for bar in bars}) == 1
    over = next(bar for bar in bars if bar.status.is_over)
    assert Decimal(over.fill) > Decimal(over.limit)


def test_a_budget_far_over_stays_in_the_box() -> None:
    status = replace(statement().currencies[0].budgets[0], percent=Decimal(900), forecast=None)
    (bar,) = charts.budget_bars([status])
    assert (bar.fill, bar.limit, bar.forecast) == ("100", "50", None)


@pytest.mark.parametrize(
    ("part", "whole", "length"),
    [("1", "4", "25"), ("-1", "4", "0"), ("9", "4", "100"), ("1", "0", "0"), ("1", "-2", "0")],
)
def test_bars_stay_between_0_and_100(part: str, whole: str, length: str) -> None:
    assert charts.portion(Decimal(part), Decimal(whole)) == length
