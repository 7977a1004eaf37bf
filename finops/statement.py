"""The statement of a billing month: every figure its report shows, computed once.

Two bases, never mixed in one table. What must agree with the invoices (coverage, unallocated,
quarantined, corrections) counts billed cost; what is charged to people (cost centers, budgets,
trend, GPU prices, movers) counts the cost in `budgets.spend`: effective, or else billed.
"""

import calendar
import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from finops import budgets, coverage, gaps, money, movers, steps
from finops.budgets import BudgetStatus
from finops.checks import NO_CURRENCY
from finops.coverage import UNKNOWN_PROVIDER, Coverage, Share
from finops.gaps import NO_CORRECTIONS, Corrections, QuarantinedLine, UnallocatedLine
from finops.ledger.checkpoint import Checkpoint
from finops.movers import Comparison, Mover, Subject
from finops.organization import Organization
from finops.partition import Window, parse_period
from finops.steps import StepSum

_NONE = Decimal(0)
_DIMENSIONS = ("currency", "day", "service_provider", "service", "cost_center", "gpu_model")
_LASTING = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class CostCenterLine:
    """A cost center in tree order: `own` is charged to itself, `total` adds everything below."""

    cost_center: str
    name: str
    depth: int
    own: Decimal
    total: Decimal
    budget: BudgetStatus | None


@dataclass(frozen=True, slots=True)
class DayLine:
    """The spend of one UTC day, in the order of `CurrencyStatement.providers`."""

    day: date
    by_provider: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        """The spend of the day at all providers."""
        return money.exact_sum(self.by_provider)


@dataclass(frozen=True, slots=True)
class GpuLine:
    """What a GPU model cost at one service provider."""

    model: str
    provider: str
    gpu_hours: Decimal
    cost: Decimal

    @property
    def cost_per_gpu_hour(self) -> Decimal | None:
        """The price that was really paid; `None` without hours."""
        if self.gpu_hours <= 0:
            return None
        return money.CONTEXT.divide(self.cost, self.gpu_hours)


@dataclass(frozen=True, slots=True)
class CurrencyStatement:
    """The month in one currency.

    `spent` is `unallocated_spend` plus every cost center's own spend. It is also the days' totals
    plus `outside_month`: billed in this month, used in another.
    """

    coverage: Coverage
    spent: Decimal
    unallocated_spend: Decimal
    budgets: tuple[BudgetStatus, ...]
    cost_centers: tuple[CostCenterLine, ...]
    providers: tuple[str, ...]
    days: tuple[DayLine, ...]
    outside_month: Decimal
    gpus: tuple[GpuLine, ...]
    movers: tuple[Mover, ...]
    unallocated: tuple[UnallocatedLine, ...]
    quarantined: tuple[QuarantinedLine, ...]
    corrections: Corrections
    steps: tuple[StepSum, ...] = ()

    @property
    def currency(self) -> str:
        """The ISO 4217 code, or what the provider wrote in its place."""
        return self.coverage.currency

    @property
    def is_explained(self) -> bool:
        """Tell whether workloads explain any of it."""
        return any(step.is_told_by_workloads for step in self.steps)


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything the report of billing month `period` shows, the main currency first.

    `last_day` is the last day of the month with a charge. `comparison` says what the movers are
    compared with. `checkpoint` is the signed head of the ledger the figures were read at.
    """

    company: str
    period: str
    last_day: date | None
    comparison: Comparison | None
    currencies: tuple[CurrencyStatement, ...]
    checkpoint: Checkpoint | None

    @property
    def month(self) -> str:
        """The period in words, such as `October 2026`."""
        return f"{Window.of_period(self.period).start:%B %Y}"

    @property
    def is_complete(self) -> bool:
        """Tell whether the last day of the month has charges."""
        return self.last_day is not None and self.last_day == _last_day_of(self.period)


def build(
    entries: pl.LazyFrame,
    organization: Organization,
    *,
    company: str,
    period: str,
    quarantined: pl.DataFrame,
    checkpoint: Checkpoint | None = None,
) -> Statement:
    """Compute the statement of `period`; raises `ConfigError` when it is not a month.

    `entries` are the ledger's, reversals among them, of at least this period and the one before,
    with `index`. `quarantined` is what `finops.quarantine.summary` gives.
    """
    parse_period(period)
    of_period = entries.filter(pl.col("period") == period)
    cube = _cube(of_period)
    last_day = budgets.last_charge_day(of_period, period)
    before = _cube(entries.filter(pl.col("period") == movers.period_before(period)))
    comparison, moved = movers.compare(cube, before, period, last_day)
    set_aside = quarantined.filter(pl.col("period") == period)
    covered = coverage.coverage(of_period, set_aside)
    statuses = budgets.statuses(of_period, organization, period)
    parts = _Parts(
        organization=organization,
        cube=cube,
        statuses=statuses,
        movers=moved,
        unallocated=gaps.unallocated(of_period),
        quarantined=gaps.quarantined(set_aside),
        corrections=gaps.corrections(of_period),
        days=_days(period, last_day),
        steps=tuple(steps.by_step(of_period)),
    )
    by_currency = {each.currency: each for each in covered}
    blocks = (
        _currency(parts, by_currency.get(name) or _nothing_in(name))
        for name in _main_first(cube, {*by_currency, *(status.currency for status in statuses)})
    )
    return Statement(company, period, last_day, comparison, tuple(blocks), checkpoint)


def summary(statement: Statement) -> str:
    """Say the month in one line per currency, for a message."""
    return "\n".join(_summary(statement, block) for block in statement.currencies)


def _summary(statement: Statement, block: CurrencyStatement) -> str:
    covered, name = block.coverage, _called(block.currency)
    if covered.quarantined and covered.quarantined == covered.billed:
        return f"{statement.month}: {name} {covered.billed:,.2f}, all of it in quarantine"
    percent = covered.coverage * 100
    over = sum(status.is_over for status in block.budgets)
    budgets_over = "no budget" if over == 0 else "1 budget" if over == 1 else f"{over} budgets"
    return (
        f"{statement.month}: {name} {covered.billed:,.2f} billed, "
        f"{percent:.2f} % of it allocated, {budgets_over} exceeded"
    )


def _called(currency: str) -> str:
    return "without a currency" if currency == NO_CURRENCY else currency


@dataclass(frozen=True, slots=True)
class _Parts:
    """What all currencies' blocks are cut from."""

    organization: Organization
    cube: pl.DataFrame
    statuses: Sequence[BudgetStatus]
    movers: Mapping[str, tuple[Mover, ...]]
    unallocated: Mapping[str, tuple[UnallocatedLine, ...]]
    quarantined: Mapping[str, tuple[QuarantinedLine, ...]]
    corrections: Mapping[str, Corrections]
    days: tuple[date, ...]
    steps: tuple[StepSum, ...]


