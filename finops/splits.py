"""How a shared charge is divided among cost centers, as `organization.toml` says it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from finops import money, weights
from finops.identity import slug
from finops.rulebook import Match, Matching
from finops.settings import Currency, Exact
from finops.weights import Shares, Weighted

INNER = "splits."
"""What a member begins with that is itself a split, such as `splits.platform`."""

ATTRIBUTE = "attributes."
"""What a telemetry split goes by begins with when it is a number among a workload's attributes."""

Basis = Mapping[str, Mapping[str, Decimal]]
"""What measured splits go by: for each of them, how much each of its cost centers has."""
NOTHING: Basis = {}


class SplitMethod(StrEnum):
    """How a shared charge is divided."""

    EVEN = "even"
    FIXED = "fixed"
    PROPORTIONAL = "proportional"
    TELEMETRY = "telemetry"


class Span(StrEnum):
    """Over which days a measured split looks: the charge's day, its month, or the one before."""

    DAY = "day"
    MONTH = "month"
    PREVIOUS_MONTH = "previous_month"


COSTS = ("billed_cost", "effective_cost", "contracted_cost", "list_cost")
MEASURES = (*COSTS, "gpu_hours")
"""What a proportional split can go by."""

METRICS = ("gpu_hours", "used_gpu_hours", "hours", "weight")
"""What a telemetry split can go by, beside the attributes of workloads."""

_MEASURED = {SplitMethod.PROPORTIONAL, SplitMethod.TELEMETRY}
_METRIC = re.compile(rf"{'|'.join(METRICS)}|attributes\.[A-Za-z0-9_.-]+")


def _member(value: object) -> object:
    """Spell cost centers as slugs; leave the names of splits as they are."""
    if not isinstance(value, str) or value.startswith(INNER):
        return value
    if not slug(value):
        raise ValueError(f"{value!r} has no letter a to z and no digit; give it an id that has")
    return slug(value)


Member = Annotated[str, BeforeValidator(_member)]


