"""What each rule takes, because of which values, and which rules nearly took what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from finops import charges, conditions, rules, trial
from finops.errors import ConfigError
from finops.organization import Organization
from finops.partition import Partition
from finops.rulebook import Rule
from finops.trial import BILLED, CHARGES, CURRENCY, DEAREST, Attempt, Trial, decided
from finops.warehouse import Warehouse

MOST_VALUES = 3
_MOST_EXAMINED = 50
"""Dimension sets that are held against every rule one by one, the dearest first."""

_SHORTEST_ID = 8


@dataclass(frozen=True, slots=True)
class Because:
    """A condition of a rule and the values that met it, those of the dearest charges first."""

    column: str
    condition: str
    values: tuple[str | None, ...]
    distinct: int


@dataclass(slots=True)
class Taking:
    """The charges that one rule takes, or that none takes for one reason."""

    rule: str | None
    outcome: str
    reason: str | None = None
    because: tuple[Because, ...] = ()
    cost_centers: tuple[str, ...] = ()
    charges: int = 0
    billed: dict[str, Decimal] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Give all of it, amounts as decimal text."""
        return {
            "rule": self.rule,
            "outcome": self.outcome,
            "reason": self.reason,
            "because": [
                {
                    "column": each.column,
                    "condition": each.condition,
                    "values": list(each.values),
                    "distinct": each.distinct,
                }
                for each in self.because
            ],
            "cost_centers": list(self.cost_centers),
            "charges": self.charges,
            "billed": self.billed,
        }


