"""`finops accrue`: from a call in Python to the ledger."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from finops.reported import Event, What
from finops.reporting import append
from tests.conftest import Finops


def start(folder: Path, resource: str, hours: float) -> None:
    append(
        folder,
        Event(
            id=f"{resource}-start",
            event=What.START,
            workload_id=resource,
            at=datetime.now(UTC) - timedelta(hours=hours),
            resource_id=resource,
            cost_per_hour=Decimal("2.5"),
            currency="USD",
            tags={"team": "vision"},
            more={"provider": "runpod"},
        ),
    )
    append(folder, Event(f"{resource}-beat", What.HEARTBEAT, resource, datetime.now(UTC)))


def test_tracked_work_is_in_coverage_at_once(acme: Path, finops: Finops) -> None:
    with (acme / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[sources.tracked]\nprovider = "sdk"\npath = "spool"\n')
    start(acme / "spool", "pod-1", 1)
    said = finops("accrue", "--json")
    assert said.code == 0, said.err
    (found,) = json.loads(said.out)
    assert (found["source"], found["running"], found["compared"]) == ("tracked", 1, [])
    assert Decimal("2.4") < Decimal(found["estimated"]["USD"]) <= Decimal("2.5")
    (covered,) = json.loads(finops("coverage", "--json").out)
    assert covered["allocated"] == covered["billed"] == found["estimated"]["USD"]
    assert covered["estimated"] == covered["billed"]
    assert "USD of it is estimated: not billed yet" in finops("coverage").out
    shown = finops("accrue")
    assert "tracked" in shown.out
    assert finops("ledger", "verify").code == 0


def test_a_run_leaves_no_estimate_beside_its_bill(acme: Path, finops: Finops) -> None:
    with (acme / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[sources.tracked]\nprovider = "sdk"\npath = "spool"\n')
        file.write('\n[sources.pods]\nprovider = "focus"\npath = "pods.csv"\n')
    start(acme / "spool", "pod-1", 2)
    assert finops("accrue").code == 0
    now = datetime.now(UTC)
    begun, over = (f"{now + timedelta(hours=by):%Y-%m-%dT%H:%M:%SZ}" for by in (-2.1, 1))
    month = now.replace(day=1, hour=0, minute=0, second=0)
    after = (month + timedelta(days=32)).replace(day=1)
    names = "BilledCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargeCategory"
    (acme / "pods.csv").write_text(
        f"{names},ChargePeriodStart,ChargePeriodEnd,ResourceId,ServiceProviderName\n"
        f"4.75,USD,{month:%Y-%m-%dT%H:%M:%SZ},{after:%Y-%m-%dT%H:%M:%SZ},Usage,{begun},{over},"
        f"pod-1,RunPod\n",
        encoding="utf-8",
    )
    days = ("--from", f"{month:%Y-%m-%d}", "--to", f"{after:%Y-%m-%d}")
    assert finops("run", "tracked", "pods", *days).code == 0
    (covered,) = json.loads(finops("coverage", "--json").out)
    assert Decimal(covered["billed"]) == Decimal("4.75")
    assert Decimal(covered["estimated"]) == 0
    (found,) = json.loads(finops("accrue", "--json").out)
    assert found["estimated"] == {}
    (compared,) = found["compared"]
    assert compared["provider"] == "runpod"
    assert Decimal(compared["billed"]) == Decimal("4.75")
    assert Decimal("0.1") < Decimal(compared["error"]) < Decimal("0.3")


def test_a_source_that_cannot_be_read_keeps_its_estimates(acme: Path, finops: Finops) -> None:
    with (acme / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[sources.tracked]\nprovider = "sdk"\npath = "spool"\n')
    start(acme / "spool", "pod-1", 1)
    finops("accrue")
    before = finops("coverage", "--json").out
    (acme / "spool").rename(acme / "unmounted")
    said = finops("accrue")
    assert said.code == 1
    assert "there is no such folder" in said.err
    assert finops("coverage", "--json").out == before


def test_without_reported_work_there_is_nothing_to_estimate(acme: Path, finops: Finops) -> None:
    said = finops("accrue", "--json")
    assert (said.code, json.loads(said.out)) == (0, [])
