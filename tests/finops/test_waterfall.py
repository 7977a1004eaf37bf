"""Hypothesis holds the engine against `tests/finops/reference.py`, and what must always be true."""

import json
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops import attribution, focus, holding, money, organization
from finops.attribution import MEASURES
from finops.organization import Organization
from finops.partition import Partition
from finops.rulebook import Rule
from finops.splits import NOTHING, Basis
from finops.workloads import SCHEMA
from tests.finops import reference

DAY = datetime(2026, 10, 3, tzinfo=UTC)
PARTITION = Partition("aws", "aws-main", "2026-10", DAY.date())
TOLD_SCHEMA = {**SCHEMA, "source": pl.String()}

PEOPLE = """
cost_centers.ml = { type = "team", name = "ML" }
cost_centers.web = { type = "team", name = "Web" }
cost_centers.chat = { type = "project", name = "Chat", parent = "ml", aliases = ["bot"] }
cost_centers.pool = { type = "team", name = "Pool" }
cost_centers.gone = { type = "team", name = "Gone", valid_to = 2026-10-02 }
splits.even = { method = "even", among = ["ml", "web", "gone", "chat"] }
splits.fixed = { method = "fixed", shares = { ml = 0.35, web = 0.65 } }
splits.chain = { method = "fixed", shares = { web = 0.2, "splits.even" = 0.5, "splits.fine" = 0.3 } }
splits.fine = { method = "fixed", shares = { chat = 0.000000001, pool = 0.999999999 } }
splits.spent = { method = "proportional", by = "billed_cost", among = ["ml", "web", "gone"] }
splits.told = { method = "telemetry", by = "hours" }
splits.mixed = { method = "even", among = ["pool", "splits.spent", "splits.told"] }
"""
SPLITS = ("even", "fixed", "fine", "chain", "spent", "told", "mixed")
OUTCOMES = [
    *(f'cost_center = "{name}"' for name in ("ml", "web", "gone")),
    *(f'split = "{name}"' for name in SPLITS),
    'cost_center_from = "Tags.team"',
]
MATCHES = [
    '{ "Tags.team" = true }',
    '{ "Tags.team" = false }',
    '{ "Tags.team" = "web" }',
    '{ ResourceId = "i-1" }',
    '{ ServiceName = "EC2", "Tags.node" = false }',
    '{ "Workload.kind" = "pod" }',
    '{ "Workload.name" = "a" }',
    '{ "Workload.kind" = false }',
]
POLICIES = [
    "",
    'idle = { cost_center = "pool" }',
    'idle = { split = "fixed" }',
    'idle = { split = "chain" }',
    'idle = { split = "mixed" }',
    'idle = { cost_center = "gone", owners = { ml = { split = "even" }, web = {} } }',
]


@st.composite
def organizations(draw: st.DrawFn) -> Organization:
    rules = draw(
        st.lists(st.tuples(st.sampled_from(MATCHES), st.sampled_from(OUTCOMES)), max_size=5)
    )
    lines = [
        f'[[rules]]\nid = "r{place}"\nmatch = {match}\n{outcome}'
        for place, (match, outcome) in enumerate(rules)
    ]
    text = "\n".join([draw(st.sampled_from(POLICIES)), PEOPLE, *lines])
    return organization.parse(text, tomllib.loads(text, parse_float=Decimal))


def bases(*amounts: str) -> st.SearchStrategy[Basis]:
    some = st.sampled_from([Decimal(amount) for amount in amounts])
    return st.fixed_dictionaries(
        {
            "spent": st.dictionaries(st.sampled_from(["ml", "web", "gone"]), some),
            "told": st.dictionaries(st.sampled_from(["chat", "pool"]), some),
        }
    )


# The common denominator of all splits stays below 10¹⁸: shares are exact.
BASES = bases("1", "-2", "3")
TOO_FINE = bases("1", "4.5", "0.00000007", "98765432109876543210.123456789012345678")
COSTS = st.integers(-(10**24), 10**24).map(money.amount) | st.just(Decimal(0))
TEAMS = st.sampled_from([None, "ml", "web", "bot", "gone", "nobody"])
RESOURCES = st.sampled_from([None, "i-1", "i-2", "arn:x/i-2", "repo/a"])
SPANS = st.sampled_from([(0, 24), (0, 1), (1, 2), (23, 24), (0, 72), (5, 5), (12, 13)])
COUNTS = st.sampled_from(["0.142857", "0.142857142857142857", "0.5", "0", "1", "3", "8", "0.7"])
WEIGHTS = st.sampled_from(["0", "1", "2.5", "0.333333333333"])


