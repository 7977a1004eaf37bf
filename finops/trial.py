"""Trying rules on the charges of the warehouse: what they would decide, and why. Nothing is written.

Charges are looked at by what the rules look at, not one by one: a month has thousands of distinct
dimension sets, and each knows how many charges and how much billed cost stand behind it.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from finops import attribution, charges, conditions, focus, money, rules
from finops.conditions import Condition
from finops.dimension_sets import DimensionSets, stored_columns
from finops.errors import ConfigError
from finops.organization import Organization
from finops.partition import Partition
from finops.rulebook import VIRTUAL, Match, Rule
from finops.settings import suggestion
from finops.warehouse import Warehouse

CURRENCY = "BillingCurrency"
CHARGES, BILLED, DEAREST = "~charges", "~billed", "~dearest"
"""Beside the dimensions: how many charges, their BilledCost, and the id of the largest of them."""

_ERA = "~era"
_DAY = "~day"
_NEAR_SPELLING = 0.8


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rules that are valid together decide about the charges of those days.

    `sets` has a row for each dimension set with `provider`, `source`, the columns asked for,
    `CURRENCY`, `CHARGES`, `BILLED` and `DEAREST`, and the columns of `rules.DECISION_SCHEMA`.
    """

    organization: Organization
    sets: pl.DataFrame

    def dimensions(self) -> DimensionSets:
        """Return the sets as conditions look at them."""
        return DimensionSets(self.sets, self.organization, {})

    def only(self, match: Mapping[str, Condition]) -> "Trial":
        """Keep the sets that meet every condition of `match`."""
        mask = self.dimensions().matching(match)
        return Trial(
            self.organization, self.sets.clear() if mask is None else self.sets.filter(mask)
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """One condition of a rule, the value it met, and whether it held."""

    column: str
    condition: str
    value: str | None
    held: bool
    is_near: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A rule that was tried on a charge. `takes` when it decided; `nearly` when little was missing."""

    rule: Rule
    tried: tuple[Tried, ...]

    @property
    def takes(self) -> bool:
        """Tell whether every condition held."""
        return all(each.held for each in self.tried)

    @property
    def nearly(self) -> bool:
        """Tell whether one condition was missing: by its spelling, or beside others that held."""
        missed = [each for each in self.tried if not each.held]
        return len(missed) == 1 and (missed[0].is_near or len(self.tried) > 1)


def try_rules(
    warehouse: Warehouse,
    organization: Organization,
    period: str | None = None,
    columns: Iterable[str] = (),
) -> list[Trial]:
    """Decide about the charges of a billing month (of all when `None`), era by era.

    `columns` are further columns or tags that the sets are told apart by. Raises `ConfigError`
    when there are no charges.
    """
    stored = {*rules.columns(organization), *stored_columns(columns, organization), CURRENCY}
    stored -= {focus.WORKLOAD}
    read = [
        _sets(warehouse, partition, sorted(stored)).with_columns(
            pl.lit(organization.era(partition.day)).alias(_ERA), pl.lit(partition.day).alias(_DAY)
        )
        for partition in demanded(warehouse, period)
    ]
    return list(_by_era(pl.concat(read), organization, sorted(stored)))


def demanded(warehouse: Warehouse, period: str | None) -> list[Partition]:
    """List the partitions of a billing month; raises `ConfigError` when there is none."""
    there = charges.partitions(warehouse)
    found = [partition for partition in there if period in {None, partition.period}]
    if not there:
        raise ConfigError("there are no charges; `finops ingest --from … --to …` brings them")
    if not found:
        periods = ", ".join(sorted({partition.period for partition in there}))
        raise ConfigError(f"--period: there are no charges of {period}; there are of {periods}")
    return found


def where(texts: Sequence[str], organization: Organization) -> Match:
    """Read `COLUMN=VALUE` of the command line: text or a glob; nothing means that there is none.

    The same column may be named again: any of its values will do.
    """
    found: dict[str, tuple[Condition, ...]] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--where {text!r}: write COLUMN=VALUE, such as Tags.team=vision")
        demand_column(column, "--where", organization)
        found[column] = (*found.get(column, ()), value or False)
    return dict(found)


def demand_column(column: str, option: str, organization: Organization) -> None:
    """Raise `ConfigError` for what no rule could look at."""
    head, _, tag = column.partition(".")
    if head == VIRTUAL and tag not in organization.virtual_tags:
        hint = suggestion(tag, list(organization.virtual_tags))
        raise ConfigError(f"{option}: there is no virtual tag {tag!r}; {hint}")
    if head != VIRTUAL and not focus.is_dimension(column):
        hint = suggestion(column, focus.DIMENSIONS)
        raise ConfigError(f"{option}: {column!r} is no column a rule can look at; {hint}")


def attempts(trial: Trial, row: int) -> list[Attempt]:
    """Try every rule on one dimension set, in order, up to the one that takes it."""
    sets = Trial(trial.organization, trial.sets[row]).dimensions()
    found = []
    for rule in trial.organization.rules:
        attempt = Attempt(rule, tuple(_tried(rule, sets, trial.organization)))
        found.append(attempt)
        if attempt.takes:
            break
    return found


def _tried(rule: Rule, sets: DimensionSets, organization: Organization) -> Iterator[Tried]:
    for column, condition in rule.match.items():
        value = sets.values(column).at(0)
        (held,) = conditions.held(condition, [value])
        near = None if held else nearest(value, _texts(condition))
        yield Tried(column, conditions.said(condition), value, held, near is not None)
    if rule.cost_center_from is not None:
        value = sets.values(rule.cost_center_from).at(0)
        meant = organization.meant(value, rule.lookup) if value else None
        known = organization.lookups[rule.lookup] if rule.lookup else organization.by_name
        said = f"is in lookup {rule.lookup}" if rule.lookup else "names a cost center"
        near = None if meant else nearest(value, list(known))
        said += f", such as {near!r}" if near else ""
        yield Tried(rule.cost_center_from, said, value, meant is not None, near is not None)


def _texts(condition: Condition) -> list[str]:
    match condition:
        case str():
            return [condition]
        case tuple():
            return [text for each in condition for text in _texts(each)]
    return []


def nearest(value: str | None, texts: Sequence[str]) -> str | None:
    """Find what may have been meant by a misspelled value."""
    near = difflib.get_close_matches((value or "").lower(), texts, n=1, cutoff=_NEAR_SPELLING)
    return near[0] if near else None


def _sets(warehouse: Warehouse, partition: Partition, columns: Sequence[str]) -> pl.DataFrame:
    cost = pl.col("BilledCost")
    grouped = (
        charges.read(warehouse, partition)
        .group_by(columns)
        .agg(
            pl.len().cast(pl.Int64).alias(CHARGES),
            cost.sum().alias(BILLED),
            cost.abs().max().alias(_LARGEST),
            pl.col("x_ChargeId").get(cost.abs().arg_max()).alias(DEAREST),
        )
    )
    provider, source = pl.lit(partition.provider), pl.lit(partition.source)
    return grouped.select(provider.alias("provider"), source.alias("source"), pl.all()).collect(
        engine="streaming"
    )


_LARGEST = "~largest"


def _by_era(
    sets: pl.DataFrame, organization: Organization, columns: Sequence[str]
) -> Iterator[Trial]:
    keys = ["provider", "source", *columns]
    for (_,), era in sets.sort(_ERA, maintain_order=True).group_by(_ERA, maintain_order=True):
        day = era.get_column(_DAY)[0]
        together = (
            era.group_by(keys)
            .agg(
                pl.col(CHARGES).sum(),
                pl.col(BILLED).cast(money.DTYPE).sum(),
                pl.col(DEAREST).sort_by(_LARGEST, DEAREST).last(),
            )
            .sort(pl.col(BILLED).abs(), DEAREST, descending=[True, False])
        )
        valid = organization.on(day)
        yield Trial(valid, decided(together, organization, day))


def decided(sets: pl.DataFrame, organization: Organization, day: date) -> pl.DataFrame:
    """Add to dimension sets of charges what the rules of `day` say when no workload held them."""
    whole = sets.with_columns(pl.lit(None, pl.String).alias(focus.WORKLOAD))
    found = rules.decide(whole, organization.on(day), {})
    weights = attribution.weights(organization, day, attribution.supposed(organization))
    nobody = attribution.emptied(weights, organization, day)
    return attribution.on_the_day(found, nobody, organization, day)


def sums(sets: pl.DataFrame) -> dict[str, Decimal]:
    """Add up BilledCost by currency."""
    found = sets.group_by(CURRENCY).agg(pl.col(BILLED).sum()).sort(CURRENCY)
    return {currency: Decimal(amount) for currency, amount in found.iter_rows()}