@dataclass(slots=True)
class Near:
    """A rule that would have taken charges if one condition had held."""

    rule: str
    column: str
    condition: str
    value: str | None
    taken_by: str | None
    is_spelling: bool = False
    charges: int = 0
    billed: dict[str, Decimal] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Give all of it, amounts as decimal text."""
        return {
            "rule": self.rule,
            "column": self.column,
            "condition": self.condition,
            "value": self.value,
            "taken_by": self.taken_by,
            "is_spelling": self.is_spelling,
            "charges": self.charges,
            "billed": self.billed,
        }


def takings(trials: Sequence[Trial], organization: Organization) -> list[Taking]:
    """List what every rule takes, in the order of the rules; what none takes comes last."""
    found: dict[tuple[str | None, str | None], Taking] = {}
    order = {rule.id: place for place, rule in enumerate(organization.rules)}
    for each in trials:
        for (rule, step, reason), rows in each.sets.group_by(
            "rule", "step", "reason", maintain_order=True
        ):
            known = rule if step != rules.STEP_UNALLOCATED else None
            taking = _taking(Trial(each.organization, rows), known, reason)
            _add(found.setdefault((known, reason), taking), taking)
    return sorted(
        found.values(),
        key=lambda one: (
            order.get(one.rule or "", len(order)),
            -max(map(abs, one.billed.values()), default=Decimal(0)),
            one.reason or "",
        ),
    )


def _taking(rows: Trial, rule_id: object, reason: object) -> Taking:
    rule = next((one for one in rows.organization.rules if one.id == rule_id), None)
    centers = rows.sets.get_column("cost_center").drop_nulls().unique().sort().to_list()
    return Taking(
        rule=rule.id if rule else None,
        outcome=outcome(rule) if rule else "nobody",
        reason=str(reason) if reason is not None else None,
        because=tuple(_because(rule, rows)) if rule else (),
        cost_centers=tuple(centers),
        charges=int(rows.sets.get_column(CHARGES).sum()),
        billed=trial.sums(rows.sets),
    )


def _add(known: Taking, more: Taking) -> None:
    """Add what another era brings; the values shown stay those of the first."""
    if known is more:
        return
    known.charges += more.charges
    known.cost_centers = tuple(sorted({*known.cost_centers, *more.cost_centers}))
    for currency, amount in more.billed.items():
        known.billed[currency] = known.billed.get(currency, Decimal(0)) + amount


def outcome(rule: Rule) -> str:
    """Say where a rule sends what it takes."""
    if rule.split is not None:
        return f"split {rule.split}"
    if rule.cost_center is not None:
        return rule.cost_center
    by = f" by lookup {rule.lookup}" if rule.lookup else ""
    return f"whom {rules.spoken(rule.cost_center_from or '')} names{by}"


def _because(rule: Rule, rows: Trial) -> Iterator[Because]:
    sets = rows.dimensions()
    for column, condition in rule.match.items():
        held = sets.values(column).series().unique(maintain_order=True)
        shown = tuple(held.head(MOST_VALUES))
        yield Because(column, conditions.said(condition), shown, len(held))


def nearly(trials: Sequence[Trial], *, only_unallocated: bool) -> list[Near]:
    """List the rules that nearly took the dearest charges: values misspelled, then by money.

    With `only_unallocated` what another rule took is left out: most rules nearly take most of it.
    """
    found: dict[tuple[object, ...], Near] = {}
    for each in trials:
        is_shown = pl.col("step") == rules.STEP_UNALLOCATED if only_unallocated else pl.lit(True)
        places = each.sets.with_row_index("~place").filter(is_shown).get_column("~place")
        for row in places.head(_MOST_EXAMINED):
            facts = each.sets.row(row, named=True)
            for attempt in trial.attempts(each, row):
                if attempt.nearly:
                    near = _near(attempt, facts)
                    key = (near.rule, near.column, near.value, near.taken_by)
                    known = found.setdefault(key, near)
                    known.charges += facts[CHARGES]
                    code = facts[CURRENCY]
                    known.billed[code] = known.billed.get(code, Decimal(0)) + facts[BILLED]
    return sorted(
        found.values(),
        key=lambda one: (
            not one.is_spelling,
            -max(map(abs, one.billed.values())),
            one.rule,
            one.column,
        ),
    )


def _near(attempt: Attempt, facts: Mapping[str, object]) -> Near:
    (missed,) = (each for each in attempt.tried if not each.held)
    taken_by = None if facts["step"] == rules.STEP_UNALLOCATED else str(facts["rule"])
    return Near(
        attempt.rule.id, missed.column, missed.condition, missed.value, taken_by, missed.is_near
    )


def charge(
    warehouse: Warehouse, organization: Organization, charge_id: str
) -> tuple[Trial, Mapping[str, object]]:
    """Try the rules on one charge; returns the trial, and the charge itself.

    `charge_id` may be the beginning of an id. Raises `ConfigError` unless it means one charge.
    """
    if len(charge_id) < _SHORTEST_ID:
        raise ConfigError(
            f"--charge {charge_id!r}: write at least {_SHORTEST_ID} characters of the charge's id"
        )
    found: list[tuple[Partition, pl.DataFrame]] = []
    for partition in charges.partitions(warehouse):
        is_meant = pl.col("x_ChargeId").str.starts_with(charge_id)
        rows = charges.read(warehouse, partition).filter(is_meant).collect()
        found += [(partition, rows)] if len(rows) else []
    if sum(len(rows) for _, rows in found) != 1:
        said = "there is no charge with this id" if not found else "several charges begin with this"
        raise ConfigError(f"--charge {charge_id!r}: {said}; `finops trace` shows ids of charges")
    partition, rows = found[0]
    one = rows.with_columns(
        pl.lit(partition.provider).alias("provider"),
        pl.lit(partition.source).alias("source"),
        pl.lit(1, pl.Int64).alias(CHARGES),
        pl.col("BilledCost").alias(BILLED),
        pl.col("x_ChargeId").alias(DEAREST),
    )
    valid = organization.on(partition.day)
    sets = decided(one, organization, partition.day)
    facts = {name: value for name, value in rows.row(0, named=True).items() if value is not None}
    return Trial(valid, sets), facts