LINES = st.fixed_dictionaries(
    {
        "ServiceName": st.sampled_from(["EC2", "S3"]),
        "ResourceId": RESOURCES,
        "ResourceName": st.sampled_from([None, None, "i-1"]),
        "SkuId": st.sampled_from([None, "linux", "gpu"]),
        "BilledCost": COSTS,
        "x_GpuCount": st.sampled_from([None, None, 0, 8]),
        "team": TEAMS,
        "node": st.sampled_from([None, None, "i-1"]),
        "span": SPANS,
        "gpus_billed": st.sampled_from([None, 4, 8]),
    }
)


def charge(place: int, line: dict[str, Any]) -> dict[str, Any]:
    """Make a charge; every measure but the GPU-hours is the cost."""
    start, end = line.pop("span")
    tags = {key: value for key in ("team", "node") if (value := line.pop(key))}
    billed = line.pop("gpus_billed")
    return {
        "x_ChargeId": f"{place:032x}",
        "x_RawId": "ab",
        "x_RawRow": place,
        "BillingCurrency": "USD",
        "Tags": json.dumps(tags) if tags else None,
        "ChargePeriodStart": DAY + timedelta(hours=start),
        "ChargePeriodEnd": DAY + timedelta(hours=end),
        **dict.fromkeys(MEASURES.values(), line["BilledCost"]),
        **line,
        "x_GpuHours": None if billed is None else Decimal(billed * (end - start)),
    }


def bills() -> st.SearchStrategy[list[dict[str, Any]]]:
    lines = st.lists(LINES, max_size=6)
    return lines.map(lambda rows: [charge(place, dict(row)) for place, row in enumerate(rows)])


TELLINGS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["pod", "run", "idle"]),
        "name": st.sampled_from(["a", "b", "c"]),
        "hour": st.integers(-3, 30),
        "minutes": st.integers(0, 24 * 60),
        "place": st.sampled_from([("i-1", None), ("i-2", "i-1"), (None, "i-1"), ("repo/a", None)]),
        "gpu_count": st.none() | COUNTS.map(Decimal),
        "weight": st.none() | WEIGHTS.map(Decimal),
        "sku": st.sampled_from([None, None, "linux"]),
    }
)


def workload(told: dict[str, Any]) -> dict[str, Any]:
    """Make a workload; its tags go by its name."""
    begun = DAY + timedelta(hours=told.pop("hour"))
    resource, node = told.pop("place")
    sku = told.pop("sku")
    teams = {"a": '{"team": "ml"}', "b": '{"team": "nobody"}', "c": None}
    return {
        "workload_id": "w",
        "started_at": begun,
        "ended_at": begun + timedelta(minutes=told.pop("minutes")),
        "resource_id": resource,
        "node": node,
        "tags": None if told["kind"] == "idle" else teams[told["name"]],
        "attributes": None if sku is None else json.dumps({"sku": sku}),
        **told,
    }


def tellings() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(TELLINGS, max_size=7).map(lambda rows: [workload(dict(row)) for row in rows])


def as_charges(rows: Sequence[dict[str, Any]]) -> pl.LazyFrame:
    given_names = list(rows[0]) if rows else []
    absent = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in focus.SCHEMA.items()
        if name not in given_names
    ]
    schema = {name: focus.SCHEMA[name] for name in given_names}
    return pl.DataFrame(rows, schema=schema).lazy().with_columns(absent)


