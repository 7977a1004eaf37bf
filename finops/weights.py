"""The weights of a split: which cost center carries which part, as whole numbers over one another.

A split divides among cost centers and other splits; the parts of an inner split are multiplied
into the outer one, so a chain of overheads ends in cost centers. The inner one always comes first,
and a chain that comes back to itself has no beginning: it is refused.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter

from finops import money

FINEST = 10**money.SCALE
"""The largest denominator of a share: an amount modulo it, times a share, stays within 128 bits."""

Weighted = Mapping[str, Fraction]
"""How much of the whole each member carries; adds up to one, or is empty."""

Shares = tuple[tuple[str, int, int], ...]
"""(cost center, numerator, denominator) by name; the numerators add up to the denominator."""


def circle(inner: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Find splits that divide among each other in a circle, its first name again at its end.

    `inner` lists for each split the splits among its members.
    """
    try:
        TopologicalSorter(inner).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return None


def inner_first(inner: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Name the splits so that each comes after those it divides among."""
    sorter = TopologicalSorter({name: sorted(inner[name]) for name in sorted(inner)})
    return (name for name in sorter.static_order() if name in inner)


def proportional(amounts: Mapping[str, Decimal]) -> Weighted:
    """Weigh cost centers by what they have; nothing and less than nothing (credits) weigh nothing.

    Empty when nobody has anything: there is no proportion then.
    """
    have = {center: Fraction(amount) for center, amount in amounts.items() if amount > 0}
    whole = sum(have.values())
    return {center: amount / whole for center, amount in have.items()}


def among_those_left(weights: Weighted) -> Weighted:
    """Make weights add up to one again, after some members went away."""
    whole = sum(weights.values())
    return {member: weight / whole for member, weight in weights.items()} if whole else {}


def chained(weights: Weighted, inner: Mapping[str, Weighted]) -> Weighted:
    """Replace members that are splits by what these divide among.

    `inner` holds the weights of those splits by member name. A split that divides among nobody
    carries nothing: the other members share its part.
    """
    empty = {member for member, parts in inner.items() if not parts}
    left = among_those_left(
        {member: weight for member, weight in weights.items() if member not in empty}
    )
    found: dict[str, Fraction] = {}
    for member, weight in left.items():
        for center, part in inner.get(member, {member: Fraction(1)}).items():
            found[center] = found.get(center, Fraction(0)) + weight * part
    return found


def whole_numbers(weights: Weighted) -> Shares:
    """Write weights as shares of the smallest common denominator.

    Where that is larger than `FINEST` they are rounded to it by largest remainder, the
    alphabetically first cost center first among equals; they add up to the whole all the same.
    """
    centers = sorted(weights)
    den = math.lcm(*(weight.denominator for weight in weights.values()))
    numerators = [int(weights[center] * den) for center in centers]
    if den > FINEST:
        parts = money.split(Decimal(1), numerators)
        numerators, den = [money.atoms(part) for part in parts], FINEST
    assert sum(numerators) == (den if centers else 0), "the shares must add up to the whole"
    return tuple((center, num, den) for center, num in zip(centers, numerators, strict=True) if num)
