"""Deciding whose a charge is, once per distinct set of dimensions.

A bill of millions of rows has thousands of distinct tags, accounts and resources. Each condition
is tried on the distinct values of its own column, the rules on the distinct combinations, and
the outcome is joined back: the cost of a rule set does not grow with the rows.
"""

import functools
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from finops import focus
from finops.identity import slug
from finops.organization import Condition, Organization, Pattern, Rule

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

_GLOB = re.compile(r"[*?]")
_UNDECIDED = -1
_MOST_REMEMBERED = 500_000


@dataclass(frozen=True, slots=True)
class _Values:
    """One column or tag of the dimension sets: its distinct values and each set's place in them."""

    distinct: list[str | None]
    codes: pl.Series

    def mask(self, condition: Condition) -> pl.Series | None:
        """Tell for every dimension set whether its value meets `condition`; `None` if none does.

        Most rules match none of the few sets that are new in a later partition.
        """
        held = _held(condition, self.distinct)
        return pl.Series(held, dtype=pl.Boolean).gather(self.codes) if any(held) else None


def columns(organization: Organization) -> list[str]:
    """List the FOCUS columns that the rules look at; tags and unknown columns come as JSON."""
    names = {_stored_in(name) for rule in organization.rules for name in rule.columns}
    return sorted(names - {"provider", "source"})


