"""The shares of splits: exact, in chains too."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import weights

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


def test_a_chain_multiplies() -> None:
    found = weights.chained(
        {"red": HALF, "splits.overhead": HALF},
        {"splits.overhead": {"red": THIRD, "blue": 2 * THIRD}},
    )
    assert found == {"red": Fraction(2, 3), "blue": THIRD}
    assert weights.whole_numbers(found) == (("blue", 1, 3), ("red", 2, 3))


def test_an_inner_split_without_members_is_carried_by_the_others() -> None:
    found = weights.chained(
        {"red": THIRD, "blue": THIRD, "splits.gone": THIRD}, {"splits.gone": {}}
    )
    assert found == {"red": HALF, "blue": HALF}


def test_nobody_is_left() -> None:
    assert weights.chained({"splits.gone": Fraction(1)}, {"splits.gone": {}}) == {}
    assert weights.whole_numbers({}) == ()


def test_the_inner_one_comes_first() -> None:
    inner = {"a": ["b"], "b": ["c"], "c": [], "d": ["b"]}
    assert list(weights.inner_first(inner)) == ["c", "b", "a", "d"]
    assert weights.circle(inner) is None


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b"], "b": ["a"]}, ("a", "b", "a")),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, ("a", "b", "c", "a")),
    ],
)
def test_a_circle_is_found(inner: dict[str, list[str]], found: tuple[str, ...]) -> None:
    circle = weights.circle(inner)
    assert circle is not None
    assert circle[0] == circle[-1]
    assert set(circle) == set(found)
    assert all(after in inner[before] for before, after in itertools.pairwise(circle))


def test_what_is_too_fine_is_rounded_and_still_whole() -> None:
    fine = {"red": Fraction(1, 10**18 + 9), "blue": 1 - Fraction(1, 10**18 + 9)}
    assert weights.whole_numbers(fine) == (
        ("blue", 10**18 - 1, 10**18),
        ("red", 1, 10**18),
    )


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**38), max_size=8))
def test_shares_are_the_weights_and_add_up(parts: dict[str, int]) -> None:
    whole = sum(parts.values())
    found = weights.whole_numbers({name: Fraction(part, whole) for name, part in parts.items()})
    assert sum(num for _, num, _ in found) == (found[0][2] if found else 0)
    for center, num, den in found:
        assert 0 < num <= den <= weights.FINEST
        assert abs(num * whole - parts[center] * den) < whole, "off by less than one"
