"""Workloads that come late, change or vanish become corrections; others change no byte."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import tracing, workloads
from finops.ledger import verify
from finops.partition import Window
from finops.raw import Delivery, RawStore, Scope
from finops.workloads import Told
from tests.finops.company import Company, snapshot

RULES = """
cost_centers.ml = { type = "team", name = "ML" }
cost_centers.web = { type = "team", name = "Web" }

[[rules]]
id = "tag"
match = { Tags.team = true }
cost_center_from = "Tags.team"

[[rules]]
id = "rest"
match = { BillingCurrency = true }
cost_center = "web"
"""
BILL = """
ChargePeriodStart,ChargePeriodEnd,ResourceId,BilledCost,ServiceName
2026-10-02T00:00:00Z,2026-10-03T00:00:00Z,i-1,10.00,EC2
2026-10-02T00:00:00Z,2026-10-03T00:00:00Z,i-2,5.00,EC2
2026-10-03T00:00:00Z,2026-10-04T00:00:00Z,i-1,20.00,EC2
"""
WEEK = Window(date(2026, 10, 1), date(2026, 10, 8))
NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)


@pytest.fixture
def posted(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    company.post()
    return company


def tell(company: Company, *pods: tuple[str, str, int]) -> None:
    """Tell of pods by team, resource and hours from noon of 2 October."""
    raw = RawStore(company.warehouse).keep(repr(pods).encode(), "reply")
    rows = [
        {
            "workload_id": f"{team}/{resource}",
            "kind": "pod",
            "name": team,
            "started_at": NOON,
            "ended_at": NOON + timedelta(hours=hours),
            "resource_id": resource,
            "gpu_count": Decimal(1),
            "tags": f'{{"team": "{team}"}}',
        }
        for team, resource, hours in pods
    ]
    schema = {name: workloads.SCHEMA[name] for name in rows[0]} if rows else None
    told = [Told(raw, pl.LazyFrame(rows, schema=schema))] if rows else []
    delivery = Delivery("kubernetes", "cluster", Scope(days=WEEK), (raw,))
    workloads.write(told, delivery, company.warehouse)


def test_a_late_workload_becomes_a_correction(posted: Company) -> None:
    tell(posted, ("ml", "i-1", 6))
    appended = posted.post()
    assert appended is not None
    assert appended.rows == 2, "one reversal, one new entry, of one charge"
    assert posted.sums() == {"ml": Decimal(10), "web": Decimal(25)}
    assert verify(posted.warehouse).ok


def test_the_same_workloads_again_make_no_batch(posted: Company) -> None:
    tell(posted, ("ml", "i-1", 6), ("web", "i-1", 3))
    posted.post()
    before = snapshot(posted.root)
    tell(posted, ("ml", "i-1", 6), ("web", "i-1", 3))
    assert posted.post() is None
    assert snapshot(posted.root) == before


def test_workloads_of_unbilled_resources_make_no_batch(posted: Company) -> None:
    settled = snapshot(posted.root / "warehouse" / "settled")
    tell(posted, ("ml", "i-9", 6))
    assert posted.post() is None
    assert snapshot(posted.root / "warehouse" / "settled") == settled


def test_a_workload_over_midnight_explains_both_days(posted: Company) -> None:
    tell(posted, ("ml", "i-1", 18), ("web", "i-1", 12))
    posted.post()
    assert posted.sums() == {"ml": Decimal(25), "web": Decimal(10)}
    explained = posted.entries().filter(step="workload").sort("day", "cost_center")
    assert explained["billed_cost"].to_list() == [5, 5, 20]


def test_a_workload_that_is_taken_back_gives_the_charge_back_to_the_rules(
    posted: Company,
) -> None:
    tell(posted, ("ml", "i-1", 6))
    posted.post()
    tell(posted)
    posted.post()
    assert posted.sums() == {"web": Decimal(35)}
    assert verify(posted.warehouse).ok


def test_two_pods_of_one_team_stay_apart(posted: Company) -> None:
    tell(posted, ("ml", "i-2", 6), ("ml", "i-2", 6), ("web", "i-2", 12))
    posted.post()
    live = posted.entries().filter(step="workload").select("cost_center", "reason", "billed_cost")
    assert live.sort("cost_center").rows() == [
        ("ml", "pod ml held 50.0 % of the GPU time that was held", Decimal("2.5")),
        ("web", "pod web held 50.0 % of the GPU time that was held", Decimal("2.5")),
    ]


def test_the_ledger_names_the_raw_objects_of_workloads(posted: Company) -> None:
    tell(posted, ("ml", "i-1", 6))
    posted.post()
    manifest = json.loads(
        posted.warehouse.read(f"ledger/man/{posted.ledger.batches()[-1].manifest}.json")
    )
    (partition,) = manifest["partitions"]
    assert [(each["source"], each["name"]) for each in partition["inputs"]] == [
        ("acme", "bill"),
        ("cluster", "reply"),
    ]


def test_an_entry_is_walked_back_to_the_workloads(posted: Company) -> None:
    tell(posted, ("ml", "i-1", 6))
    posted.post()
    last = posted.entries().filter(step="workload").select("index", "row").row(0)
    found = tracing.trace(posted.warehouse, posted.ledger, "{}/{}".format(*last))
    (raw,) = {key for key in posted.warehouse.list("raw/") if b"'ml'" in posted.warehouse.read(key)}
    assert found.workloads == {
        "pod ml from 2026-10-02 12:00:00": (
            f"to 2026-10-02 18:00:00, 1 GPUs, told by cluster in row 0 of {raw}"
        )
    }
    assert "workloads" in found.as_json()