def decide(
    dimensions: pl.DataFrame, organization: Organization, constants: Mapping[str, str]
) -> pl.DataFrame:
    """Add to each dimension set what the first matching rule says: see `DECISION_SCHEMA`.

    `dimensions` has the `columns` of the organization, each combination once; `constants` holds
    `provider` and `source`. Sets that no rule matches get the step `unallocated` and a reason.
    """
    sets = _DimensionSets(dimensions, constants)
    decided = pl.repeat(_UNDECIDED, len(dimensions), dtype=pl.Int32, eager=True)
    centers = pl.repeat(None, len(dimensions), dtype=pl.String, eager=True)
    for place, rule in enumerate(organization.rules):
        matching = sets.matching(rule)
        if matching is None:
            continue
        matched = matching & (decided == _UNDECIDED)
        if rule.cost_center_from is not None:
            found = sets.looked_up(rule.cost_center_from, organization.by_name)
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
    """Return the decider of a source, the same one for the same rules as long as it is in use."""
    return _decider(_Asked(organization.deciding, provider, source, organization))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What tells deciders apart: all that can change a decision, as text."""

    deciding: str
    provider: str
    source: str
    organization: Organization = field(compare=False)


@functools.lru_cache(maxsize=16)
def _decider(asked: _Asked) -> Decider:
    return Decider(asked.organization, {"provider": asked.provider, "source": asked.source})


def _outcome(
    organization: Organization, sets: "_DimensionSets", decided: pl.Series, centers: pl.Series
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
    reasons = sets.reasons(rules, (decided == _UNDECIDED).arg_true())
    return (
        decided.to_frame("place")
        .join(outcomes, on="place", how="left", maintain_order="left")
        .with_columns(
            centers.alias("cost_center"),
            pl.Series("reason", [reasons.get(row) for row in range(len(decided))], pl.String),
        )
        .select(DECISION_SCHEMA.names())
    )


class _DimensionSets:
    """The distinct combinations, with each column and tag factorised the first time it is asked."""

    def __init__(self, dimensions: pl.DataFrame, constants: Mapping[str, str]) -> None:
        self._dimensions = dimensions
        self._constants = constants
        self._values: dict[str, _Values] = {}
        self._json: dict[str, tuple[list[Mapping[str, object]], pl.Series]] = {}

    def values(self, name: str) -> _Values:
        if name not in self._values:
            self._values[name] = self._factorised(name)
        return self._values[name]

    def matching(self, rule: Rule) -> pl.Series | None:
        """Tell for every set whether the rule matches it; `None` when it matches none."""
        matched: pl.Series | None = None
        for name, condition in rule.match.items():
            mask = self.values(name).mask(condition)
            if mask is None:
                return None
            matched = mask if matched is None else matched & mask
        return matched

    def looked_up(self, name: str, by_name: Mapping[str, str]) -> pl.Series:
        """Find the cost center that the value of `name` means, or null, for every set."""
        values = self.values(name)
        found = [by_name.get(slug(value)) if value else None for value in values.distinct]
        return pl.Series(found, dtype=pl.String).gather(values.codes)

    def reasons(self, rules: Sequence[Rule], rows: pl.Series) -> dict[int, str]:
        """Say for each undecided set why nothing matched, in words that show what would have."""
        if len(rows) == 0:
            return {}
        lookups = [rule for rule in rules if rule.cost_center_from is not None]
        masks = [(rule.cost_center_from or "", self.matching(rule)) for rule in lookups]
        return {row: self._reason(row, masks) for row in rows}

    def _reason(self, row: int, masks: Sequence[tuple[str, pl.Series | None]]) -> str:
        asked = list(dict.fromkeys(name for name, _ in masks))
        given = {name: self._value(name, row) for name in asked}
        for name, mask in masks:
            if mask is not None and mask[row] and given[name]:
                return f"{_spoken(name)} = {given[name]!r} names no cost center"
        missing = [_spoken(name) for name in asked if not given[name]]
        if missing:
            return f"no {' and no '.join(missing)}, and no other rule matches"
        return "no rule matches"

    def _value(self, name: str, row: int) -> str | None:
        values = self.values(name)
        return values.distinct[int(values.codes[row])]

    def _factorised(self, name: str) -> _Values:
        if name in self._constants:
            same = pl.repeat(0, len(self._dimensions), dtype=pl.Int64, eager=True)
            return _Values([self._constants[name]], same)
        stored = _stored_in(name)
        if stored == name:
            distinct, codes = _codes(self._dimensions.get_column(name))
            return _Values(distinct, codes)
        key = name.removeprefix(f"{stored}.")
        if stored not in self._json:
            texts, codes = _codes(self._dimensions.get_column(stored))
            self._json[stored] = ([json.loads(text) if text else {} for text in texts], codes)
        objects, codes = self._json[stored]
        distinct, places = _codes(
            pl.Series([_text_of(each.get(key)) for each in objects], dtype=pl.String)
        )
        return _Values(distinct, places.gather(codes))


def _stored_in(name: str) -> str:
    """Name the FOCUS column that holds `Tags.team`, `x_Other` or a plain column."""
    head, dot, _ = name.partition(".")
    if dot:
        return head
    unknown = name.startswith("x_") and name not in focus.BY_NAME
    return focus.SOURCE_COLUMNS if unknown else name


def _codes(column: pl.Series) -> tuple[list[str | None], pl.Series]:
    distinct = column.unique(maintain_order=True)
    places = pl.DataFrame({"value": distinct, "code": pl.int_range(len(distinct), eager=True)})
    codes = column.to_frame("value").join(
        places, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    return distinct.to_list(), codes.get_column("code")


def _text_of(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _held(condition: Condition, values: Sequence[str | None]) -> list[bool]:
    """Tell which values meet a condition."""
    match condition:
        case bool():
            return [(value is not None) is condition for value in values]
        case str() if _GLOB.search(condition):
            glob = re.compile("".join(_glob_parts(condition)), re.DOTALL)
            return _matched(glob, values)
        case str():
            return [value == condition for value in values]
        case Pattern():
            return _matched(re.compile(condition.regex), values)
        case tuple():
            return [
                any(each) for each in zip(*(_held(text, values) for text in condition), strict=True)
            ]


def _matched(pattern: re.Pattern[str], values: Sequence[str | None]) -> list[bool]:
    matches = pattern.fullmatch
    return [value is not None and matches(value) is not None for value in values]


def _glob_parts(text: str) -> Iterator[str]:
    for character in text:
        yield {"*": ".*", "?": "."}.get(character, re.escape(character))


def _spoken(name: str) -> str:
    return f"tag {name.removeprefix('Tags.')}" if name.startswith("Tags.") else name
