"""The statement: every table adds up to the same totals."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import money
from finops.errors import ConfigError
from finops.movers import Subject
from finops.statement import CurrencyStatement, Statement, build, summary
from tests.reports.company import (
    COMPANY,
    PERIOD,
    checkpoint,
    entry,
    fees,
    ledger,
    month,
    parsed,
    quarantine,
    september,
    statement,
)


def of(rows: list[dict[str, object]], period: str = PERIOD) -> Statement:
    return build(ledger(rows), parsed(), company=COMPANY, period=period, quarantined=quarantine())


def dollars(made: Statement) -> CurrencyStatement:
    return next(block for block in made.currencies if block.currency == "USD")


def test_a_period_that_is_no_month_is_refused() -> None:
    with pytest.raises(ConfigError, match="2026-13"):
        of([], "2026-13")


def test_an_empty_ledger_shows_the_budgets() -> None:
    made = of([])
    assert [block.currency for block in made.currencies] == ["EUR", "USD"]
    assert dollars(made).budgets[0].spent == 0
    assert (made.last_day, made.comparison, made.is_complete) == (None, None, False)


def test_every_table_adds_up_to_the_whole() -> None:
    for block in statement().currencies:
        own = [line.own for line in block.cost_centers]
        assert money.exact_sum([*own, block.unallocated_spend]) == block.spent
        tops = [line.total for line in block.cost_centers if line.depth == 0]
        assert money.exact_sum([*tops, block.unallocated_spend]) == block.spent
        assert (
            money.exact_sum([*(day.total for day in block.days), block.outside_month])
            == block.spent
        )
        assert (
            money.exact_sum(line.amount for line in block.unallocated) == block.coverage.unallocated
        )
        assert (
            money.exact_sum(line.amount for line in block.quarantined) == block.coverage.quarantined
        )


AMOUNT = st.decimals("-9999", "9999", places=18)
ROW = st.tuples(
    AMOUNT,
    st.none() | AMOUNT,
    st.sampled_from([None, "research", "planning", "foundation", "gone"]),
    st.integers(-2, 32),
    st.sampled_from([None, "H100"]),
)


@settings(deadline=None, max_examples=25)
@given(st.lists(ROW, max_size=10))
def test_tables_add_up_for_any_entries(
    drawn: list[tuple[Decimal, Decimal | None, str | None, int, str | None]],
) -> None:
    rows = [
        entry(
            f"{billed:f}",
            effective_cost=None if effective is None else f"{effective:f}",
            cost_center=center,
            day=date(2026, 10, 1) + timedelta(days=day),
            gpu_model=model,
            gpu_hours="1.5" if model else None,
        )
        for billed, effective, center, day, model in drawn
    ]
    block = dollars(of(rows))
    expected = money.exact_sum(
        billed if effective is None else effective for billed, effective, *_ in drawn
    )
    assert block.spent == expected
    own = money.exact_sum([*(line.own for line in block.cost_centers), block.unallocated_spend])
    assert own == expected
    days = money.exact_sum([*(line.total for line in block.days), block.outside_month])
    assert days == expected
    assert of(rows[::-1]).currencies == of(rows).currencies


def test_cost_centers_stand_in_tree_order() -> None:
    lines = [(line.cost_center, line.depth) for line in dollars(statement()).cost_centers]
    assert lines == [
        ("research", 0),
        ("perception", 1),
        ("planning", 1),
        ("foundation", 2),
        ("product", 0),
    ]


def test_a_cost_center_that_is_gone_keeps_its_money() -> None:
    (line,) = [
        line
        for line in dollars(of([entry("5", cost_center="robots")])).cost_centers
        if line.cost_center == "robots"
    ]
    assert (line.name, line.own, line.total, line.budget) == (
        "robots",
        Decimal(5),
        Decimal(5),
        None,
    )


def test_a_gpu_has_another_price_at_each_provider() -> None:
    prices = {
        (line.model, line.provider): round(line.cost_per_gpu_hour or Decimal(0), 4)
        for line in dollars(statement()).gpus
    }
    assert prices["H100", "RunPod"] == Decimal("2.5501")
    assert prices["H100", "Amazon Web Services"] == Decimal("5.8375")
    assert list(prices) == [
        ("H100", "RunPod"),
        ("H100", "CoreWeave"),
        ("H100", "Amazon Web Services"),
        ("RTX 4090", "RunPod"),
    ]


def test_a_fee_without_hours_does_not_distort_the_price() -> None:
    rows = [
        entry("20", gpu_model="H100", gpu_hours="10"),
        entry("1000", gpu_model="H100"),
        entry("9", gpu_model="L4", gpu_hours="0"),
    ]
    price = {line.model: line.cost_per_gpu_hour for line in dollars(of(rows)).gpus}
    assert price == {"H100": 2, "L4": None}


def test_days_without_charges_are_shown_as_nothing() -> None:
    rows = [entry("5", day=date(2026, 10, 1)), entry("6", day=date(2026, 10, 4))]
    assert [line.total for line in dollars(of(rows)).days] == [5, 0, 0, 6]


def test_what_was_used_in_another_month_is_told_apart() -> None:
    rows = [entry("5"), entry("6", day=date(2026, 9, 30))]
    assert dollars(of(rows)).outside_month == 6


def test_movers_name_cost_centers() -> None:
    names = [
        mover.name for mover in dollars(statement()).movers if mover.subject is Subject.COST_CENTER
    ]
    assert "Planning & control" in names


def test_the_month_before_is_compared_but_not_counted() -> None:
    alone, followed = of([*month(), *fees()]), of([*september(), *month(), *fees()])
    assert dollars(followed).spent == dollars(alone).spent
    assert followed.comparison is not None
    assert followed.comparison.before == "the first 24 days of September 2026"


def test_the_main_currency_comes_first() -> None:
    assert [block.currency for block in statement().currencies] == ["USD", "EUR", "XXX"]


def test_the_summary_is_a_line_per_currency() -> None:
    assert summary(statement()).splitlines() == [
        "October 2026: USD 30,250.61 billed, 97.46 % of it allocated, 1 budget exceeded",
        "October 2026: EUR 1,211.76 billed, 100.00 % of it allocated, no budget exceeded",
        "October 2026: without a currency 4.00, all of it in quarantine",
    ]


def test_the_checkpoint_is_passed_on() -> None:
    assert statement().checkpoint == checkpoint()
