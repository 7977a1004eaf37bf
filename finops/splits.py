"""How a shared charge is divided among cost centers, as `organization.toml` says it."""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, model_validator

from finops import money, weights
from finops.identity import slug
from finops.settings import Exact, Frozen
from finops.weights import Shares, Weighted

INNER = "splits."
"""What a member begins with that is itself a split, such as `splits.platform`."""


class SplitMethod(StrEnum):
    """How a shared charge is divided."""

    EVEN = "even"
    FIXED = "fixed"


def _member(value: object) -> object:
    """Spell cost centers as slugs; leave the names of splits as they are."""
    if not isinstance(value, str) or value.startswith(INNER):
        return value
    if not slug(value):
        raise ValueError(f"{value!r} has no letter a to z and no digit; give it an id that has")
    return slug(value)


Member = Annotated[str, BeforeValidator(_member)]


class Split(Frozen):
    """How a shared charge is divided among cost centers, and other splits (`splits.NAME`).

    `even`: equal parts. `fixed`: shares that add up to 1.
    """

    method: SplitMethod
    among: tuple[Member, ...] = ()
    shares: Mapping[Member, Exact] = {}

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
        """List the cost centers that it names."""
        return sorted(name for name in {*self.among, *self.shares} if not name.startswith(INNER))

    @property
    def inner(self) -> list[str]:
        """List the splits among its members, by name."""
        named = {*self.among, *self.shares}
        return sorted(name.removeprefix(INNER) for name in named if name.startswith(INNER))

    @property
    def weighted(self) -> Weighted:
        """Tell how much of the whole each member carries."""
        even = dict.fromkeys(self.among, Fraction(1, max(len(self.among), 1)))
        return even | {member: Fraction(share) for member, share in self.shares.items()}

    def as_written(self, left: Collection[str]) -> Shares | None:
        """Give the shares of its members `left` as the file writes them, such as 25 of 100.

        `None` when the file does not say, because some are splits themselves.
        """
        if self.inner:
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


def shares(splits: Mapping[str, Split], is_valid: Callable[[str], bool]) -> dict[str, Shares]:
    """Resolve every split to shares of cost centers that `is_valid`: the inner ones first.

    The others share what would have been the part of one that is not. No shares: nobody is left.
    """
    weighed: dict[str, Weighted] = {}
    found: dict[str, Shares] = {}
    for name in weights.inner_first({name: split.inner for name, split in splits.items()}):
        split = splits[name]
        own = {
            member: weight
            for member, weight in split.weighted.items()
            if member.startswith(INNER) or is_valid(member)
        }
        inner = {INNER + each: weighed[each] for each in split.inner}
        weighed[name] = weights.chained(weights.among_those_left(own), inner)
        written = split.as_written(weighed[name])
        found[name] = weights.whole_numbers(weighed[name]) if written is None else written
    return found
