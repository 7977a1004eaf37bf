"""Budgets: effective cost, rolled up, worst first, with a forecast while the month runs."""

from datetime import date
from decimal import Decimal

import pytest

from finops.budgets import BudgetStatus, statuses
from tests.reports.company import PERIOD, entry, ledger, parsed


def by_center(rows: list[dict[str, object]]) -> dict[str, BudgetStatus]:
    found = statuses(ledger(rows), parsed(), PERIOD)
    return {status.cost_center: status for status in found}


def test_every_budget_has_a_status_even_when_nothing_was_spent() -> None:
    found = by_center([])
    assert set(found) == {"research", "perception", "planning", "product", "web"}
    assert found["research"].spent == 0
    assert found["research"].remaining == 40000
    assert found["research"].forecast is None


def test_spend_includes_everything_below() -> None:
    rows = [
        entry("1", cost_center="research"),
        entry("20", cost_center="planning"),
        entry("300", cost_center="foundation"),
    ]
    found = by_center(rows)
    assert found["research"].spent == 321
    assert found["planning"].spent == 320


def test_effective_cost_counts_and_billed_cost_where_there_is_none() -> None:
    rows = [
        entry("9000", effective_cost="0", cost_center="perception"),
        entry("0", effective_cost="290", cost_center="perception"),
        entry("10", cost_center="perception"),
    ]
    assert by_center(rows)["perception"].spent == 300


def test_other_currencies_and_periods_and_nobodys_money_do_not_count() -> None:
    rows = [
        entry("7", cost_center="perception", currency="EUR"),
        entry("7", cost_center="perception", period="2026-09"),
        entry("7"),
    ]
    assert by_center(rows)["perception"].spent == 0


def test_worst_comes_first() -> None:
    rows = [
        entry("11000", cost_center="perception"),
        entry("1900", cost_center="web", currency="EUR"),
        entry("12000", cost_center="planning"),
    ]
    order = [status.cost_center for status in statuses(ledger(rows), parsed(), PERIOD)]
    assert order == ["perception", "web", "planning", "research", "product"]


@pytest.mark.parametrize(
    ("spent", "percent", "is_over"),
    [("10999.999999", "99.99", False), ("11000", "100", False), ("11000.01", "100", True)],
)
def test_100_percent_means_reached(spent: str, percent: str, *, is_over: bool) -> None:
    status = by_center([entry(spent, cost_center="perception")])["perception"]
    assert status.percent == Decimal(percent)
    assert status.is_over is is_over


def test_a_credit_leaves_negative_spend() -> None:
    status = by_center([entry("-1100", cost_center="perception")])["perception"]
    assert status.percent == -10
    assert status.remaining == 12100


def test_the_forecast_goes_on_at_the_average_until_the_last_charge_day() -> None:
    rows = [
        entry("100", cost_center="perception", day=date(2026, 10, 1)),
        entry("7", cost_center="web", currency="EUR", day=date(2026, 10, 10)),
    ]
    assert by_center(rows)["perception"].forecast == 310


def test_a_complete_month_has_no_forecast() -> None:
    rows = [entry("100", cost_center="perception", day=date(2026, 10, 31))]
    assert by_center(rows)["perception"].forecast is None


def test_a_day_of_another_month_does_not_end_the_month() -> None:
    rows = [
        entry("100", cost_center="perception", day=date(2026, 10, 10)),
        entry("0", cost_center="perception", day=date(2026, 11, 2)),
    ]
    assert by_center(rows)["perception"].forecast == 310