def _cube(entries: pl.LazyFrame) -> pl.DataFrame:
    """Add up the entries once by everything a table is grouped by; sorted, so deterministic."""
    timed = pl.col("gpu_hours").is_not_null()
    spend = budgets.spend()
    named = entries.with_columns(
        pl.col("service_provider").fill_null(UNKNOWN_PROVIDER),
        is_lasting=pl.col("charge_end") - pl.col("charge_start") >= _LASTING,
    )
    sums = named.group_by(*_DIMENSIONS, "is_lasting").agg(
        spend.sum().alias("spent"),
        spend.filter(timed).sum().alias("gpu_cost"),
        pl.col("gpu_hours").sum(),
        timed.any().alias("has_gpu_hours"),
        pl.len().alias("entries"),
    )
    return sums.sort(*_DIMENSIONS, "is_lasting").collect()


def _main_first(cube: pl.DataFrame, currencies: set[str]) -> list[str]:
    """Order currencies by their entries: amounts of two currencies cannot be compared."""
    entries = dict(cube.group_by("currency").agg(pl.col("entries").sum()).iter_rows())
    return sorted(currencies, key=lambda name: (-entries.get(name, 0), name))


def _currency(parts: _Parts, covered: Coverage) -> CurrencyStatement:
    currency = covered.currency
    cube = parts.cube.filter(pl.col("currency") == currency)
    statuses = tuple(status for status in parts.statuses if status.currency == currency)
    centers = tuple(_cost_centers(parts.organization, cube, statuses))
    providers, days = _trend(cube, parts.days)
    return CurrencyStatement(
        coverage=covered,
        spent=money.total(cube, "spent"),
        unallocated_spend=money.total(cube.filter(pl.col("cost_center").is_null()), "spent"),
        budgets=statuses,
        cost_centers=centers,
        providers=providers,
        days=days,
        outside_month=money.total(cube.filter(~pl.col("day").is_in(parts.days)), "spent"),
        gpus=tuple(_gpus(cube)),
        movers=tuple(_named(each, parts.organization) for each in parts.movers.get(currency, ())),
        unallocated=parts.unallocated.get(currency, ()),
        quarantined=parts.quarantined.get(currency, ()),
        corrections=parts.corrections.get(currency, NO_CORRECTIONS),
        steps=tuple(step for step in parts.steps if step.currency == currency),
    )