def as_told(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    absent = dict.fromkeys(TOLD_SCHEMA)
    return pl.DataFrame([{**absent, **row} for row in rows], schema=TOLD_SCHEMA, strict=True)


def engine(
    charges: pl.LazyFrame,
    told: pl.DataFrame,
    org: Organization,
    whole: pl.LazyFrame | None = None,
    basis: Basis = NOTHING,
) -> pl.DataFrame:
    held = holding.of(charges if whole is None else whole, told)
    found = attribution.allocate(charges, org, PARTITION, held, basis).collect()
    attribution.proven(charges, found.lazy(), "here")
    return found


def who(step: str, reason: str | None) -> str:
    """Read who held a part out of its reason."""
    if reason is None or (step == "unallocated" and ": " not in reason):
        return ""
    told = reason.partition(" held " if step != "unallocated" else ": ")[0]
    return "~idle" if told in {"nobody", "idle"} else told


def comparable(found: pl.DataFrame) -> list[tuple[object, ...]]:
    rows = found.select(
        *("charge_id", "cost_center", "step", "rule", "reason", "share_num", "share_den"),
        "billed_cost",
    ).rows()
    return sorted(
        (
            (id_, center, step, rule, who(step, reason), Fraction(num, den), cost)
            for id_, center, step, rule, reason, num, den, cost in rows
        ),
        key=str,
    )


SOME, THOUSANDS = (
    settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    for count in (15, 3000)
)


def both(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, basis: Basis
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Attribute with the engine and with the reference."""
    expected = sorted(reference.allocate(bill, told, org, PARTITION.day, basis), key=str)
    found = comparable(engine(as_charges(bill), as_told(told), org, basis=basis))
    return found, [*expected]


@SOME
@given(bills(), tellings(), organizations(), BASES)
def test_the_engine_says_what_the_reference_says(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, basis: Basis
) -> None:
    found, expected = both(bill, told, org, basis)
    assert found == expected


@pytest.mark.slow
@THOUSANDS
@given(bills(), tellings(), organizations(), BASES)
def test_the_engine_says_what_the_reference_says_thousands_of_times(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, basis: Basis
) -> None:
    found, expected = both(bill, told, org, basis)
    assert found == expected


def share_of(rows: list[tuple[object, ...]]) -> dict[tuple[object, ...], Fraction]:
    """Give the share of each part by all that names it."""
    return {row[:5]: Fraction(str(row[5])) for row in rows}


@SOME
@given(bills(), tellings(), organizations(), TOO_FINE)
def test_shares_that_are_too_fine_are_off_by_a_few_units_of_the_eighteenth_digit(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, basis: Basis
) -> None:
    found, expected = map(share_of, both(bill, told, org, basis))
    nothing = Fraction(0)
    for part in {*found, *expected}:
        assert abs(found.get(part, nothing) - expected.get(part, nothing)) <= Fraction(10, 10**18)


@SOME
@given(bills().filter(bool), tellings(), organizations(), BASES | TOO_FINE)
def test_every_measure_of_every_charge_adds_up(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, basis: Basis
) -> None:
    found = engine(as_charges(bill), as_told(told), org, basis=basis)
    sums = found.group_by("charge_id").agg(pl.col(list(MEASURES)).sum()).sort("charge_id")
    expected = as_charges(bill).collect().sort("x_ChargeId").select(MEASURES.values())
    assert sums.drop("charge_id").rows() == expected.fill_null(0).rows()
    assert not found.select(pl.exclude("charge_start")).is_duplicated().any()


@SOME
@given(bills().filter(bool), tellings(), organizations(), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, random: Any
) -> None:
    straight = engine(as_charges(bill), as_told(told), org)
    random.shuffle(bill)
    random.shuffle(told)
    shuffled = engine(as_charges(bill), as_told(told), org)
    keys = ["charge_id", "cost_center", "step", "rule", "reason"]
    assert straight.sort(keys).equals(shuffled.sort(keys))


@SOME
@given(bills().filter(bool), tellings(), organizations(), st.integers(0, 6))
def test_splitting_the_bill_in_two_gives_the_same(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, at: int
) -> None:
    whole = as_charges(bill)
    together = engine(whole, as_told(told), org)
    halves = [engine(whole.slice(*each), as_told(told), org, whole) for each in ((0, at), (at,))]
    assert comparable(pl.concat(halves)) == comparable(together)


@SOME
@given(bills().filter(bool), tellings(), organizations(), st.integers(0, 5))
def test_a_rule_that_matches_nothing_changes_nothing(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization, at: int
) -> None:
    nothing = Rule(id="none", match={"ServiceName": "never"}, cost_center="ml")
    rules = (*org.rules[:at], nothing, *org.rules[at:])
    more = Organization.model_construct(**{**dict(org), "rules": rules})
    found, same = (engine(as_charges(bill), as_told(told), each) for each in (org, more))
    assert found.equals(same)


@SOME
@given(bills().filter(bool), tellings(), organizations())
def test_workloads_of_other_resources_change_nothing(
    bill: list[dict[str, Any]], told: list[dict[str, Any]], org: Organization
) -> None:
    others = [one | {"resource_id": "elsewhere", "node": None} for one in told]
    found = engine(as_charges(bill), as_told([*told, *others]), org)
    assert found.equals(engine(as_charges(bill), as_told(told), org))
    assert holding.of(as_charges(bill), as_told(others)) is None


def test_the_reference_reads_a_seventh() -> None:
    assert reference.meant(Decimal("0.142857")) == Fraction(1, 7)
    assert reference.meant(Decimal("0.14")) == Fraction(7, 50)
