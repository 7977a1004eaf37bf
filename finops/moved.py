"""What another set of rules would move: who gains and who loses, before it is applied.

Both organizations attribute the same charges in memory; nothing is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops import attribution, budgets, charges, holding, money
from finops.deciding import Deciding
from finops.holding import Holding
from finops.organization import Organization
from finops.partition import Partition
from finops.trial import demanded
from finops.warehouse import Warehouse
from finops.workloads import Shelf

MOST_MOVES = 20
COSTS = ("spent", "billed")
"""`spent` is EffectiveCost (BilledCost where there is none), as in budgets; `billed` BilledCost."""

_KEPT = ("charge_id", "currency", "cost_center", "rule")
_SLICE_ROWS = 500_000
_COMMA, _NOBODY = ",", "~"
"""Neither is part of a cost center's id."""

_FACTS = ("service_provider", "service", "account", "resource")


@dataclass(frozen=True, slots=True)
class Balance:
    """What a cost center carries in one currency before and after; nobody's is `None`."""

    currency: str
    cost_center: str | None
    spent_before: Decimal
    spent_after: Decimal
    billed_before: Decimal
    billed_after: Decimal

    @property
    def change(self) -> Decimal:
        """How much more it carries after than before."""
        return money.CONTEXT.subtract(self.spent_after, self.spent_before)

    @property
    def moves(self) -> bool:
        """Tell whether anything changes for it."""
        return self.change != 0 or self.billed_before != self.billed_after


@dataclass(frozen=True, slots=True)
class Move:
    """Charges of one resource whose parts, worth `amount`, go from some cost centers to others.

    `charge_id` is the one that moves most of them.
    """

    charge_id: str
    charges: int
    about: Mapping[str, str | None]
    currency: str
    amount: Decimal
    losing: tuple[str | None, ...]
    gaining: tuple[str | None, ...]
    rule_before: str | None
    rule_after: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """All that changes in a period. `balances` add up to the same before and after."""

    period: str
    charges: int
    moved_charges: int
    balances: tuple[Balance, ...]
    moves: tuple[Move, ...]

    def of_currency(self, currency: str) -> list[Balance]:
        """List the balances of one currency, who gains most first."""
        return [each for each in self.balances if each.currency == currency]

    @property
    def currencies(self) -> list[str]:
        """Name the currencies, sorted."""
        return sorted({each.currency for each in self.balances})


def compare(warehouse: Warehouse, old: Organization, new: Organization, period: str) -> Moved:
    """Attribute the charges of `period` by both; raises `ConfigError` when there are none."""
    sums, moves = [], []
    charge_count = moved_count = 0
    as_is, to_be = (Deciding(warehouse, organization) for organization in (old, new))
    for partition, rows, held in _slices(warehouse, period):
        basis = as_is.basis(partition)
        before = _allocated(attribution.allocate(rows, old, partition, held, basis))
        after = before
        if new.deciding != old.deciding:
            basis = to_be.basis(partition)
            after = _allocated(attribution.allocate(rows, new, partition, held, basis))
        charge_count += before.get_column("charge_id").n_unique()
        sums += [_sums(before, "before"), _sums(after, "after")]
        changed = _changed(before, after)
        moved_count += changed.get_column("charge_id").n_unique()
        moves += [_told(changed, before, after)]
    balances = tuple(_balances(pl.concat(sums, how="diagonal")))
    for currency in {each.currency for each in balances}:
        mine = [each for each in balances if each.currency == currency]
        assert money.exact_sum(each.change for each in mine) == 0, "what some lose, others gain"
    return Moved(period, charge_count, moved_count, balances, tuple(_moves(pl.concat(moves))))


def _slices(
    warehouse: Warehouse, period: str
) -> Iterator[tuple[Partition, pl.LazyFrame, Holding | None]]:
    """Read a month in pieces of bounded size, each with the workloads of its partition."""
    shelf = Shelf(warehouse)
    for partition in demanded(warehouse, period):
        rows = charges.read(warehouse, partition)
        workloads = holding.relevant(rows, shelf)
        held = None if workloads is None else workloads.holding(rows)
        for start in range(0, rows.select(pl.len()).collect().item(), _SLICE_ROWS):
            yield partition, rows.slice(start, _SLICE_ROWS), held


