"""What FOCUS demands of a split of costs, over random organizations, workloads and bills."""

import json
import re
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import focus, focus_split, holding, money, organization, posting
from finops.errors import ExportError
from finops.focus import Kind
from finops.organization import Organization
from tests.finops.test_waterfall import (
    DAY,
    SOME,
    THOUSANDS,
    as_charges,
    as_told,
    bills,
    charge,
    engine,
    organizations,
    tellings,
)

Rows = list[dict[str, Any]]

ADDED_UP = [
    column.name for column in focus.COST_AND_USAGE if column.kind in {Kind.MONEY, Kind.QUANTITY}
] + ["x_GpuHours"]
ALLOCATED = [column.name for column in focus.COST_AND_USAGE if column.since == "1.3"][:5]
LEDGERS = [column.name for column in focus.ALLOCATED]
NUMBER = r"(0|[1-9][0-9]*)(\.[0-9]*[1-9])?"
AMOUNTS = st.none() | st.integers(-(10**24), 10**24).map(money.amount)


def as_entries(allocations: pl.DataFrame) -> pl.DataFrame:
    """Make ledger entries of allocations, as the first batch holds them."""
    return (
        posting._entries(allocations)
        .with_row_index("row")
        .with_columns(pl.lit(1, pl.Int64).alias("index"), pl.col("row").cast(pl.Int64))
    )


def exported(charges: pl.LazyFrame, told: pl.DataFrame, org: Organization) -> Rows:
    entries = as_entries(engine(charges, told, org))
    found = focus_split.told(entries, charges, holding.of(charges, told), org, "here")
    return focus_split.rows(charges.collect(), found).to_dicts()


def more(bill: Sequence[dict[str, Any]], amounts: Sequence[Decimal | None]) -> pl.LazyFrame:
    """Give charges what else of FOCUS adds up, and prices, which do not."""
    filled = [amounts[place % len(amounts)] if amounts else None for place in range(len(bill))]
    return as_charges(bill).with_columns(
        *(pl.Series(name, filled, money.DTYPE) for name in focus_split.SUMMABLE),
        ListUnitPrice=pl.lit("2.5").cast(money.DTYPE),
        ContractedUnitPrice=pl.lit("2").cast(money.DTYPE),
        SkuPriceId=pl.lit("price-1"),
    )


def by_charge(rows: Rows) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(row["x_ChargeId"], []).append(row)
    return found


def details(row: dict[str, Any]) -> dict[str, Any]:
    told = json.loads(row["AllocatedMethodDetails"], parse_float=Decimal, parse_int=Decimal)
    assert set(told) == {"Elements"}
    (element,) = told["Elements"]
    assert isinstance(element, dict)
    return element


@SOME
@given(bills().filter(bool), tellings(), organizations(), st.lists(AMOUNTS, max_size=4))
def test_a_split_meets_every_rule_of_focus(
    bill: Rows, told: Rows, org: Organization, amounts: list[Decimal | None]
) -> None:
    assert meets_every_rule(bill, told, org, amounts) == len(bill)


@pytest.mark.slow
@THOUSANDS
@given(bills().filter(bool), tellings(), organizations(), st.lists(AMOUNTS, max_size=4))
def test_thousands_of_splits_meet_every_rule_of_focus(
    bill: Rows, told: Rows, org: Organization, amounts: list[Decimal | None]
) -> None:
    assert meets_every_rule(bill, told, org, amounts) == len(bill)


def meets_every_rule(
    bill: Rows, told: Rows, org: Organization, amounts: list[Decimal | None]
) -> int:
    """Hold the parts of every charge against the rules; count the charges."""
    charges = more(bill, amounts)
    origins = {row["x_ChargeId"]: row for row in charges.collect().to_dicts()}
    found = by_charge(exported(charges, as_told(told), org))
    assert set(found) == set(origins)
    tags = {f"{one['kind']}/{one['name']}": json.loads(one["tags"] or "{}") for one in told}
    for id_, rows in found.items():
        adds_up(rows, origins[id_])
        equals(rows, origins[id_])
        if all(row["AllocatedMethodId"] is None for row in rows):
            assert len(rows) == 1, "a charge that is not split is one row"
            assert [rows[0][name] for name in ALLOCATED] == [None] * 5
        else:
            has_ratios(rows)
            for row in rows:
                has_ids(row, org)
                has_tags(row, tags)
    return len(found)


