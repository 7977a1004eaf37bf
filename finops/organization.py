"""`organization.toml`: cost centers, splits, and the rulebook.

Everything is checked when the file is read: an `Organization` that exists has a tree without
cycles, rules that name existing cost centers and columns, and shares that add up to one.
"""

import bisect
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from finops import focus, idle, splits
from finops.errors import ConfigError, Issue
from finops.identity import Slug, slug
from finops.idle import Idle
from finops.listed import Lists
from finops.rulebook import (
    Dated,
    Lookups,
    Rule,
    Rulebook,
    VirtualTags,
    broken_patterns,
    flattened,
)
from finops.settings import (
    Currency,
    Exact,
    Frozen,
    issues_of,
    read_toml,
    reserved_keys,
    salvaged,
    suggestion,
)
from finops.splits import Split

FILE_NAME = "organization.toml"


class CostCenterType(StrEnum):
    """The levels of an organization, from the top."""

    BUSINESS_UNIT = "business_unit"
    DIVISION = "division"
    DEPARTMENT = "department"
    TEAM = "team"
    PROJECT = "project"


class Budget(Frozen):
    """What a cost center may spend in a billing month, with everything below it."""

    amount: Exact = Field(gt=0)
    currency: Currency = "USD"


class CostCenter(Dated):
    """A node of the organization. `aliases` are further names that tags use for it."""

    type: CostCenterType
    name: str = Field(min_length=1)
    parent: Slug | None = None
    owners: tuple[str, ...] = ()
    aliases: tuple[Slug, ...] = ()
    budget: Budget | None = None


class Organization(Frozen):
    """Who there is, and which charges are whose. `text` is the file as it was read."""

    cost_centers: Mapping[Slug, CostCenter] = {}
    rules: tuple[Rule, ...] = ()
    splits: Mapping[str, Split] = {}
    lookups: Lookups = Field(default_factory=dict)
    virtual_tags: VirtualTags = Field(default_factory=dict)
    idle: Idle = Idle()
    text: str = Field(default="", exclude=True)

    @functools.cached_property
    def by_name(self) -> dict[str, str]:
        """Map every slug and alias to the cost center it means."""
        names = {
            alias: id_ for id_, center in self.cost_centers.items() for alias in center.aliases
        }
        return {**names, **{id_: id_ for id_ in self.cost_centers}}

    @property
    def rulebook(self) -> Rulebook:
        """The rules with all that they may refer to."""
        return Rulebook(self.rules, self.lookups, self.virtual_tags, self.cost_centers, self.splits)

    @functools.cached_property
    def deciding(self) -> str:
        """Write, as canonical JSON, all that can change an allocation: not names or budgets."""
        named = {"rules", "splits", "lookups", "virtual_tags"}
        told = self.model_dump(mode="json", include=named)
        if self.idle != Idle():
            told["idle"] = self.idle.model_dump(mode="json")
        centers = {
            id_: center.model_dump(mode="json", include={"aliases", "valid_from", "valid_to"})
            for id_, center in self.cost_centers.items()
        }
        return json.dumps({**told, "cost_centers": centers}, sort_keys=True)

    def meant(self, value: str, lookup: str | None) -> str | None:
        """Find the cost center that a value names, by `lookup` or else by id and alias."""
        if lookup is None:
            return self.by_name.get(slug(value))
        exact, spelled = self._lookups[lookup]
        return exact.get(value) or spelled.get(slug(value))

    @functools.cached_property
    def _lookups(self) -> dict[str, tuple[Mapping[str, str], Mapping[str, str]]]:
        return {
            name: (table, {slug(value): center for value, center in table.items() if slug(value)})
            for name, table in self.lookups.items()
        }

    def on(self, day: date) -> "Organization":
        """Return the organization with the rules and virtual values of `day` alone.

        The same one for all days of an era.
        """
        era = self.era(day)
        if not any(rule.is_dated for rule in self._dated):
            return self
        if era not in self._eras:
            lines = self.virtual_tags.items()
            self._eras[era] = Organization.model_construct(
                cost_centers=self.cost_centers,
                splits=self.splits,
                lookups=self.lookups,
                idle=self.idle,
                rules=tuple(rule for rule in self.rules if rule.valid_on(day)),
                virtual_tags={
                    tag: tuple(line for line in given if line.valid_on(day)) for tag, given in lines
                },
                text=self.text,
            )
        return self._eras[era]

    def era(self, day: date) -> int:
        """Count the stretches of days before `day`; nothing begins or ends within one."""
        return bisect.bisect_right(self._turns, day)

    @functools.cached_property
    def _dated(self) -> list[Dated]:
        return [*self.rules, *(line for lines in self.virtual_tags.values() for line in lines)]

    @functools.cached_property
    def _turns(self) -> list[date]:
        dated = [*self._dated, *self.cost_centers.values()]
        days = {day for each in dated for day in (each.valid_from, each.valid_to)}
        return sorted(day for day in days if day is not None)

    @functools.cached_property
    def _eras(self) -> dict[int, "Organization"]:
        return {}

    def lineage(self, id_: str) -> tuple[str, ...]:
        """List a cost center and its ancestors, nearest first."""
        line: list[str] = []
        current: str | None = id_
        while current is not None and current not in line:
            line.append(current)
            center = self.cost_centers.get(current)
            current = center.parent if center else None
        return tuple(line)

    def descendants(self, id_: str) -> frozenset[str]:
        """List a cost center and everything below it."""
        return frozenset(child for child in self.cost_centers if id_ in self.lineage(child))