def _allocated(allocations: pl.LazyFrame) -> pl.DataFrame:
    spent = budgets.spend().alias("spent")
    return allocations.select(
        *_KEPT, *_FACTS, spent, pl.col("billed_cost").alias("billed")
    ).collect()


def _sums(allocations: pl.DataFrame, when: str) -> pl.DataFrame:
    return allocations.group_by("currency", "cost_center").agg(
        pl.col(cost).sum().alias(f"{cost}_{when}") for cost in COSTS
    )


def _balances(sums: pl.DataFrame) -> Iterator[Balance]:
    names = [f"{cost}_{when}" for cost in COSTS for when in ("before", "after")]
    together = (
        sums.group_by("currency", "cost_center")
        .agg(pl.col(names).fill_null(0).sum())
        .with_columns((pl.col("spent_after") - pl.col("spent_before")).alias("change"))
        .sort("currency", "change", "cost_center", descending=[False, True, False])
    )
    for row in together.select("currency", "cost_center", *names).iter_rows():
        yield Balance(*row)


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """List the parts (charge, cost center) that change: by how much, and whether they grow.

    The part of a credit grows when it becomes more negative. `change` is what is spent more, or
    billed more where nothing is spent.
    """
    part = ("charge_id", "currency", "cost_center")
    costs = [pl.col(cost).sum() for cost in COSTS]
    old, new = (frame.group_by(part).agg(costs) for frame in (before, after))
    joined = old.join(new, on=part, how="full", coalesce=True, nulls_equal=True, suffix="_new")
    parts = joined.with_columns(pl.exclude(part).fill_null(0))
    is_spent = pl.col("spent") != pl.col("spent_new")
    had, has = (
        pl.when(is_spent).then(pl.col(f"spent{suffix}")).otherwise(pl.col(f"billed{suffix}"))
        for suffix in ("", "_new")
    )
    return parts.select(
        *part, (has - had).alias("change"), (has.abs() > had.abs()).alias("grows")
    ).filter(pl.col("change") != 0)


def _told(changed: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Tell of every charge that moves: how much of it, who loses and who gains, by which rules."""
    center, grows = pl.col("cost_center").fill_null(_NOBODY), pl.col("grows")
    moving = changed.group_by("charge_id", "currency").agg(
        pl.col("change").filter(grows).sum().alias("amount"),
        center.filter(~grows).sort().str.join(_COMMA).alias("losing"),
        center.filter(grows).sort().str.join(_COMMA).alias("gaining"),
    )
    facts = before.select("charge_id", *_FACTS, pl.col("rule").alias("rule_before"))
    rules = after.select("charge_id", pl.col("rule").alias("rule_after"))
    for known in (facts, rules):
        first = known.unique("charge_id", keep="first", maintain_order=True)
        moving = moving.join(first, on="charge_id", how="left")
    return moving


def _moves(moving: pl.DataFrame) -> Iterator[Move]:
    alike = ("currency", "losing", "gaining", "rule_before", "rule_after", *_FACTS)
    grouped = (
        moving.sort(pl.col("amount").abs(), "charge_id", descending=[True, False])
        .group_by(alike, maintain_order=True)
        .agg(pl.col("charge_id").first(), pl.len().alias("charges"), pl.col("amount").sum())
        .sort(pl.col("amount").abs(), "charge_id", descending=[True, False])
    )
    for row in grouped.head(MOST_MOVES).iter_rows(named=True):
        yield Move(
            charge_id=row["charge_id"],
            charges=row["charges"],
            about={name: row[name] for name in _FACTS},
            currency=row["currency"],
            amount=row["amount"],
            losing=_centers(row["losing"]),
            gaining=_centers(row["gaining"]),
            rule_before=row["rule_before"],
            rule_after=row["rule_after"],
        )


def _centers(joined: str) -> tuple[str | None, ...]:
    return tuple(None if each == _NOBODY else each for each in joined.split(_COMMA))
