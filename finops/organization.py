"""`organization.toml`: cost centers, rules and splits.

Everything is checked when the file is read: an `Organization` that exists has a tree without
cycles, rules that name existing cost centers and columns, and shares that add up to one.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from finops import focus, idle, money
from finops.errors import ConfigError, Issue
from finops.identity import Slug, slug
from finops.idle import Idle
from finops.settings import Frozen, issues_of, read_toml, reserved_keys, salvaged, suggestion

FILE_NAME = "organization.toml"
CURRENCY_PATTERN = r"^[A-Z]{3}$"


class CostCenterType(StrEnum):
    """The levels of an organization, from the top."""

    BUSINESS_UNIT = "business_unit"
    DIVISION = "division"
    DEPARTMENT = "department"
    TEAM = "team"
    PROJECT = "project"


class SplitMethod(StrEnum):
    """How a shared charge is divided."""

    EVEN = "even"
    FIXED = "fixed"


def _exact(value: object) -> object:
    """Refuse what has already lost digits: a float from a caller's own dictionary."""
    if isinstance(value, float):
        raise ValueError("write amounts and shares as decimals or text, not binary floats")  # noqa: TRY004
    return value


def _condition(value: object) -> object:
    """Refuse here what no kind of condition is: a union would complain once for each kind."""
    texts = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
    regex = isinstance(value, dict) and [*map(type, value.values())] == [str] and "regex" in value
    if not (isinstance(value, bool | str | Pattern) or (texts and value) or regex):
        raise ValueError(f'write text, a list of texts, true or {{ regex = "…" }}, not {value!r}')
    return value


def _currency(code: str) -> str:
    if not re.fullmatch(CURRENCY_PATTERN, code):
        right = code.strip().upper()
        hint = right if re.fullmatch(CURRENCY_PATTERN, right) else "a code such as USD"
        raise ValueError(f"{code!r} is no ISO 4217 currency code; write {hint}")
    return code


Exact = Annotated[Decimal, BeforeValidator(_exact)]


class Budget(Frozen):
    """What a cost center may spend in a billing month, with everything below it."""

    amount: Exact = Field(gt=0)
    currency: Annotated[str, AfterValidator(_currency)] = "USD"


class CostCenter(Frozen):
    """A node of the organization. `aliases` are further names that tags use for it."""

    type: CostCenterType
    name: str = Field(min_length=1)
    parent: Slug | None = None
    owners: tuple[str, ...] = ()
    aliases: tuple[Slug, ...] = ()
    budget: Budget | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _lasting(self) -> "CostCenter":
        if self.valid_from and self.valid_to and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is its first day gone: it must be later than valid_from")
        return self

    def valid_on(self, day: date) -> bool:
        """Tell whether the cost center exists on `day` (`valid_to` is its first day gone)."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day < self.valid_to)


class Pattern(Frozen):
    """`{ regex = "…" }`: the whole value matches this regular expression."""

    regex: str


Condition = Annotated[bool | str | tuple[str, ...] | Pattern, BeforeValidator(_condition)]
"""True: there is a value. Text: equal, or a glob when it holds * or ?. Several: any of them."""


def flattened(rule: Any) -> Any:
    """Bring the conditions of a rule's table to one level: see `Rule`."""
    match = rule.get("match") if isinstance(rule, dict) else None
    if not isinstance(match, dict):
        return rule
    flat: dict[str, Any] = {}
    for name, condition in match.items():
        if name in focus.NESTED and isinstance(condition, dict):
            flat |= {f"{name}.{key}": value for key, value in condition.items()}
        else:
            flat[name] = condition
    return {**rule, "match": flat}