class Split(Matching):
    """How a shared charge is divided among cost centers, and other splits (`splits.NAME`).

    `even`: equal parts. `fixed`: shares that add up to 1. `proportional`: by what the cost centers
    `among` which it divides carry without any split; costs count in `currency`. `telemetry`: by
    what their workloads tell. These two look at the days of `over`, and without `among` at all
    cost centers; what is below one of `among` counts for it.
    """

    method: SplitMethod
    among: tuple[Member, ...] = ()
    shares: Mapping[Member, Exact] = {}
    by: str | None = None
    over: Span = Span.DAY
    currency: Currency = "USD"
    match: Match = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> "Split":
        if self.method is SplitMethod.EVEN and (not self.among or self.shares):
            raise ValueError('method "even" takes `among`, a list of cost centers, and no shares')
        if self.method is SplitMethod.FIXED and (not self.shares or self.among):
            raise ValueError('method "fixed" takes `shares`, a share for each cost center')
        if len(set(self.among)) < len(self.among):
            raise ValueError("`among` names a cost center twice; name each once")
        self._demand_known()
        self._demand_basis()
        self._demand_whole()
        return self

    def _demand_known(self) -> None:
        """Refuse settings that this method would not look at."""
        allowed = {"method", "among", "shares"}
        if self.is_measured:
            allowed = {"method", "among", "by", "over"}
            allowed |= {"match"} if self.method is SplitMethod.TELEMETRY else {"currency"}
        if foreign := self.model_fields_set - allowed:
            raise ValueError(f'method "{self.method}" takes no `{min(foreign)}`; leave it out')

    def _demand_basis(self) -> None:
        if not self.is_measured:
            return
        if self.method is SplitMethod.PROPORTIONAL and self.by not in MEASURES:
            raise ValueError(f'method "proportional" takes `by`: {_either(MEASURES)}')
        if self.method is SplitMethod.TELEMETRY and not _METRIC.fullmatch(self.by or ""):
            metrics = _either((*METRICS, f"{ATTRIBUTE}NAME"))
            raise ValueError(f'method "telemetry" takes `by`: {metrics}')
        if self.inner:
            raise ValueError(
                f'method "{self.method}" divides among cost centers, not {INNER}{self.inner[0]}'
            )

    def _demand_whole(self) -> None:
        if any(share <= 0 for share in self.shares.values()):
            raise ValueError("every share must be greater than 0")
        if any(_decimals(share) > money.SCALE for share in self.shares.values()):
            raise ValueError(f"a share has more than {money.SCALE} decimals; round them")
        if self.shares and sum(self.shares.values()) != 1:
            total = sum(self.shares.values())
            raise ValueError(f"the shares add up to {total}, not 1; change them so that they do")

    @property
    def is_measured(self) -> bool:
        """Tell whether the shares depend on what the cost centers have."""
        return self.method in _MEASURED

    @property
    def members(self) -> list[str]:
        """List the cost centers that it names."""
        return sorted(name for name in {*self.among, *self.shares} if not name.startswith(INNER))

    @property
    def inner(self) -> list[str]:
        """List the splits among its members, by name."""
        named = {*self.among, *self.shares}
        return sorted(name.removeprefix(INNER) for name in named if name.startswith(INNER))

    def weighted(self, amounts: Mapping[str, Decimal]) -> Weighted:
        """Tell how much of the whole each member carries; `amounts` count when it is measured."""
        if self.is_measured:
            return weights.proportional(amounts)
        even = dict.fromkeys(self.among, Fraction(1, max(len(self.among), 1)))
        return even | {member: Fraction(share) for member, share in self.shares.items()}

    def target(self, lineage: Iterable[str]) -> str | None:
        """Find the member that what a cost center has counts for, by its lineage, nearest first."""
        if not self.among:
            return next(iter(lineage), None)
        return next((each for each in lineage if each in self.among), None)

    def as_written(self, left: Collection[str]) -> Shares | None:
        """Give the shares of its members `left` as the file writes them, such as 25 of 100.

        `None` when the file does not say: it is measured, or some are splits themselves.
        """
        if self.is_measured or self.inner:
            return None
        scale = 10 ** max((_decimals(share) for share in self.shares.values()), default=0)
        parts = dict.fromkeys(self.among, 1)
        parts |= {member: int(share * scale) for member, share in self.shares.items()}
        whole = sum(part for member, part in parts.items() if member in left)
        return tuple(
            (member, part, whole) for member, part in sorted(parts.items()) if member in left
        )


def _decimals(share: Decimal) -> int:
    return max(-int(share.as_tuple().exponent), 0)


def circle(splits: Mapping[str, Split]) -> tuple[str, ...] | None:
    """Find splits that divide among each other in a circle."""
    return weights.circle({name: split.inner for name, split in splits.items()})


def measured(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Choose the splits that depend on what cost centers have."""
    return {name: split for name, split in splits.items() if split.is_measured}


def used(splits: Mapping[str, Split], names: Collection[str]) -> frozenset[str]:
    """Name the splits that have a part in what `names` divide: themselves and those inside."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [each for each in splits[name].inner if each not in found]
    return frozenset(found)


def shares(
    splits: Mapping[str, Split], is_valid: Callable[[str], bool], basis: Basis
) -> dict[str, Shares]:
    """Resolve every split to shares of cost centers that `is_valid`: the inner ones first.

    The others share what would have been the part of one that is not. No shares: nobody is left,
    or a measured split has nothing to go by.
    """
    weighed: dict[str, Weighted] = {}
    found: dict[str, Shares] = {}
    for name in weights.inner_first({name: split.inner for name, split in splits.items()}):
        split = splits[name]
        own = {
            member: weight
            for member, weight in split.weighted(basis.get(name, {})).items()
            if member.startswith(INNER) or is_valid(member)
        }
        inner = {INNER + each: weighed[each] for each in split.inner}
        weighed[name] = weights.chained(weights.among_those_left(own), inner)
        written = split.as_written(weighed[name])
        found[name] = weights.whole_numbers(weighed[name]) if written is None else written
    return found


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"