def _cost_centers(
    organization: Organization, cube: pl.DataFrame, statuses: Sequence[BudgetStatus]
) -> Iterator[CostCenterLine]:
    """Walk the tree in the file's order; cost centers without spend and budget are left out.

    A cost center that was removed from the file, but has entries, comes last under its id.
    """
    own = _sums(cube, "cost_center")
    budget = {status.cost_center: status for status in statuses}
    total: dict[str, Decimal] = defaultdict(Decimal)
    for id_, spent in own.items():
        for ancestor in organization.lineage(id_):
            total[ancestor] = money.CONTEXT.add(total[ancestor], spent)
    shown = {ancestor for id_ in budget for ancestor in organization.lineage(id_)} | set(total)
    for id_, depth in _tree(organization):
        if id_ in shown:
            name = organization.cost_centers[id_].name
            spent = own.get(id_, _NONE)
            yield CostCenterLine(id_, name, depth, spent, total[id_], budget.get(id_))
    for id_ in sorted(set(own) - set(organization.cost_centers)):
        yield CostCenterLine(id_, id_, 0, own[id_], own[id_], None)


def _tree(organization: Organization) -> Iterator[tuple[str, int]]:
    """Yield every cost center and its depth, parents before children."""
    children: dict[str | None, list[str]] = defaultdict(list)
    for id_, center in organization.cost_centers.items():
        children[center.parent].append(id_)
    waiting = [(id_, 0) for id_ in reversed(children[None])]
    while waiting:
        id_, depth = waiting.pop()
        yield id_, depth
        waiting += [(child, depth + 1) for child in reversed(children[id_])]


def _named(mover: Mover, organization: Organization) -> Mover:
    """Put a cost center's name in the place of its id."""
    center = organization.cost_centers.get(mover.name)
    if mover.subject is not Subject.COST_CENTER or center is None:
        return mover
    return dataclasses.replace(mover, name=center.name)


def _trend(cube: pl.DataFrame, days: Sequence[date]) -> tuple[tuple[str, ...], tuple[DayLine, ...]]:
    """Give the service providers, dearest first, and the spend of each of `days` at each."""
    totals = _sums(cube, "service_provider")
    providers = tuple(sorted(totals, key=lambda name: (-totals[name], name)))
    sums = cube.group_by("day", "service_provider").agg(pl.col("spent").sum())
    spent = {(day, name): amount for day, name, amount in sums.iter_rows()}
    lines = (
        DayLine(day, tuple(spent.get((day, name), _NONE) for name in providers)) for day in days
    )
    return providers, tuple(lines)


def _gpus(cube: pl.DataFrame) -> Iterator[GpuLine]:
    """List models by what they cost, and under each the service providers, cheapest first.

    Charges without GPU-hours (a reservation's fee) would distort the price and are left out.
    """
    timed = cube.filter(pl.col("gpu_model").is_not_null() & pl.col("has_gpu_hours"))
    sums = timed.group_by("gpu_model", "service_provider").agg(
        pl.col("gpu_hours", "gpu_cost").sum()
    )
    lines = [GpuLine(*row) for row in sums.iter_rows()]
    cost: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        cost[line.model] = money.CONTEXT.add(cost[line.model], line.cost)
    yield from sorted(
        lines,
        key=lambda line: (
            -cost[line.model],
            line.model,
            line.cost_per_gpu_hour is None,
            line.cost_per_gpu_hour or _NONE,
            line.provider,
        ),
    )


def _sums(cube: pl.DataFrame, column: str) -> dict[str, Decimal]:
    """Add up spend by a column, without its nulls."""
    named = cube.filter(pl.col(column).is_not_null())
    sums = named.group_by(column).agg(pl.col("spent").sum()).sort(column)
    return dict(sums.iter_rows())


def _days(period: str, last_day: date | None) -> tuple[date, ...]:
    if last_day is None:
        return ()
    return tuple(Window(Window.of_period(period).start, last_day + timedelta(days=1)).days())


def _last_day_of(period: str) -> date:
    first = Window.of_period(period).start
    return first.replace(day=calendar.monthrange(first.year, first.month)[1])


def _nothing_in(currency: str) -> Coverage:
    return Coverage(currency, Share(_NONE, _NONE, _NONE), ())