class Rule(Frozen):
    """Charges that meet every condition of `match` go where one of the other three says."""

    id: str = Field(min_length=1)
    match: Mapping[str, Condition]
    cost_center: Slug | None = None
    cost_center_from: str | None = None
    split: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, table: Any) -> Any:
        """Accept `Tags.team = …`, which TOML reads as a table, for `"Tags.team" = …`."""
        return flattened(table)

    @model_validator(mode="after")
    def _one_outcome(self) -> "Rule":
        outcomes = [self.cost_center, self.cost_center_from, self.split]
        if sum(outcome is not None for outcome in outcomes) != 1:
            raise ValueError("write exactly one of cost_center, cost_center_from and split")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns and tags the rule looks at."""
        looked_up = (self.cost_center_from,) if self.cost_center_from else ()
        return (*self.match, *looked_up)


class Split(Frozen):
    """How a shared charge is divided: `even` among some, or by `fixed` shares that add up to 1."""

    method: SplitMethod
    among: tuple[Slug, ...] = ()
    shares: Mapping[Slug, Exact] = {}

    @model_validator(mode="after")
    def _complete(self) -> "Split":
        if self.method is SplitMethod.EVEN and (not self.among or self.shares):
            raise ValueError('method "even" takes `among`, a list of cost centers, and no shares')
        if self.method is SplitMethod.FIXED and (not self.shares or self.among):
            raise ValueError('method "fixed" takes `shares`, a share for each cost center')
        if len(set(self.among)) < len(self.among):
            raise ValueError("`among` names a cost center twice; name each once")
        if any(share <= 0 for share in self.shares.values()):
            raise ValueError("every share must be greater than 0")
        if any(_decimals(share) > money.SCALE for share in self.shares.values()):
            raise ValueError(f"a share has more than {money.SCALE} decimals; round them")
        if self.shares and sum(self.shares.values()) != 1:
            total = sum(self.shares.values())
            raise ValueError(f"the shares add up to {total}, not 1; change them so that they do")
        return self

    @property
    def members(self) -> list[str]:
        """List the cost centers that carry a part."""
        return sorted({*self.among, *self.shares})

    @functools.cached_property
    def weights(self) -> tuple[tuple[str, int, int], ...]:
        """List (cost center, numerator, denominator), sorted by cost center; sums to one."""
        if self.method is SplitMethod.EVEN:
            members = sorted(self.among)
            return tuple((member, 1, len(members)) for member in members)
        places = max(_decimals(share) for share in self.shares.values())
        scale = 10**places
        return tuple(
            (member, int(share * scale), scale) for member, share in sorted(self.shares.items())
        )


def _decimals(share: Decimal) -> int:
    return max(-int(share.as_tuple().exponent), 0)


class Organization(Frozen):
    """Who there is, and which charges are whose. `text` is the file as it was read."""

    cost_centers: Mapping[Slug, CostCenter] = {}
    rules: tuple[Rule, ...] = ()
    splits: Mapping[str, Split] = {}
    idle: Idle = Idle()
    text: str = Field(default="", exclude=True)

    @functools.cached_property
    def by_name(self) -> dict[str, str]:
        """Map every slug and alias to the cost center it means."""
        names = {
            alias: id_ for id_, center in self.cost_centers.items() for alias in center.aliases
        }
        return {**names, **{id_: id_ for id_ in self.cost_centers}}

    @functools.cached_property
    def deciding(self) -> str:
        """Write, as canonical JSON, all that can change an allocation: not names or budgets."""
        told = self.model_dump(mode="json", include={"rules", "splits"})
        if self.idle != Idle():
            told["idle"] = self.idle.model_dump(mode="json")
        centers = {
            id_: center.model_dump(mode="json", include={"aliases", "valid_from", "valid_to"})
            for id_, center in self.cost_centers.items()
        }
        return json.dumps({**told, "cost_centers": centers}, sort_keys=True)

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


def load(path: Path) -> Organization:
    """Read `organization.toml`; raises `ConfigError` naming every mistake at once."""
    table = read_toml(path)
    return parse(path.read_text(encoding="utf-8"), table, path.name)


def parse(text: str, table: Mapping[str, Any], name: str = FILE_NAME) -> Organization:
    """Check an organization's `table`, read from `text`."""
    issues = [*reserved_keys(table, name, Organization), *_doubled_ids(table, name)]
    try:
        organization = Organization.model_validate({**table, "text": text})
    except ValidationError as error:
        issues += issues_of(error, name, Organization)
        organization = _salvaged(table)
    issues += [*_broken_references(organization, name), *_broken_rules(organization, name)]
    if issues:
        raise ConfigError.of(issues)
    return organization


def _salvaged(table: Mapping[str, Any]) -> Organization:
    """Make what can be made of a faulty organization, so that its references are looked at too.

    Who is named in it is there, with whatever can be known; a rule that cannot be made out is
    one that breaks nothing.
    """
    centers, splits = (
        found if isinstance(found := table.get(key), dict) else {}
        for key in ("cost_centers", "splits")
    )
    rules = table.get("rules")
    return Organization.model_construct(
        cost_centers={slug(id_): salvaged(CostCenter, given) for id_, given in centers.items()},
        splits={key: salvaged(Split, given) for key, given in splits.items()},
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
    for split_name, split in organization.splits.items():
        for member in split.members:
            if member not in centers:
                hint = suggestion(member, list(centers))
                yield Issue(
                    f"{name}: splits.{split_name}", f"there is no cost center {member!r}; {hint}"
                )
    yield from idle.broken_references(organization.idle, centers, organization.splits, name)


def _broken_rules(organization: Organization, name: str) -> Iterator[Issue]:
    seen: set[str] = set()
    for place, rule in enumerate(organization.rules):
        where = f"{name}: rules[{place}] ({rule.id})"
        if rule.id in seen:
            yield Issue(f"{where}: id", "is used by an earlier rule too; rename one of the two")
        seen.add(rule.id)
        if rule.cost_center is not None and rule.cost_center not in organization.cost_centers:
            hint = suggestion(rule.cost_center, list(organization.cost_centers))
            yield Issue(
                f"{where}: cost_center", f"there is no cost center {rule.cost_center!r}; {hint}"
            )
        if rule.split is not None and rule.split not in organization.splits:
            hint = suggestion(rule.split, list(organization.splits))
            yield Issue(f"{where}: split", f"there is no split {rule.split!r}; {hint}")
        if not rule.match:
            yield Issue(
                f"{where}: match",
                "is empty; to match every charge write { BillingCurrency = true }",
            )
        for column in rule.columns:
            if not focus.is_dimension(column):
                hint = suggestion(column, focus.DIMENSIONS)
                yield Issue(f"{where}: {column}", f"is no column a rule can look at; {hint}")
        yield from _broken_patterns(rule, where)


def _broken_patterns(rule: Rule, where: str) -> Iterator[Issue]:
    for column, condition in rule.match.items():
        if isinstance(condition, Pattern):
            try:
                re.compile(condition.regex)
            except re.error as error:
                yield Issue(
                    f"{where}: match.{column}",
                    f"{condition.regex!r} is no regular expression: {error}",
                )
