from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import conditions
from finops.conditions import Condition, Listed, Not, Pattern, Prefix

VALUES = [None, "", "a", "ab", "abc", "b", "*", "a*", "B"]
TEXTS = st.sampled_from(["", "a", "ab", "a*", "*", "?", "b", "*b", "a?c"])
SIMPLE = st.one_of(
    st.booleans(),
    TEXTS,
    TEXTS.map(Prefix),
    st.just(Pattern("a.*")),
    st.frozensets(st.sampled_from(["a", "ab", "*"])).map(lambda values: Listed("l", values)),
)
CONDITIONS = st.recursive(
    SIMPLE, lambda inner: st.one_of(inner.map(Not), st.lists(inner, min_size=1).map(tuple))
)


def met(condition: Condition) -> list[str | None]:
    return [
        value
        for value, is_met in zip(VALUES, conditions.held(condition, VALUES), strict=True)
        if is_met
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Prefix("a"), ["a", "ab", "abc", "a*"]),
        (Prefix("a*"), ["a*"]),
        (Listed("file", frozenset({"a", "*"})), ["a", "*"]),
        (Not("a"), [None, "", "ab", "abc", "b", "*", "a*", "B"]),
        (Not(("a*", False)), ["", "b", "*", "B"]),
        ((Prefix("b"), False), [None, "b"]),
        (Not(True), [None]),
    ],
)
def test_which_values_meet_a_condition(condition: Condition, expected: list[str | None]) -> None:
    assert met(condition) == expected


@given(CONDITIONS)
def test_negation_is_the_complement(condition: Condition) -> None:
    negated = set(met(Not(condition)))
    assert negated.isdisjoint(met(condition))
    assert negated | set(met(condition)) == set(VALUES)


@given(CONDITIONS, CONDITIONS)
def test_what_is_said_to_imply_another_does(narrow: Condition, wide: Condition) -> None:
    if conditions.implies(narrow, wide):
        assert set(met(narrow)) <= set(met(wide))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("ab", "a*"),
        ("ab*", "a*"),
        (Prefix("ab"), "a*"),
        (("a", "b"), (Prefix("a"), "b")),
        (Listed("l", frozenset({"a"})), True),
        (Pattern("x"), True),
        ("a*", Not(False)),
        (Not("a*"), Not("ab")),
        ("b", Not("a")),
        (False, Not("a")),
    ],
)
def test_what_can_be_known_of_two_conditions(narrow: Condition, wide: Condition) -> None:
    assert conditions.implies(narrow, wide)
    assert not conditions.implies(wide, narrow)


def test_a_condition_is_read_from_what_toml_holds() -> None:
    read: Condition = conditions.read({"not": ["a", {"prefix": "b"}, {"regex": "c"}, False]})
    assert read == Not(("a", Prefix("b"), Pattern("c"), False))
    assert conditions.written(read) == {"not": ["a", {"prefix": "b"}, {"regex": "c"}, False]}


@pytest.mark.parametrize(
    "given",
    [3, [], {}, {"regx": "a"}, {"regex": 1}, {"not": 3}, ["a", 1], {"regex": "a", "prefix": "b"}],
)
def test_what_is_no_condition_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="write text, a list, true, false"):
        conditions.read(given)


@given(CONDITIONS)
def test_every_condition_can_be_said(condition: Condition) -> None:
    assert conditions.said(condition)


def test_equal_text_means_equal_conditions() -> None:
    different: list[Condition] = [
        "a",
        Prefix("a"),
        Pattern("a"),
        Not("a"),
        ("a",),
        Listed("a", frozenset({"a"})),
    ]
    for one, other in product(different, repeat=2):
        assert (conditions.written(one) == conditions.written(other)) == (one == other)