def load(path: Path, name: str | None = None) -> Organization:
    """Read `organization.toml`; raises `ConfigError` naming every mistake at once.

    `name` is what the mistakes call the file, its own name when left out.
    """
    lists = Lists(path.parent, name or path.name)
    table = lists.resolved(read_toml(path))
    text = path.read_text(encoding="utf-8") + lists.evidence()
    return parse(text, table, lists.name, lists.issues)


def parse(
    text: str, table: Mapping[str, Any], name: str = FILE_NAME, found: Sequence[Issue] = ()
) -> Organization:
    """Check an organization's `table`, read from `text`; `found` was wrong with it before."""
    issues = [*found, *reserved_keys(table, name, Organization), *_doubled_ids(table, name)]
    try:
        organization = Organization.model_validate({**table, "text": text})
    except ValidationError as error:
        issues += issues_of(error, name, Organization)
        organization = _salvaged(table)
    issues += [*_broken_references(organization, name), *organization.rulebook.broken(name)]
    if issues:
        raise ConfigError.of(issues)
    return organization


def _salvaged(table: Mapping[str, Any]) -> Organization:
    """Make what can be made of a faulty organization, so that its references are looked at too.

    Who is named in it is there, with whatever can be known; a rule that cannot be made out is
    one that breaks nothing.
    """
    centers, splits, lookups, tags = (
        found if isinstance(found := table.get(key), dict) else {}
        for key in ("cost_centers", "splits", "lookups", "virtual_tags")
    )
    rules = table.get("rules")
    return Organization.model_construct(
        cost_centers={slug(id_): salvaged(CostCenter, given) for id_, given in centers.items()},
        splits={key: salvaged(Split, given) for key, given in splits.items()},
        lookups={name: {} for name in lookups},
        virtual_tags=dict.fromkeys(tags, ()),
        idle=salvaged(Idle, table.get("idle")),
        rules=tuple(
            rule
            if (rule := salvaged(Rule, flattened(given))).model_fields_set >= {"id", "match"}
            else Rule.model_construct(id=f"#{place}", match={"BillingCurrency": True})
            for place, given in enumerate(rules if isinstance(rules, list) else ())
        ),
    )


def _doubled_ids(table: Mapping[str, Any], name: str) -> Iterator[Issue]:
    seen: dict[str, str] = {}
    centers = table.get("cost_centers")
    for id_ in centers if isinstance(centers, dict) else ():
        first = seen.setdefault(slug(id_), id_)
        if first != id_:
            yield Issue(
                f"{name}: cost_centers.{id_}", f"means the same as {first!r}; rename one of the two"
            )


def _broken_references(organization: Organization, name: str) -> Iterator[Issue]:
    centers = organization.cost_centers
    aliases: dict[str, str] = {}
    for id_, center in centers.items():
        where = f"{name}: cost_centers.{id_}"
        if center.parent is not None and center.parent not in centers:
            hint = suggestion(center.parent, list(centers))
            yield Issue(f"{where}.parent", f"there is no cost center {center.parent!r}; {hint}")
        elif center.parent is not None and id_ in organization.lineage(center.parent):
            circle = " > ".join((*organization.lineage(id_), id_))
            yield Issue(f"{where}.parent", f"the hierarchy goes in a circle ({circle}); break it")
        for alias in center.aliases:
            owner = alias if alias in centers else aliases.setdefault(alias, id_)
            if owner != id_:
                yield Issue(f"{where}.aliases", f"{alias!r} already means {owner!r}; use another")
    yield from _broken_splits(organization, name)
    yield from idle.broken_references(organization.idle, centers, organization.splits, name)


def _broken_splits(organization: Organization, name: str) -> Iterator[Issue]:
    named, centers = organization.splits, organization.cost_centers
    for split_name, split in named.items():
        where = f"{name}: splits.{split_name}"
        for member in split.members:
            if member not in centers:
                hint = suggestion(member, list(centers))
                yield Issue(where, f"there is no cost center {member!r}; {hint}")
        for inner in split.inner:
            if inner not in named:
                yield Issue(where, f"there is no split {inner!r}; {suggestion(inner, list(named))}")
        yield from broken_patterns(split.match, where)
        for column in split.match:
            if column.partition(".")[0] not in {focus.TAGS, focus.WORKLOAD}:
                yield Issue(
                    f"{where}: match.{column}",
                    f"a telemetry split looks at workloads: write {focus.TAGS}.… or "
                    f"{focus.WORKLOAD}.…",
                )
    circle = splits.circle(named)
    if circle is not None:
        chain = " > ".join(circle)
        yield Issue(
            f"{name}: splits.{circle[0]}",
            f"the splits divide among each other in a circle ({chain}); break it",
        )
