"""Budgets against what was spent, with everything below a cost center counted in.

Spend is the *effective* cost, which spreads what was prepaid over its use; where a provider gives
none it is the billed cost. A team is thus charged for what it used, not for the day on which
finance bought a commitment.
"""

import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from finops import money
from finops.organization import Budget, Organization
from finops.partition import Window

PERCENT_QUANTUM = Decimal("0.01")
_HUNDRED = Decimal(100)
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A cost center's budget in a billing month, and where it stands.

    `spent` includes all descendants and counts the budget's currency only. `percent` of the budget
    is rounded down to two places, so that 100 means reached. `forecast` is the spend at the end of
    the month if it goes on at the average of the days so far; `None` when the month is complete.
    """

    cost_center: str
    name: str
    currency: str
    amount: Decimal
    spent: Decimal
    percent: Decimal
    remaining: Decimal
    forecast: Decimal | None
    owners: tuple[str, ...]

    @property
    def is_over(self) -> bool:
        """Tell whether more was spent than the budget; exactly all of it is not over."""
        return self.spent > self.amount


def spend() -> pl.Expr:
    """Give the cost that is charged to cost centers: effective, or else billed."""
    return pl.coalesce("effective_cost", "billed_cost")


def statuses(entries: pl.LazyFrame, organization: Organization, period: str) -> list[BudgetStatus]:
    """Compute the status of every budget in billing month `period`, worst first.

    `entries` are ledger entries of any period, with reversals.
    """
    of_period = entries.filter(pl.col("period") == period)
    last_day = last_charge_day(of_period, period)
    own = _own_spend(of_period)
    found = [
        _status(organization, id_, center.budget, own, _elapsed(last_day, period))
        for id_, center in organization.cost_centers.items()
        if center.budget is not None
    ]
    return sorted(
        found, key=lambda status: (-_ratio(status.spent, status.amount), status.cost_center)
    )


def last_charge_day(entries: pl.LazyFrame, period: str) -> date | None:
    """Find the last day of the month `period` that has a charge; `None` when none has."""
    month = Window.of_period(period)
    inside = pl.col("day").filter((pl.col("day") >= month.start) & (pl.col("day") < month.end))
    found: date | None = entries.select(inside.max()).collect().item()
    return found


def _own_spend(entries: pl.LazyFrame) -> dict[tuple[str, str], Decimal]:
    """Add up (cost center, currency) without descendants; unallocated money has no place here."""
    allocated = entries.filter(pl.col("cost_center").is_not_null())
    sums = allocated.group_by("cost_center", "currency").agg(spend().sum().alias("spent"))
    return {(center, currency): spent for center, currency, spent in sums.collect().iter_rows()}


def _elapsed(last_day: date | None, period: str) -> Decimal | None:
    """Give the part of the month that has gone by; `None` when it is all of it, or nothing."""
    days = list(Window.of_period(period).days())
    if last_day is None or last_day == days[-1]:
        return None
    return money.CONTEXT.divide(Decimal(last_day.day), Decimal(len(days)))


def _status(
    organization: Organization,
    id_: str,
    budget: Budget,
    own: Mapping[tuple[str, str], Decimal],
    elapsed: Decimal | None,
) -> BudgetStatus:
    below = organization.descendants(id_)
    spent = money.exact_sum(own.get((child, budget.currency), _NONE) for child in below)
    center = organization.cost_centers[id_]
    return BudgetStatus(
        cost_center=id_,
        name=center.name,
        currency=budget.currency,
        amount=budget.amount,
        spent=spent,
        percent=_percent(spent, budget.amount),
        remaining=money.CONTEXT.subtract(budget.amount, spent),
        forecast=_forecast(spent, elapsed),
        owners=center.owners,
    )


def _forecast(spent: Decimal, elapsed: Decimal | None) -> Decimal | None:
    if elapsed is None:
        return None
    return money.CONTEXT.divide(spent, elapsed).quantize(money.QUANTUM, context=money.CONTEXT)


def _percent(spent: Decimal, amount: Decimal) -> Decimal:
    exact = money.CONTEXT.multiply(_ratio(spent, amount), _HUNDRED)
    return exact.quantize(PERCENT_QUANTUM, rounding=decimal.ROUND_FLOOR, context=money.CONTEXT)


def _ratio(spent: Decimal, amount: Decimal) -> Decimal:
    return money.CONTEXT.divide(spent, amount)