def adds_up(rows: Rows, origin: dict[str, Any]) -> None:
    for name in ADDED_UP:
        values = [row[name] for row in rows]
        if origin[name] is None:
            assert values == [None] * len(rows), name
        else:
            assert sum(values) == origin[name], name


def equals(rows: Rows, origin: dict[str, Any]) -> None:
    """Dimensions and unit prices are the origin's, the tags in Tags among them."""
    kept = set(origin) - set(ADDED_UP) - set(ALLOCATED)
    for row in rows:
        assert {name: row[name] for name in kept} == {name: origin[name] for name in kept}
        assert set(row) - set(origin) == set(LEDGERS) - {"x_LedgerCheckpoint"}


def has_ratios(rows: Rows) -> None:
    assert len({row["AllocatedMethodId"] for row in rows}) == 1, "one method a charge"
    elements = [details(row) for row in rows]
    assert sum(element["AllocatedRatio"] for element in elements) == 1
    for row, element in zip(rows, elements, strict=True):
        share = element["x_ShareNumerator"] / element["x_ShareDenominator"]
        assert 0 <= element["AllocatedRatio"] <= 1
        assert abs(element["AllocatedRatio"] - share) < money.QUANTUM
        known = {"AllocatedRatio", "UsageQuantity", "UsageUnit"}
        assert all(key in known or re.fullmatch("x_[A-Z][a-zA-Z0-9]*", key) for key in element)
        if "UsageQuantity" in element:
            assert element["UsageUnit"] == "GPU-Hours"
            assert element["UsageQuantity"] == row["x_GpuHours"]
        numbers = re.findall(r'":([^",}]+)', row["AllocatedMethodDetails"])
        assert all(re.fullmatch(NUMBER, number) for number in numbers if number != "[{"), numbers


def has_ids(row: dict[str, Any], org: Organization) -> None:
    id_, name, center = (
        row[column] for column in ("AllocatedResourceId", "AllocatedResourceName", "x_CostCenter")
    )
    assert row["AllocatedMethodId"] in {"finops:workload", "finops:split"}
    assert (row["AllocatedMethodId"] == "finops:split") is (row["x_AllocationStep"] == "split")
    assert (id_ is None) is (name is None)
    if row["x_AllocationStep"] == "workload":
        kind, _, rest = id_.partition("/")
        assert rest == name
        assert row["x_AllocationReason"].startswith(f"{kind} {name} held ")
    elif center is not None:
        assert (id_, name) == (f"cost_center/{center}", org.cost_centers[center].name)
    elif id_ is not None:
        kind, _, rest = id_.partition("/")
        assert row["x_AllocationReason"].startswith(f"{kind} {rest}: ")
    else:
        assert row["x_AllocationReason"].startswith("idle: "), "nobody held it, nobody carries it"


def has_tags(row: dict[str, Any], of_workloads: dict[str, dict[str, str]]) -> None:
    allocated = json.loads(row["AllocatedTags"] or "{}")
    there = json.loads(row["Tags"] or "{}")
    assert not {*allocated.items()} & {*there.items()}, "what Tags says is not said again"
    mine = of_workloads.get(row["AllocatedResourceId"] or "", {})
    assert {*mine.items()} <= {*allocated.items(), *there.items()}
    ours = {} if row["x_CostCenter"] is None else {"finops/cost_center": row["x_CostCenter"]}
    assert {key: value for key, value in allocated.items() if key.startswith("finops/")} == ours
    assert set(allocated) <= set(mine) | set(ours)


THIRDS = """
cost_centers.a = { type = "team", name = "Team A" }
cost_centers.b = { type = "team", name = "Team B" }
cost_centers.c = { type = "team", name = "Team C" }
splits.even = { method = "even", among = ["a", "b", "c"] }
rules = [{ id = "all", match = { BillingCurrency = true }, split = "even" }]
"""
LINE = {
    "ServiceName": "EC2",
    "ResourceId": "i-1",
    "ResourceName": None,
    "SkuId": None,
    "BilledCost": Decimal("0.01"),
    "x_GpuCount": None,
    "team": None,
    "node": None,
    "span": (0, 24),
    "gpus_billed": None,
}


def org_of(text: str) -> Organization:
    return organization.parse(text, tomllib.loads(text, parse_float=Decimal))


def line(**facts: object) -> dict[str, Any]:
    return charge(0, {**LINE, **facts})


