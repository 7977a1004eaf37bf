"""Splits in proportion to what cost centers have: over partitions, restated, interrupted."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import charges, moved, organization, posting, workloads
from finops.deciding import DIRECT, Deciding
from finops.ledger import verify
from finops.partition import Window
from finops.raw import Delivery, RawStore, Scope
from finops.workloads import Told
from tests.finops.company import OCTOBER, Company, snapshot

RULES = """
cost_centers.division = {{ type = "division", name = "Division" }}
cost_centers.ml = {{ type = "team", name = "ML", parent = "division" }}
cost_centers.web = {{ type = "team", name = "Web" }}
splits.overhead = {{ {split} }}

[[rules]]
id = "shared"
match = {{ ServiceName = "Support" }}
split = "overhead"

[[rules]]
id = "tag"
match = {{ Tags.team = true }}
cost_center_from = "Tags.team"
"""
BILL = """
ChargePeriodStart,ServiceName,BilledCost,Tags
2026-10-02T00:00:00Z,EC2,30.00,"{""team"": ""ml""}"
2026-10-02T00:00:00Z,EC2,10.00,"{""team"": ""web""}"
2026-10-02T00:00:00Z,Support,8.00,
2026-10-03T00:00:00Z,EC2,40.00,"{""team"": ""web""}"
2026-10-03T00:00:00Z,Support,100.00,
"""
NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)

Found = Callable[[str], Company]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    def company(split: str) -> Company:
        return Company.of(tmp_path / "company", RULES.format(split=split))

    return company


def of_support(company: Company) -> dict[str | None, Decimal]:
    entries = company.entries().filter(pl.col("service") == "Support")
    sums = entries.group_by("cost_center").agg(pl.col("billed_cost").sum())
    return {center: Decimal(amount) for center, amount in sums.iter_rows() if amount}


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ('method = "proportional", by = "billed_cost"', {"ml": 6, "web": 102}),
        (
            'method = "proportional", by = "billed_cost", over = "month"',
            {"ml": Decimal("40.5"), "web": Decimal("67.5")},
        ),
        (
            'method = "proportional", by = "effective_cost", over = "month", among = ["division"]',
            {"division": 108},
        ),
        ('method = "proportional", by = "billed_cost", currency = "EUR"', {None: 108}),
        ('method = "proportional", by = "gpu_hours"', {None: 108}),
        ('method = "proportional", by = "billed_cost", over = "previous_month"', {None: 108}),
    ],
)
def test_a_shared_charge_is_divided_by_what_others_carry(
    found: Found, split: str, parts: dict[str | None, Decimal]
) -> None:
    company = found(split)
    company.deliver(BILL)
    company.post()
    assert of_support(company) == parts
    assert sum(company.sums().values()) == 188
    assert verify(company.warehouse).ok


def test_who_has_nothing_to_go_by_is_told_so(found: Found) -> None:
    company = found('method = "proportional", by = "gpu_hours"')
    company.deliver(BILL)
    company.post()
    reasons = {*company.entries().get_column("reason").drop_nulls()}
    assert reasons == {
        "split overhead has nothing to go by on 2026-10-02",
        "split overhead has nothing to go by on 2026-10-03",
    }


def test_a_restated_day_changes_the_shares_of_the_month_and_nothing_else(found: Found) -> None:
    company = found('method = "proportional", by = "billed_cost", over = "month"')
    company.deliver(BILL)
    company.post()
    company.deliver(BILL.replace("40.00", "60.00"))
    appended = company.post()
    assert appended is not None
    assert appended.rows == 2 + 2 * 4, "the restated charge, and two shares of two shared charges"
    assert of_support(company) == {"ml": Decimal("32.4"), "web": Decimal("75.6")}
    assert company.post() is None
    assert verify(company.warehouse).ok


def test_a_run_that_changes_nothing_writes_nothing(found: Found) -> None:
    company = found('method = "proportional", by = "billed_cost", over = "month"')
    company.deliver(BILL)
    company.post()
    before = snapshot(company.root)
    assert company.post() is None
    assert snapshot(company.root) == before


def test_kept_direct_costs_that_are_lost_or_damaged_are_worked_out_again(found: Found) -> None:
    company = found('method = "proportional", by = "billed_cost", over = "month"')
    company.deliver(BILL)
    company.post()
    first, second = list(company.warehouse.list(f"{DIRECT}/"))
    company.warehouse.delete(first)
    company.warehouse.replace(second, b"{")
    assert posting.changed(company.warehouse, company.ledger, company.organization, OCTOBER) == []


def test_who_attributes_alone_does_not_go_by_what_was_kept_before(found: Found) -> None:
    company = found('method = "proportional", by = "billed_cost"')
    lines = BILL.strip().splitlines()
    company.deliver("\n".join(lines[:3]))
    company.post()
    company.deliver("\n".join(lines[:4]))
    (changed,) = (one for one in charges.partitions(company.warehouse) if one.day.day == 2)
    done = posting.attribute(company.warehouse, changed, company.organization)
    posting.post(company.warehouse, company.ledger, [done], company.facts)
    assert of_support(company) == {"ml": 6, "web": 2}
    assert company.post() is None


def test_the_previous_month_divides_this_one(tmp_path: Path) -> None:
    split = 'method = "proportional", by = "billed_cost", over = "previous_month"'
    company = Company.of(tmp_path / "company", RULES.format(split=split))
    months = Scope(frozenset({"2026-09", "2026-10"}), Window(date(2026, 9, 1), date(2026, 11, 1)))
    company.deliver(
        """
        BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ServiceName,BilledCost,Tags
        2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,2026-09-30T00:00:00Z,EC2,1,"{""team"": ""ml""}"
        2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,2026-09-30T00:00:00Z,EC2,3,"{""team"": ""web""}"
        2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-02T00:00:00Z,Support,8,
        """,
        months,
    )
    company.post()
    assert of_support(company) == {"ml": 2, "web": 6}


def test_new_rules_show_whom_a_proportion_would_move(found: Found, tmp_path: Path) -> None:
    company = found('method = "even", among = ["ml", "web"]')
    company.deliver(BILL)
    company.post()
    before = snapshot(company.root)
    text = RULES.format(split='method = "proportional", by = "billed_cost"')
    path = tmp_path / "new.toml"
    path.write_text(text, encoding="utf-8")
    told = moved.compare(
        company.warehouse, company.organization, organization.load(path), "2026-10"
    )
    assert {each.cost_center: each.change for each in told.balances} == {"ml": -48, "web": 48}
    assert snapshot(company.root) == before


TELEMETRY = [
    ('by = "hours"', {"ml": 2, "web": 6}),
    ('by = "gpu_hours"', {"ml": 4, "web": 4}),
    ('by = "used_gpu_hours"', {"ml": 2, "web": 6}),
    ('by = "weight"', {"ml": 7, "web": 1}),
    ('by = "attributes.requests"', {"ml": 1, "web": 7}),
    ('by = "attributes.requests", match = { Workload.name = "m*" }', {"ml": 8}),
    ('by = "attributes.none"', {None: 8}),
]


@pytest.mark.parametrize(("by", "parts"), TELEMETRY)
def test_a_shared_charge_is_divided_by_what_workloads_tell(
    found: Found, by: str, parts: dict[str | None, Decimal]
) -> None:
    company = found(f'method = "telemetry", {by}')
    company.deliver("ChargePeriodStart,ServiceName,BilledCost\n2026-10-02T00:00:00Z,Support,8\n")
    tell(company, ("ml", 1, "3", "0.333333333333333333", "7", '{"requests": 1}'))
    tell(company, ("web", 3, "1", None, "1", '{"requests": "7.0"}'))
    company.post()
    assert {
        key: value.quantize(Decimal("1e-12")) for key, value in of_support(company).items()
    } == parts
    tell(company, ("web", 3, "1", None, "1", '{"requests": 1}'))
    company.post()
    assert sum(of_support(company).values()) == 8
    assert verify(company.warehouse).ok


Pod = tuple[str, int, str, str | None, str, str]


def tell(company: Company, pod: Pod) -> None:
    team, hours, gpus, used, weight, attributes = pod
    raw = RawStore(company.warehouse).keep(repr(pod).encode(), "reply")
    row = {
        "workload_id": team,
        "kind": "pod",
        "name": team,
        "started_at": NOON,
        "ended_at": NOON + timedelta(hours=hours),
        "resource_id": f"node-of-{team}",
        "gpu_count": Decimal(gpus),
        "gpu_utilization": None if used is None else Decimal(used),
        "weight": Decimal(weight),
        "tags": f'{{"team": "{team}"}}',
        "attributes": attributes,
    }
    schema = {name: workloads.SCHEMA[name] for name in row}
    told = [Told(raw, pl.LazyFrame([row], schema=schema))]
    week = Scope(days=Window(date(2026, 10, 1), date(2026, 10, 8)))
    workloads.write(told, Delivery("kubernetes", team, week, (raw,)), company.warehouse)


def test_without_such_splits_nothing_is_kept(found: Found) -> None:
    company = found('method = "even", among = ["ml", "web"]')
    company.deliver(BILL)
    company.post()
    assert list(company.warehouse.list(f"{DIRECT}/")) == []
    (first, _) = posting.changed(
        company.warehouse,
        Company.of(company.root / "x", RULES.format(split="method='even',among=['ml']")).ledger,
        company.organization,
        OCTOBER,
    )
    assert Deciding(company.warehouse, company.organization).basis(first) == {}
