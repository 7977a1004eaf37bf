"""Rules, lookups and virtual tags as `organization.toml` writes them.

They are dated: a rule counts on the days from `valid_from` on and before `valid_to`, so that last
March is explained by last March's rules.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from finops import conditions, focus
from finops.conditions import Condition
from finops.errors import Issue
from finops.identity import Slug, slug
from finops.settings import Frozen, suggestion

VIRTUAL = "VirtualTags"
"""`VirtualTags.env` is to the virtual tag `env` what `Tags.env` is to a tag of the bill."""

_NESTED = {
    VIRTUAL,
    focus.WORKLOAD,
    *(column.name for column in focus.CONTENT if column.kind is focus.JSON),
}


Match = Mapping[
    # Pydantic does not know recursive types: what `read` returns is a `Condition`.
    str, Annotated[Any, PlainValidator(conditions.read), PlainSerializer(conditions.written)]
]


class Dated(Frozen):
    """What exists from `valid_from` (or always) until before `valid_to` (or for ever)."""

    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _lasting(self) -> "Dated":
        if self.valid_from and self.valid_to and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is its first day gone: it must be later than valid_from")
        return self

    def valid_on(self, day: date) -> bool:
        """Tell whether it exists on `day` (`valid_to` is its first day gone)."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day < self.valid_to)

    @property
    def is_dated(self) -> bool:
        """Tell whether it begins or ends at all."""
        return self.valid_from is not None or self.valid_to is not None

    def covers(self, other: "Dated") -> bool:
        """Tell whether it exists on every day on which `other` does."""
        begun = self.valid_from is None or (
            other.valid_from is not None and self.valid_from <= other.valid_from
        )
        return begun and (
            self.valid_to is None
            or (other.valid_to is not None and other.valid_to <= self.valid_to)
        )


def flattened(rule: Any) -> Any:
    """Bring the conditions of a rule's table to one level: see `Rule`."""
    match = rule.get("match") if isinstance(rule, dict) else None
    if not isinstance(match, dict):
        return rule
    flat: dict[str, Any] = {}
    for name, condition in match.items():
        if name in _NESTED and isinstance(condition, dict):
            flat |= {f"{name}.{key}": value for key, value in condition.items()}
        else:
            flat[name] = condition
    return {**rule, "match": flat}


class Matching(Frozen):
    """What has conditions in a table `match`."""

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, table: Any) -> Any:
        """Accept `Tags.team = …`, which TOML reads as a table, for `"Tags.team" = …`."""
        return flattened(table)


class Rule(Matching, Dated):
    """Charges that meet every condition of `match` go where one of the outcomes says.

    `cost_center_from` names a column or tag whose value is a cost center's id, name or alias; with
    `lookup`, a value in that lookup.
    """

    id: str = Field(min_length=1)
    match: Match
    cost_center: Slug | None = None
    cost_center_from: str | None = None
    lookup: str | None = None
    split: str | None = None

    @model_validator(mode="after")
    def _one_outcome(self) -> "Rule":
        outcomes = [self.cost_center, self.cost_center_from, self.split]
        if sum(outcome is not None for outcome in outcomes) != 1:
            raise ValueError("write exactly one of cost_center, cost_center_from and split")
        if self.lookup is not None and self.cost_center_from is None:
            raise ValueError("a lookup takes the column it looks up: write cost_center_from too")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns and tags the rule looks at."""
        looked_up = (self.cost_center_from,) if self.cost_center_from else ()
        return (*self.match, *looked_up)


class VirtualValue(Matching, Dated):
    """One line of a virtual tag: the value of charges that meet `match` (all without one).

    `value_from` takes the value of a column or tag, and does not match where there is none.
    """

    value: str | None = Field(default=None, min_length=1)
    value_from: str | None = None
    match: Match = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_value(self) -> "VirtualValue":
        if (self.value is None) == (self.value_from is None):
            raise ValueError("write exactly one of value and value_from")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns and tags the line looks at."""
        return (*self.match, *((self.value_from,) if self.value_from else ()))


VirtualTags = Mapping[str, tuple[VirtualValue, ...]]
Lookups = Mapping[str, Mapping[str, Slug]]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules with all that they may refer to by name."""

    rules: Sequence[Rule]
    lookups: Lookups
    virtual_tags: VirtualTags
    cost_centers: Collection[str]
    splits: Collection[str]

    def broken(self, name: str) -> Iterator[Issue]:
        """Find every reference that leads nowhere; `name` is the file's."""
        yield from self._broken_lookups(name)
        yield from self._broken_virtual_tags(name)
        seen: set[str] = set()
        for place, rule in enumerate(self.rules):
            where = f"{name}: rules[{place}] ({rule.id})"
            if rule.id in seen:
                yield Issue(f"{where}: id", "is used by an earlier rule too; rename one of the two")
            seen.add(rule.id)
            yield from self._broken_outcome(rule, where)
            if not rule.match:
                yield Issue(
                    f"{where}: match",
                    "is empty; to match every charge write { BillingCurrency = true }",
                )
            yield from _broken_columns(rule.columns, where, list(self.virtual_tags))
            yield from broken_patterns(rule.match, where)

    def _broken_outcome(self, rule: Rule, where: str) -> Iterator[Issue]:
        outcomes = (
            ("cost_center", "cost center", rule.cost_center, self.cost_centers),
            ("split", "split", rule.split, self.splits),
            ("lookup", "lookup", rule.lookup, self.lookups),
        )
        for key, kind, given, known in outcomes:
            if given is not None and given not in known:
                yield Issue(
                    f"{where}: {key}",
                    f"there is no {kind} {given!r}; {suggestion(given, [*known])}",
                )

    def _broken_lookups(self, name: str) -> Iterator[Issue]:
        for lookup, table in self.lookups.items():
            meanings: dict[str, tuple[str, str]] = {}
            for value, center in table.items():
                where = f"{name}: lookups.{lookup}.{value}"
                if center not in self.cost_centers:
                    hint = suggestion(center, list(self.cost_centers))
                    yield Issue(where, f"there is no cost center {center!r}; {hint}")
                first, meant = meanings.setdefault(slug(value) or value, (value, center))
                if meant != center:
                    yield Issue(
                        where, f"is spelled like {first!r} but means another; keep one of the two"
                    )

    def _broken_virtual_tags(self, name: str) -> Iterator[Issue]:
        above: list[str] = []
        for tag, lines in self.virtual_tags.items():
            for place, line in enumerate(lines):
                where = f"{name}: virtual_tags.{tag}[{place}]"
                yield from _broken_columns(line.columns, where, above)
                yield from broken_patterns(line.match, where)
            above.append(tag)


def _broken_columns(columns: Sequence[str], where: str, tags: Sequence[str]) -> Iterator[Issue]:
    for column in columns:
        head, _, tag = column.partition(".")
        if head == VIRTUAL:
            if tag not in tags:
                hint = suggestion(tag, tags)
                yield Issue(
                    f"{where}: {column}", f"no virtual tag {tag!r} is defined above this; {hint}"
                )
        elif not focus.is_dimension(column):
            hint = suggestion(column, focus.DIMENSIONS)
            yield Issue(f"{where}: {column}", f"is no column a rule can look at; {hint}")


def broken_patterns(match: Mapping[str, Condition], where: str) -> Iterator[Issue]:
    """Find regular expressions that are none."""
    for column, condition in match.items():
        for regex in conditions.patterns(condition):
            try:
                re.compile(regex)
            except re.error as error:
                yield Issue(
                    f"{where}: match.{column}", f"{regex!r} is no regular expression: {error}"
                )
