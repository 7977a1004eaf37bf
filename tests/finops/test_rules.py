import json
from collections.abc import Mapping

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import organization, rules
from finops.organization import Organization
from tests.finops.company import Company

CONSTANTS = {"provider": "aws", "source": "aws-main"}
CENTERS = {"ml": {"type": "team", "name": "ML", "aliases": ["Machine Learning"]}}


def deciding(*tables: Mapping[str, object]) -> Organization:
    """Make an organization of the team `ml` and the given rules."""
    named = [{"id": f"r{place}", **table} for place, table in enumerate(tables)]
    split = {"s": {"method": "even", "among": ["ml"]}}
    return organization.parse("", {"cost_centers": CENTERS, "rules": named, "splits": split})


def decided(org: Organization, **values: str | None) -> dict[str, str | None]:
    """Decide one charge that has `values`, and nothing else."""
    row = {name: values.get(name) for name in rules.columns(org)}
    frame = pl.DataFrame([row], schema=dict.fromkeys(row, pl.String)) if row else one_empty()
    found = rules.decide(frame, org, CONSTANTS)
    return found.select(rules.DECISION_SCHEMA.names()).row(0, named=True)


def one_empty() -> pl.DataFrame:
    return pl.DataFrame({"~part": [0]})


def matches(condition: object, value: str | None) -> bool:
    org = deciding({"match": {"ServiceName": condition}, "cost_center": "ml"})
    return decided(org, ServiceName=value)["step"] == rules.STEP_RULE


@pytest.mark.parametrize(
    ("condition", "value", "matched"),
    [
        ("EC2", "EC2", True),
        ("EC2", "ec2", False),
        ("EC2", "EC2 ", False),
        ("EC2", None, False),
        ("EC*", "EC2\nmore", True),
        ("EC?", "EC2", True),
        ("EC?", "EC22", False),
        ("a.c*", "abc", False),
        ("[a]*", "[a]b", True),
        ("[a]*", "ab", False),
        ("*", "", True),
        ("*", None, False),
        (True, "x", True),
        (True, None, False),
        (False, "x", False),
        (False, None, True),
        (["EC2", "S3*"], "S3 Glacier", True),
        (["EC2", "S3*"], "RDS", False),
        ({"regex": "EC[0-9]"}, "EC2", True),
        ({"regex": "EC[0-9]"}, "EC22", False),
        ({"regex": "(?i)ec2"}, "EC2", True),
        ({"regex": ".*"}, None, False),
    ],
)
def test_conditions(condition: object, value: str | None, matched: bool) -> None:  # noqa: FBT001
    assert matches(condition, value) is matched


@given(st.text(), st.text())
def test_plain_text_matches_itself_alone(text: str, other: str) -> None:
    if not {"*", "?"} & set(text):
        assert matches(text, other) == (text == other)


@given(st.text())
def test_a_star_matches_any_text(value: str) -> None:
    assert matches("*", value)


def test_without_rules_nothing_is_allocated() -> None:
    assert rules.columns(deciding()) == []
    assert decided(deciding()) == {
        "step": "unallocated",
        "rule": None,
        "cost_center": None,
        "split": None,
        "reason": "no rule matches",
    }


def test_the_first_rule_that_matches_decides(company: Company) -> None:
    """
    cost_centers.a = { type = "team", name = "A" }
    cost_centers.b = { type = "team", name = "B" }
    splits.shared = { method = "even", among = ["a", "b"] }

    [[rules]]
    id = "both"
    match = { ServiceName = "EC2", RegionId = "eu-*" }
    cost_center = "a"

    [[rules]]
    id = "lookup"
    match = { Tags.team = true }
    cost_center_from = "Tags.team"

    [[rules]]
    id = "support"
    match = { ServiceName = "Support" }
    split = "shared"

    [[rules]]
    id = "ours"
    match = { provider = "aws", source = "aws-*", "x_Own" = "y", x_SourceColumns.Id = "7" }
    cost_center = "b"
    """
    org = company.organization
    names = ["RegionId", "ServiceName", "Tags", "x_SourceColumns"]
    assert rules.columns(org) == names
    own = json.dumps({"x_Own": "y", "Id": "7"})
    frame = pl.DataFrame(
        [
            ("eu-west-1", "EC2", '{"team":"b"}', None),
            ("us-east-1", "EC2", '{"team":"B!"}', None),
            ("us-east-1", "EC2", '{"team":"who"}', own),
            ("us-east-1", "Support", '{"team":"who"}', own),
            ("us-east-1", "Support", '{"team":""}', None),
            ("us-east-1", "EC2", None, None),
        ],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    )
    found = rules.decide(frame, org, CONSTANTS)
    assert found.select("rule", "step", "cost_center", "split").rows() == [
        ("both", "rule", "a", None),
        ("lookup", "rule", "b", None),
        ("ours", "rule", "b", None),
        ("support", "split", None, "shared"),
        ("support", "split", None, "shared"),
        (None, "unallocated", None, None),
    ]
    assert found.columns == [*names, *rules.DECISION_SCHEMA.names()]


def test_a_lookup_knows_ids_names_and_aliases() -> None:
    org = deciding({"match": {"Tags.team": True}, "cost_center_from": "Tags.team"})
    for spelled in ("ml", "ML", "Ml!", "machine-learning", "Machine Learning"):
        found = decided(org, Tags=json.dumps({"team": spelled}))
        assert (found["cost_center"], found["reason"]) == ("ml", None)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (None, "no tag team and no SubAccountName, and no other rule matches"),
        ("{}", "no tag team and no SubAccountName, and no other rule matches"),
        ('{"team":"who"}', "tag team = 'who' names no cost center"),
        ('{"team":7}', "tag team = '7' names no cost center"),
        ('{"team":true}', "tag team = 'true' names no cost center"),
        ('{"team":["who"]}', "tag team = '[\"who\"]' names no cost center"),
    ],
)
def test_the_reason_shows_what_would_have_helped(tags: str | None, reason: str) -> None:
    org = deciding(
        {"match": {"Tags.team": True}, "cost_center_from": "Tags.team"},
        {"match": {"SubAccountName": True}, "cost_center_from": "SubAccountName"},
        {"match": {"ServiceName": "EC2"}, "cost_center": "ml"},
    )
    assert decided(org, Tags=tags)["reason"] == reason


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "EC2", "S3", "x"]), st.sampled_from([None, "eu", "us"])),
        unique=True,
        min_size=1,
    )
)
def test_each_set_is_decided_on_its_own(sets: list[tuple[str | None, str | None]]) -> None:
    org = deciding(
        {"match": {"ServiceName": "EC2", "RegionId": "eu"}, "cost_center": "ml"},
        {"match": {"RegionId": "us"}, "split": "s"},
        {"match": {"ServiceName": False}, "cost_center": "ml"},
    )
    schema = {"RegionId": pl.String, "ServiceName": pl.String}
    frame = pl.DataFrame([(r, s) for s, r in sets], schema=schema, orient="row")
    together = rules.decide(frame, org, CONSTANTS).rows()
    alone = [rules.decide(frame[place], org, CONSTANTS).row(0) for place in range(len(sets))]
    assert together == alone
