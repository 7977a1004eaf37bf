from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import conditions, organization, splits
from finops.errors import ConfigError
from finops.organization import Organization
from tests.finops.company import Company

CENTERS = """
[cost_centers.ai]
type = "business_unit"
name = "AI"

[cost_centers.research]
type = "team"
name = "Research"
parent = "ai"
aliases = ["rnd"]
"""


def complaints(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "organization.toml"
    path.write_text(dedent(text), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        organization.load(path)
    return str(caught.value).splitlines()


def test_every_malformed_cost_center_is_named_at_once(tmp_path: Path, docstring: str) -> None:
    """
    text = "x"
    rulse = []

    [cost_centers.ai]
    type = "busines_unit"
    nmae = "AI"

    [cost_centers.sales]
    type = "team"
    name = "Sales"
    budget = { amount = 0, currency = "usd" }

    [cost_centers."***"]
    type = "team"
    name = "Stars"
    """
    assert complaints(tmp_path, docstring) == [
        f"organization.toml: {line}"
        for line in (
            (
                "text: unknown key; write one of cost_centers, idle, lookups, rules, splits, "
                "virtual_tags"
            ),
            (
                "cost_centers.ai.type: input should be 'business_unit', 'division', 'department', "
                "'team' or 'project', not 'busines_unit'"
            ),
            "cost_centers.ai.name: is missing; add it",
            "cost_centers.ai.nmae: unknown key; did you mean 'name'?",
            "cost_centers.sales.budget.amount: input should be greater than 0, not 0",
            ("cost_centers.sales.budget.currency: 'usd' is no ISO 4217 currency code; write USD"),
            "cost_centers.***: '***' has no letter a to z and no digit; give it an id that has",
            "rulse: unknown key; did you mean 'rules'?",
        )
    ]


def test_every_malformed_rule_is_named_at_once(tmp_path: Path, docstring: str) -> None:
    """
    cost_centers.ai = { type = "team", name = "AI" }
    splits.s = { method = "even", among = ["ai"] }

    [[rules]]
    id = "two-outcomes"
    match = { ServiceName = "x" }
    cost_center = "ai"
    split = "s"

    [[rules]]
    id = "none"
    match = { ServiceName = 3 }

    [[rules]]
    id = "condition"
    match = { ServiceName = { regx = "a" }, SkuId = [], RegionId = 1, SkuMeter = ["a", 1] }
    cost_center = "ai"
    """
    condition = f"{conditions.WRITE}, not"
    assert complaints(tmp_path, docstring) == [
        f"organization.toml: {line}"
        for line in (
            "rules[0]: write exactly one of cost_center, cost_center_from and split",
            f"rules[1].match.ServiceName: {condition} 3",
            f"rules[2].match.ServiceName: {condition} {{'regx': 'a'}}",
            f"rules[2].match.SkuId: {condition} []",
            f"rules[2].match.RegionId: {condition} 1",
            f"rules[2].match.SkuMeter: {condition} 1",
        )
    ]


def test_a_malformed_table_does_not_hide_what_it_refers_to(tmp_path: Path, docstring: str) -> None:
    """
    [cost_centers]
    ai = "AI"
    ml = { parent = "nowhere" }
    web = { type = "team", name = "Web", parent = "ai", owner = "me" }

    [splits]
    whole = { method = "fixed", shares = { ai = 0.5, nobody = 0.4 } }

    [[rules]]
    match = { ServiceName = "x" }
    cost_center = "noone"

    [[rules]]
    id = "r"
    match = { SerivceName = "x" }
    cost_center = "ai"
    split = "half"
    """
    assert {line.partition("; ")[0] for line in complaints(tmp_path, docstring)} == {
        f"organization.toml: {line}"
        for line in (
            "cost_centers.ai: must be a table, not 'AI'",
            "cost_centers.ml.type: is missing",
            "cost_centers.ml.name: is missing",
            "cost_centers.ml.parent: there is no cost center 'nowhere'",
            "cost_centers.web.owner: unknown key",
            "splits.whole: the shares add up to 0.9, not 1",
            "splits.whole: there is no cost center 'nobody'",
            "rules[0].id: is missing",
            "rules[1]: write exactly one of cost_center, cost_center_from and split",
            "rules[1] (r): split: there is no split 'half'",
            "rules[1] (r): SerivceName: is no column a rule can look at",
        )
    }


@pytest.mark.parametrize("text", ["cost_centers = 1", "rules = 1", "splits = [1]", "rules = [1]"])
def test_what_is_no_table_at_all_is_said(text: str, tmp_path: Path) -> None:
    (line,) = complaints(tmp_path, text)
    assert "must be" in line or "should be" in line


def test_a_rule_without_any_outcome(tmp_path: Path) -> None:
    rule = '[[rules]]\nid = "r"\nmatch = { ServiceName = "x" }'
    assert complaints(tmp_path, rule) == [
        "organization.toml: rules[0]: write exactly one of cost_center, cost_center_from and split"
    ]


def test_every_malformed_split_is_named_at_once(tmp_path: Path, docstring: str) -> None:
    """
    cost_centers = { ai.type = "team", ai.name = "AI", ml.type = "team", ml.name = "ML" }
    splits.even = { method = "even" }
    splits.fixed = { method = "fixed", shares = { ai = 0.5, ml = 0.4 } }
    splits.negative = { method = "fixed", shares = { ai = 1.5, ml = -0.5 } }
    splits.fine = { method = "fixed", shares = { ai = 0.3333333333333333333, ml = 0.7 } }
    splits.huge = { method = "fixed", shares = { ai = 1e30, ml = 0.7 } }
    splits.both = { method = "fixed", shares = { ai = 1 }, among = ["ai"] }
    splits.twice = { method = "even", among = ["ai", "AI"] }
    splits.odd = { method = "odd" }
    """
    assert complaints(tmp_path, docstring) == [
        f"organization.toml: splits.{line}"
        for line in (
            'even: method "even" takes `among`, a list of cost centers, and no shares',
            "fixed: the shares add up to 0.9, not 1; change them so that they do",
            "negative: every share must be greater than 0",
            "fine: a share has more than 18 decimals; round them",
            (
                "huge: the shares add up to 1000000000000000000000000000000.7, not 1; change them so "
                "that they do"
            ),
            'both: method "fixed" takes `shares`, a share for each cost center',
            "twice: `among` names a cost center twice; name each once",
            "odd.method: input should be 'even', 'fixed', 'proportional' or 'telemetry', not 'odd'",
        )
    ]


def test_every_broken_reference_is_named_at_once(tmp_path: Path, docstring: str) -> None:
    """
    [cost_centers."AI Division"]
    type = "division"
    name = "AI"
    parent = "ai-divison"

    [cost_centers.ai_division]
    type = "division"
    name = "AI again"

    [cost_centers.north]
    type = "team"
    name = "North"
    parent = "south"
    aliases = ["rnd", "ai_division"]

    [cost_centers.south]
    type = "team"
    name = "South"
    parent = "north"
    aliases = ["RND"]

    [[rules]]
    id = "r"
    match = { SerivceName = "x", BilledCost = "1", ResourceName = { regex = "(" } }
    cost_center = "nroth"

    [[rules]]
    id = "r"
    match = {}
    split = "overheads"

    [[rules]]
    id = "lookup"
    match = { Tags.team = true }
    cost_center_from = "Tag.team"

    [splits.overhead]
    method = "even"
    among = ["north", "soth"]
    """
    found = [line.removeprefix("organization.toml: ") for line in complaints(tmp_path, docstring)]
    starts = [
        "cost_centers.ai_division: means the same as 'AI Division'; rename one of the two",
        "cost_centers.north.parent: the hierarchy goes in a circle (north > south > north); break it",
        "cost_centers.north.aliases: 'ai_division' already means 'ai_division'; use another",
        "cost_centers.south.parent: the hierarchy goes in a circle (south > north > south); break it",
        "cost_centers.south.aliases: 'rnd' already means 'north'; use another",
        "splits.overhead: there is no cost center 'soth'; did you mean 'south'?",
        "rules[0] (r): cost_center: there is no cost center 'nroth'; did you mean 'north'?",
        "rules[0] (r): SerivceName: is no column a rule can look at; did you mean 'ServiceName'?",
        "rules[0] (r): BilledCost: is no column a rule can look at; write one of",
        "rules[0] (r): match.ResourceName: '(' is no regular expression: missing )",
        "rules[1] (r): id: is used by an earlier rule too; rename one of the two",
        "rules[1] (r): split: there is no split 'overheads'; did you mean 'overhead'?",
        "rules[1] (r): match: is empty; to match every charge write { BillingCurrency = true }",
        "rules[2] (lookup): Tag.team: is no column a rule can look at",
    ]
    assert len(found) == len(starts)
    assert [
        line for line, start in zip(found, starts, strict=True) if not line.startswith(start)
    ] == []


def test_an_unknown_parent(tmp_path: Path) -> None:
    found = complaints(tmp_path, CENTERS.replace('parent = "ai"', 'parent = "ia"'))
    assert found == [
        (
            "organization.toml: cost_centers.research.parent: there is no cost center 'ia'; "
            "write one of ai, research"
        )
    ]


@pytest.mark.parametrize("days", [("2026-10-05", "2026-10-05"), ("2026-10-05", "2026-10-01")])
def test_a_cost_center_that_never_was(days: tuple[str, str], tmp_path: Path) -> None:
    text = f"{CENTERS}\nvalid_from = {days[0]}\nvalid_to = {days[1]}"
    assert complaints(tmp_path, text) == [
        (
            "organization.toml: cost_centers.research: valid_to is its first day gone: it must be "
            "later than valid_from"
        )
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[cost_centers", b"a = 1\na = 2"])
def test_what_is_no_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "organization.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"organization\.toml: "):
        organization.load(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`finops init` makes one"):
        organization.load(tmp_path / "organization.toml")


def test_a_binary_float_is_refused() -> None:
    center = {"type": "team", "name": "AI", "budget": {"amount": 0.1}}
    split = {"method": "fixed", "shares": {"ai": 0.5, "ml": 0.5}}
    with pytest.raises(ConfigError) as caught:
        organization.parse("", {"cost_centers": {"ai": center}, "splits": {"s": split}})
    said = "write amounts and shares as decimals or text, not binary floats"
    assert str(caught.value).splitlines() == [
        f"organization.toml: cost_centers.ai.budget.amount: {said}",
        f"organization.toml: splits.s.shares.ai: {said}",
        f"organization.toml: splits.s.shares.ml: {said}",
    ]


def test_amounts_are_exact(company: Company) -> None:
    """
    [cost_centers.ai]
    type = "team"
    name = "AI"
    budget = { amount = 0.1000000000000000055, currency = "EUR" }
    """
    budget = company.organization.cost_centers["ai"].budget
    assert budget is not None
    assert budget.amount == Decimal("0.1000000000000000055")


def test_tags_may_be_written_in_either_way(company: Company) -> None:
    """
    cost_centers.ai = { type = "team", name = "AI" }

    [[rules]]
    id = "quoted"
    match = { "Tags.team" = "ai" }
    cost_center = "ai"

    [[rules]]
    id = "dotted"
    match = { Tags.team = "ai", ServiceName = true }
    cost_center = "ai"
    """
    quoted, dotted = company.organization.rules
    assert dict(quoted.match) == {"Tags.team": "ai"}
    assert dict(dotted.match) == {"Tags.team": "ai", "ServiceName": True}


def test_the_tree(company: Company) -> None:
    """
    cost_centers.top = { type = "business_unit", name = "Top" }
    cost_centers.Mid-Level = { type = "division", name = "Mid", parent = "top" }
    cost_centers.leaf = { type = "team", name = "Leaf", parent = "mid_level", aliases = ["LF"] }
    """
    tree = company.organization
    assert tree.lineage("leaf") == ("leaf", "mid_level", "top")
    assert tree.descendants("mid_level") == {"mid_level", "leaf"}
    assert tree.by_name == {"top": "top", "mid_level": "mid_level", "leaf": "leaf", "lf": "leaf"}


def test_valid_to_is_the_first_day_gone(company: Company) -> None:
    """
    [cost_centers.ai]
    type = "team"
    name = "AI"
    valid_from = 2026-10-02
    valid_to = 2026-10-04
    """
    center = company.organization.cost_centers["ai"]
    days = [day for day in range(1, 6) if center.valid_on(date(2026, 10, day))]
    assert days == [2, 3]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_weights_are_the_shares_and_sum_to_one(numbers: list[int]) -> None:
    total = sum(numbers)
    floors = [Decimal(number * 10**18 // total).scaleb(-18) for number in numbers]
    floors[0] += 1 - sum(floors)
    shares = {f"c{place}": share for place, share in enumerate(floors) if share}
    centers = {name: {"type": "team", "name": name} for name in shares}
    split = {"method": "fixed", "shares": shares}
    weights = _weights({"cost_centers": centers, "splits": {"s": split}})
    assert {name: Fraction(num, den) for name, num, den in weights} == {
        name: Fraction(share) for name, share in shares.items()
    }
    assert sum(Fraction(num, den) for _, num, den in weights) == 1


def _weights(table: dict[str, object]) -> tuple[tuple[str, int, int], ...]:
    return splits.shares(organization.parse("", table).splits, lambda _: True, {})["s"]


def test_only_what_decides_is_in_the_digest(tmp_path: Path) -> None:
    before = _read(tmp_path, CENTERS)
    changed = CENTERS.replace('name = "AI"', 'name = "AI"\nowners = ["a@b"]\nbudget.amount = 5')
    assert _read(tmp_path, changed).deciding == before.deciding
    moved = CENTERS.replace('"rnd"', '"r2d2"')
    assert _read(tmp_path, moved).deciding != before.deciding


def _read(tmp_path: Path, text: str) -> Organization:
    path = tmp_path / "organization.toml"
    path.write_text(text, encoding="utf-8")
    return organization.load(path)