def pod(name: str, **facts: object) -> dict[str, Any]:
    return {
        "workload_id": name,
        "kind": "pod",
        "name": name,
        "started_at": DAY,
        "ended_at": DAY + timedelta(hours=6),
        "resource_id": "i-1",
        **facts,
    }


def split(told: Rows, org: str, **facts: object) -> Rows:
    return exported(as_charges([line(**facts)]), as_told(told), org_of(org))


def test_a_third_is_written_with_its_exact_share() -> None:
    rows = split([], THIRDS)
    said = ("AllocatedResourceId", "AllocatedResourceName", "BilledCost", "AllocatedTags")
    third = "0.003333333333333333"
    assert [tuple(row[name] for name in said) for row in rows] == [
        ("cost_center/a", "Team A", Decimal(f"{third[:-1]}4"), '{"finops/cost_center":"a"}'),
        ("cost_center/b", "Team B", Decimal(third), '{"finops/cost_center":"b"}'),
        ("cost_center/c", "Team C", Decimal(third), '{"finops/cost_center":"c"}'),
    ]
    share = '"x_ShareDenominator":3,"x_ShareNumerator":1'
    assert [row["AllocatedMethodDetails"] for row in rows[:2]] == [
        f'{{"Elements":[{{"AllocatedRatio":0.333333333333333334,{share}}}]}}',
        f'{{"Elements":[{{"AllocatedRatio":0.333333333333333333,{share}}}]}}',
    ]


TAGGED = """
cost_centers.a = { type = "team", name = "Team A" }
cost_centers.b = { type = "team", name = "Team B" }
rules = [{ id = "tag", match = { "Tags.team" = true }, cost_center_from = "Tags.team" }]
"""


def test_who_held_it_stands_beside_what_nobody_held() -> None:
    told = [pod("train", gpu_count=Decimal(4), tags='{"team":"a","run":"7"}')]
    rows = split(told, TAGGED, gpus_billed=8, x_GpuCount=8, team="b")
    said = ("AllocatedResourceId", "x_AllocationStep", "AllocatedTags", "Tags")
    assert [tuple(row[name] for name in said) for row in rows] == [
        ("pod/train", "workload", '{"finops/cost_center":"a","run":"7","team":"a"}', TEAM_B),
        ("cost_center/b", "idle", '{"finops/cost_center":"b"}', TEAM_B),
    ]
    told_of = ("AllocatedRatio", "UsageQuantity", "UsageUnit", "x_ShareNumerator")
    assert [tuple(details(row)[key] for key in told_of) for row in rows] == [
        (Decimal("0.125"), 24, "GPU-Hours", 1),
        (Decimal("0.875"), 168, "GPU-Hours", 7),
    ]


TEAM_B = '{"team": "b"}'


@pytest.mark.parametrize(
    ("held", "unit"),
    [
        ({"gpu_count": Decimal(2)}, "GPU-Hours"),
        ({}, "Hours"),
        ({"weight": Decimal("0.5")}, "Weight"),
    ],
)
def test_a_unit_is_told_and_no_quantity_that_nobody_measured(
    held: dict[str, Any], unit: str
) -> None:
    told = [pod("x", tags='{"team":"a"}', **held), pod("y", tags='{"team":"b"}', **held)]
    for row in split(told, TAGGED):
        element = details(row)
        assert (element["AllocatedRatio"], element["UsageUnit"]) == (Decimal("0.5"), unit)
        assert "UsageQuantity" not in element


def test_more_held_than_there_is_tells_no_quantity() -> None:
    told = [pod(name, ended_at=DAY + timedelta(hours=24), gpu_count=Decimal(6)) for name in "xy"]
    for row in split(told, TAGGED, gpus_billed=8, x_GpuCount=8, team="b"):
        assert "together they held 150.0 % of it" in row["x_AllocationReason"]
        assert "UsageQuantity" not in details(row)


@pytest.mark.parametrize("team", ["a", None])
@pytest.mark.parametrize(
    "name",
    [
        "CI: build",
        "a held 50.0 % of the GPU time",
        "a held 5.0 % by weight; together they held 3.0 % of it",
        "two\nlines: no rule matches",
        "no tag team, and no other rule matches",
        'say "hello" \\ {}',
        "é/ü",
    ],
)
def test_any_name_of_a_workload_is_read_back(name: str, team: str | None) -> None:
    tags = None if team is None else json.dumps({"team": team})
    other = pod("a", tags='{"team":"b"}', gpu_count=Decimal(1))
    rows = split([other, pod(name, tags=tags, gpu_count=Decimal(1))], TAGGED)
    (mine,) = (row for row in rows if row["x_CostCenter"] == team)
    assert (mine["AllocatedResourceId"], mine["AllocatedResourceName"]) == (f"pod/{name}", name)


