"""Wording: what would have caught an unallocated charge, from attribution's own reasons."""

from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from finops import rules
from reports import wording
from tests.reports.alerts_sample import alert
from tests.reports.company import parsed

LOOKUPS = """
[cost_centers.web]
type = "team"
name = "Web"

[[rules]]
id = "project"
match = { "Tags.project" = true }
cost_center_from = "Tags.project"

[[rules]]
id = "team"
match = { "Tags.team" = true }
cost_center_from = "Tags.team"
"""
NO_LOOKUPS = """
[cost_centers.web]
type = "team"
name = "Web"

[[rules]]
id = "account"
match = { SubAccountId = "1" }
cost_center = "web"
"""


def reason(organization: str, **dimensions: str) -> str:
    decided = rules.decide(pl.DataFrame([dimensions]), parsed(organization), {})
    return str(decided.get_column("reason").item())


@pytest.mark.parametrize(
    ("organization", "dimensions", "words"),
    [
        (LOOKUPS, {"Tags": "{}"}, "a tag project or tag team on the resource"),
        (LOOKUPS, {"Tags": '{"team": "wbe"}'}, "one of its aliases"),
        (NO_LOOKUPS, {"SubAccountId": "2"}, "a rule for the account"),
    ],
)
def test_every_reason_has_a_remedy(
    organization: str, dimensions: dict[str, str], words: str
) -> None:
    assert words in (wording.remedy(reason(organization, **dimensions)) or "")


def test_a_closed_cost_center_has_a_remedy() -> None:
    found = wording.remedy("cost center web is not valid on 2026-10-01")
    assert found == "a rule that names a cost center which exists on that day"


def test_a_pod_of_nobody_has_the_remedy_of_its_tags() -> None:
    why = "no tag team, and no other rule matches"
    assert wording.remedy(f"pod web/api: {why}") == wording.remedy(why) is not None
    assert wording.remedy(f"job ci: build: {why}") == wording.remedy(why)
    named = "tag team = 'a: b' names no cost center"
    assert wording.remedy(f"idle: {named}") == wording.remedy(named) is not None


def test_an_unknown_reason_has_none() -> None:
    assert wording.remedy("told by hand") is None


def test_one_and_several_alerts_are_titled() -> None:
    assert wording.title([alert()]) == "Budget alert, October 2026"
    assert wording.title([alert(), alert()]) == "2 budget alerts, October 2026"


def test_over_the_budget_is_said_with_the_amount() -> None:
    over = alert(spent="11508.67", threshold=Decimal(100))
    assert wording.mark(over) == "▲"
    assert wording.state(over) == "is over its budget by 508.67 USD; it passed 100 %"


def test_thresholds_passed_at_once_are_all_named() -> None:
    both = replace(alert(spent="9000", threshold=Decimal(80)), passed=(Decimal(50),))
    assert wording.state(both) == "has reached 50 and 80 % of its budget"


def test_exactly_at_the_budget_is_not_over() -> None:
    reached = alert(spent="11000", threshold=Decimal(100))
    assert wording.mark(reached) == "●"
    assert wording.state(reached) == "has reached 100 % of its budget"
