"""The rules against an implementation that is slow and obvious: one charge, one rule at a time."""

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from finops import organization, rules
from finops.identity import slug

DAYS = [date(2026, 10, 1) + timedelta(days=day) for day in range(4)]
CENTERS: dict[str, Any] = {
    "a": {"type": "team", "name": "A", "aliases": ["one"]},
    "b": {"type": "team", "name": "B"},
}
LOOKUP = {"x": "a", "Y y": "b"}
TEXT = st.sampled_from(["", "a", "A", "ab", "b*", "one", "x", "y-y", "?", "*"])
SIMPLE = st.one_of(
    st.booleans(),
    TEXT,
    TEXT.map(lambda text: {"prefix": text}),
    st.sampled_from(["a.*", "(?i)a", ".?"]).map(lambda text: {"regex": text}),
)
CONDITION = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map(lambda each: {"not": each}), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=4,
)
COLUMN = st.sampled_from(["ServiceName", "Tags.t", "Tags.u", "VirtualTags.v", "source"])
PLAIN = st.sampled_from(["ServiceName", "Tags.t", "source"])
WHEN = st.fixed_dictionaries(
    {}, optional={"valid_from": st.sampled_from(DAYS[:2]), "valid_to": st.sampled_from(DAYS[2:])}
)
OUTCOME = st.one_of(
    st.sampled_from(["a", "b"]).map(lambda center: {"cost_center": center}),
    COLUMN.map(lambda column: {"cost_center_from": column}),
    COLUMN.map(lambda column: {"cost_center_from": column, "lookup": "l"}),
    st.just({"split": "s"}),
)
RULE = st.builds(
    lambda match, outcome, when: {"match": match, **outcome, **when},
    st.dictionaries(COLUMN, CONDITION, min_size=1, max_size=2),
    OUTCOME,
    WHEN,
)
LINE = st.builds(
    lambda match, value, when: {"match": match, **value, **when},
    st.dictionaries(PLAIN, CONDITION, max_size=2),
    st.one_of(
        st.sampled_from(["a", "x", "b*"]).map(lambda text: {"value": text}),
        PLAIN.map(lambda column: {"value_from": column}),
    ),
    WHEN,
)
VALUE = st.one_of(st.none(), TEXT)
CHARGE = st.tuples(VALUE, VALUE, VALUE)


def meets(condition: Any, value: str | None) -> bool:
    if isinstance(condition, bool):
        return condition == (value is not None)
    if isinstance(condition, list):
        return any(meets(each, value) for each in condition)
    if isinstance(condition, dict) and "not" in condition:
        return not meets(condition["not"], value)
    if value is None:
        return False
    if isinstance(condition, dict):
        begins = "prefix" in condition and value.startswith(condition["prefix"])
        return begins or ("regex" in condition and bool(re.fullmatch(condition["regex"], value)))
    pattern = re.escape(condition).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def matches(table: Mapping[str, Any], charge: Mapping[str, str | None], day: date) -> bool:
    begun = table.get("valid_from", day) <= day < table.get("valid_to", date.max)
    return begun and all(meets(each, charge[column]) for column, each in table["match"].items())


def meant(value: str | None, lookup: str | None) -> str | None:
    if not value:
        return None
    if lookup is None:
        return {"a": "a", "one": "a", "b": "b"}.get(slug(value))
    return LOOKUP.get(value) or {slug(key): center for key, center in LOOKUP.items()}.get(
        slug(value)
    )


def reference(
    rules_: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    charge: dict[str, str | None],
    day: date,
) -> tuple[str | None, str | None, str | None]:
    virtual = None
    for line in lines:
        if virtual is None and matches(line, charge, day):
            virtual = line["value"] if "value" in line else charge[line["value_from"]]
    seen = {**charge, "VirtualTags.v": virtual}
    for rule in rules_:
        if matches(rule, seen, day):
            if "split" in rule:
                return rule["id"], None, "s"
            center = rule.get("cost_center")
            if "cost_center_from" in rule:
                center = meant(seen[rule["cost_center_from"]], rule.get("lookup"))
            if center is not None:
                return rule["id"], center, None
    return None, None, None


@given(
    st.lists(RULE, max_size=5),
    st.lists(LINE, max_size=3),
    st.lists(CHARGE, min_size=1, max_size=6),
    st.sampled_from(DAYS),
)
def test_the_rules_decide_as_the_obvious_implementation_does(
    given_rules: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    given_charges: list[tuple[str | None, ...]],
    day: date,
) -> None:
    numbered = [{"id": f"r{place}", **rule} for place, rule in enumerate(given_rules)]
    table = {
        "cost_centers": CENTERS,
        "splits": {"s": {"method": "even", "among": ["a", "b"]}},
        "lookups": {"l": LOOKUP},
        "virtual_tags": {"v": lines},
        "rules": numbered,
    }
    org = organization.parse("", table)
    named = [
        {"ServiceName": service, "Tags.t": t, "Tags.u": u, "source": "x"}
        for service, t, u in given_charges
    ]
    rows = [
        {
            "ServiceName": each["ServiceName"],
            "Tags": json.dumps({key: each[f"Tags.{key}"] for key in ("t", "u")}),
        }
        for each in named
    ]
    frame = pl.DataFrame(rows, schema={"ServiceName": pl.String, "Tags": pl.String})
    decider = rules.decider(org.on(day), "aws", "x")
    expected = [reference(numbered, lines, each, day) for each in named]
    for _ in range(2):  # the second time from what it remembers
        found = decider.decide(frame)
        assert found.select("rule", "cost_center", "split").rows() == expected
