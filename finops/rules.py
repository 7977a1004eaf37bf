"""Deciding whose a charge is, once per distinct set of dimensions.

A bill of millions of rows has thousands of distinct tags, accounts and resources. Each condition
is tried on the distinct values of its own column, the rules on the distinct combinations, and
the outcome is joined back: the cost of a rule set does not grow with the rows.
"""

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from finops import focus
from finops.dimension_sets import DimensionSets, stored_columns
from finops.organization import Organization
from finops.rulebook import VIRTUAL, Rule

STEP_RULE = "rule"
STEP_SPLIT = "split"
STEP_UNALLOCATED = "unallocated"

DECISION_SCHEMA = pl.Schema(
    {
        "step": pl.String(),
        "rule": pl.String(),
        "cost_center": pl.String(),
        "split": pl.String(),
        "reason": pl.String(),
    }
)

_UNDECIDED = -1
_MOST_REMEMBERED = 500_000


def columns(organization: Organization) -> list[str]:
    """List the FOCUS columns that the rules look at; tags and unknown columns come as JSON."""
    names = (name for rule in organization.rules for name in rule.columns)
    return sorted(stored_columns(names, organization))


def decide(
    dimensions: pl.DataFrame, organization: Organization, constants: Mapping[str, str]
) -> pl.DataFrame:
    """Add to each dimension set what the first matching rule says: see `DECISION_SCHEMA`.

    `dimensions` has the `columns` of the organization, each combination once; `constants` holds
    `provider` and `source`. Sets that no rule matches get the step `unallocated` and a reason.
    """
    sets = DimensionSets(dimensions, organization, constants)
    decided = pl.repeat(_UNDECIDED, len(dimensions), dtype=pl.Int32, eager=True)
    centers = pl.repeat(None, len(dimensions), dtype=pl.String, eager=True)
    for place, rule in enumerate(organization.rules):
        matching = sets.matching(rule.match)
        if matching is None:
            continue
        matched = matching & (decided == _UNDECIDED)
        if rule.cost_center_from is not None:
            found = sets.looked_up(rule.cost_center_from, rule.lookup)
            matched &= found.is_not_null()
            centers = found.zip_with(matched, centers)
        elif rule.cost_center is not None:
            centers = pl.Series([rule.cost_center]).zip_with(matched, centers)
        decided = decided.set(matched, place)
    return dimensions.hstack(_outcome(organization, sets, decided, centers))


class Decider:
    """The rules of one organization for one source; it remembers what it decided."""

    def __init__(self, organization: Organization, constants: Mapping[str, str]) -> None:
        self._organization = organization
        self._constants = constants
        self._names = columns(organization)
        sets = pl.Schema(dict.fromkeys(self._names, pl.String()))
        self._known = pl.DataFrame(schema={**sets, **DECISION_SCHEMA})
        self._lock = threading.Lock()

    def decide(self, dimensions: pl.DataFrame) -> pl.DataFrame:
        """Do as the function `decide` does, for rows that may say the same and say more."""
        if not self._names:
            return decide(dimensions, self._organization, self._constants)
        with self._lock:
            known = self._known = self._learned(dimensions.select(self._names).unique())
        return dimensions.join(
            known, on=self._names, how="left", nulls_equal=True, maintain_order="left"
        )

    def _learned(self, sets: pl.DataFrame) -> pl.DataFrame:
        new = sets.join(self._known, on=self._names, how="anti", nulls_equal=True)
        if new.is_empty():
            return self._known
        if len(self._known) + len(new) > _MOST_REMEMBERED:
            return decide(sets, self._organization, self._constants)
        return self._known.vstack(decide(new, self._organization, self._constants))


def decider(organization: Organization, provider: str, source: str) -> Decider:
    """Return the decider of a source, the same one for the same rules as long as it is in use.

    Rules are dated: give the organization as it was `on` the day.
    """
    return _decider(_Asked(organization.deciding, provider, source, organization))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What tells deciders apart: all that can change a decision, as text."""

    deciding: str
    provider: str
    source: str
    organization: Organization = field(compare=False)


@functools.lru_cache(maxsize=64)
def _decider(asked: _Asked) -> Decider:
    return Decider(asked.organization, {"provider": asked.provider, "source": asked.source})


def _outcome(
    organization: Organization, sets: DimensionSets, decided: pl.Series, centers: pl.Series
) -> pl.DataFrame:
    rules = organization.rules
    outcomes = pl.DataFrame(
        [
            (place, STEP_SPLIT if rule.split else STEP_RULE, rule.id, rule.split)
            for place, rule in enumerate(rules)
        ]
        + [(_UNDECIDED, STEP_UNALLOCATED, None, None)],
        schema={"place": pl.Int32, "step": pl.String, "rule": pl.String, "split": pl.String},
        orient="row",
    )
    reasons = _reasons(rules, sets, (decided == _UNDECIDED).arg_true())
    return (
        decided.to_frame("place")
        .join(outcomes, on="place", how="left", maintain_order="left")
        .with_columns(
            centers.alias("cost_center"),
            pl.Series("reason", [reasons.get(row) for row in range(len(decided))], pl.String),
        )
        .select(DECISION_SCHEMA.names())
    )


def _reasons(rules: Sequence[Rule], sets: DimensionSets, rows: pl.Series) -> dict[int, str]:
    """Say for each undecided set why nothing matched, in words that show what would have."""
    if len(rows) == 0:
        return {}
    lookups = [
        (rule, rule.cost_center_from, sets.matching(rule.match))
        for rule in rules
        if rule.cost_center_from is not None
    ]
    return {row: _reason(row, sets, lookups) for row in rows}


def _reason(
    row: int, sets: DimensionSets, lookups: Sequence[tuple[Rule, str, pl.Series | None]]
) -> str:
    asked = list(dict.fromkeys(name for _, name, _ in lookups))
    given = {name: sets.values(name).at(row) for name in asked}
    for rule, name, mask in lookups:
        if mask is not None and mask[row] and given[name]:
            missed = f"is not in lookup {rule.lookup}" if rule.lookup else "names no cost center"
            return f"{spoken(name)} = {given[name]!r} {missed}"
    missing = [spoken(name) for name in asked if not given[name]]
    if missing:
        return f"no {' and no '.join(missing)}, and no other rule matches"
    return "no rule matches"


def spoken(name: str) -> str:
    """Say the name of a column or tag as people do: `tag team` for `Tags.team`."""
    head, _, key = name.partition(".")
    kind = {focus.TAGS: "tag", VIRTUAL: "virtual tag"}.get(head)
    return f"{kind} {key}" if kind and key else name
