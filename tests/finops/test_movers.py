"""Movers: stretches of equal length, and what changed most between them."""

from datetime import UTC, date, datetime
from decimal import Decimal

from finops.movers import MOST_OF_A_KIND, Mover, Subject
from finops.statement import Statement, build
from tests.reports.company import COMPANY, PERIOD, entry, ledger, parsed, quarantine


def of(*rows: dict[str, object]) -> Statement:
    return build(ledger(rows), parsed(), company=COMPANY, period=PERIOD, quarantined=quarantine())


def spent(amount: str, day: int, center: str = "web", **changes: object) -> dict[str, object]:
    return entry(amount, cost_center=center, day=date(2026, 10, day), **changes)


def before(amount: str, day: int, center: str = "web") -> dict[str, object]:
    return entry(amount, cost_center=center, period="2026-09", day=date(2026, 9, day), index=0)


def centers(made: Statement) -> list[Mover]:
    block = next(block for block in made.currencies if block.currency == "USD")
    return [mover for mover in block.movers if mover.subject is Subject.COST_CENTER]


def test_one_day_is_compared_with_nothing() -> None:
    made = of(spent("5", 1))
    assert made.comparison is None
    assert centers(made) == []


def test_without_a_month_before_the_halves_are_compared() -> None:
    made = of(spent("1", 1), spent("2", 2), spent("50", 3), spent("10", 4), spent("20", 5))
    assert made.comparison is not None
    assert (made.comparison.before, made.comparison.after) == ("1 to 2 October", "4 to 5 October")
    (mover,) = centers(made)
    assert mover.name == "Web"
    assert (mover.before, mover.after, mover.change) == (Decimal(3), Decimal(30), Decimal(27))


def test_a_monthly_fee_does_not_seem_to_go_in_the_second_half() -> None:
    ends = datetime(2026, 11, 1, tzinfo=UTC)
    made = of(spent("900", 1, charge_end=ends), spent("5", 2), spent("6", 4))
    (mover,) = centers(made)
    assert (mover.before, mover.after) == (Decimal(5), Decimal(6))


def test_an_incomplete_month_is_compared_with_as_many_days() -> None:
    made = of(before("7", 2), before("1000", 3), spent("9", 2))
    assert made.comparison is not None
    assert made.comparison.after == "the first 2 days of October 2026"
    (mover,) = centers(made)
    assert (mover.before, mover.after) == (Decimal(7), Decimal(9))


def test_a_complete_month_is_compared_with_the_whole_month_before() -> None:
    made = of(before("7", 2), before("1000", 30), spent("9", 31))
    assert made.comparison is not None
    assert (made.comparison.after, made.comparison.before) == ("October 2026", "September 2026")
    (mover,) = centers(made)
    assert (mover.before, mover.after) == (Decimal(1007), Decimal(9))


def test_the_largest_changes_come_first_and_no_change_is_left_out() -> None:
    rows = [before("100", 1, f"c{n}") for n in range(9)]
    rows += [spent(str(100 + (-1) ** n * n), 31, f"c{n}") for n in range(9)]
    names = [mover.name for mover in centers(of(*rows))]
    assert names == ["c8", "c7", "c6", "c5", "c4"]
    assert len(names) == MOST_OF_A_KIND


def test_money_without_a_cost_center_moves_too() -> None:
    rows = [entry("1", day=date(2026, 10, 1)), entry("5", day=date(2026, 10, 2))]
    assert [mover.name for mover in centers(of(*rows))] == ["Unallocated"]