def test_a_workload_alone_that_nobody_answers_for_is_an_allocated_charge() -> None:
    (row,) = split([pod("x", gpu_count=Decimal(1))], TAGGED)
    assert (row["x_AllocationStep"], row["x_CostCenter"]) == ("unallocated", None)
    assert (row["AllocatedMethodId"], row["AllocatedResourceId"]) == ("finops:workload", "pod/x")
    assert (details(row)["AllocatedRatio"], row["AllocatedTags"]) == (1, None)


def test_what_is_neither_held_nor_carried_has_a_method_and_no_resource() -> None:
    told = [pod("x", gpu_count=Decimal(4), tags='{"team":"a"}')]
    rows = split(told, TAGGED, gpus_billed=8, x_GpuCount=8)
    (nobodys,) = (row for row in rows if row["x_CostCenter"] is None)
    assert nobodys["x_AllocationReason"].startswith("idle: ")
    assert nobodys["AllocatedMethodId"] == "finops:workload"
    said = ("AllocatedResourceId", "AllocatedResourceName", "AllocatedTags")
    assert [nobodys[name] for name in said] == [None] * 3
    assert details(nobodys)["AllocatedRatio"] == Decimal("0.875")


def test_tags_of_one_name_are_those_that_all_of_it_agree_on() -> None:
    first = pod("x", tags='{"team":"a","run":"1","zone":"z"}')
    second = pod("x", tags='{"team":"a","run":"2","zone":"z"}')
    (row,) = split([first, second], TAGGED)
    assert json.loads(row["AllocatedTags"]) == {"finops/cost_center": "a", "team": "a", "zone": "z"}


def test_our_prefix_is_ours() -> None:
    told = [pod("x", tags='{"team":"a","finops/cost_center":"b"}')]
    (row,) = split(told, TAGGED)
    assert json.loads(row["AllocatedTags"]) == {"finops/cost_center": "a", "team": "a"}


def test_a_split_of_the_provider_is_kept_where_there_is_none_of_ours() -> None:
    theirs = {"AllocatedMethodId": "eks", "AllocatedResourceId": "pod-1"}
    rule = 'rules = [{ id = "all", match = { ServiceName = "EC2" }, cost_center = "a" }]'
    (row,) = split([], THIRDS.replace(THIRDS.splitlines()[-1], rule), **theirs)
    assert {name: row[name] for name in theirs} == theirs
    assert row["x_CostCenter"] == "a"
    rows = split([], THIRDS, **theirs)
    assert {row["AllocatedMethodId"] for row in rows} == {"finops:split"}


def test_a_cost_center_that_the_file_no_longer_has_goes_by_its_id() -> None:
    charges = as_charges([line()])
    entries = as_entries(engine(charges, as_told([]), org_of(THIRDS)))
    found = focus_split.told(entries, charges, None, Organization(), "here")
    assert found["AllocatedResourceName"].to_list() == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["charge gone", "charge new", "entry lost", "workload gone"])
def test_a_ledger_that_is_behind_is_refused(change: str) -> None:
    bill = [charge(place, {**LINE, "team": None}) for place in range(3)]
    charges = as_charges(bill)
    told = as_told([pod("x", tags='{"team":"a"}')])
    org = org_of(TAGGED) if change == "workload gone" else org_of(THIRDS)
    entries = as_entries(engine(charges, told, org))
    if change == "entry lost":
        entries = entries.head(-1)
    if change == "charge gone":
        charges = charges.head(2)
    if change == "charge new":
        entries = entries.filter(charge_id=bill[0]["x_ChargeId"])
    held = None if change == "workload gone" else holding.of(charges, told)
    said = {
        "charge gone": "entries are of charges that are no longer in the warehouse",
        "charge new": "2 charges are not in the ledger yet",
        "entry lost": "do not add up to it",
        "workload gone": "nobody tells any more of the workloads that 3 ledger entries name",
    }
    with pytest.raises(ExportError, match=said[change]) as refused:
        focus_split.told(entries, charges, held, org, "here")
    assert str(refused.value).startswith("here: ")
