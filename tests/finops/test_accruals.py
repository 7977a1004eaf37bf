"""Estimates stand until the bill is posted, and are reversed then, to the last digit."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops import accruals, charges, ledger, posting
from finops.accruals import Accrued, Compared
from tests.finops.company import OCTOBER, Company, kept_charges
from tests.finops.test_estimates import work

NOON = datetime(2026, 10, 3, 12, tzinfo=UTC)
RULES = """
[cost_centers.vision]
type = "team"
name = "Vision"

[[rules]]
id = "team-tag"
match = { Tags.team = true }
cost_center_from = "Tags.team"
"""


@pytest.fixture
def acme(tmp_path: Path) -> Company:
    return Company.of(tmp_path / "company", RULES)


def accrue(acme: Company, rows: Sequence[dict[str, object]], now: datetime = NOON) -> Accrued:
    found = accruals.accrue(acme.warehouse, acme.ledger, "tracked", rows, now)
    attributed = [
        posting.attribute(acme.warehouse, each, acme.organization) for each in found.changed
    ]
    if attributed:
        posting.post(acme.warehouse, acme.ledger, attributed, acme.facts)
    return found


def billed(acme: Company, cost: str, start: str, end: str, resource: str = "pod-1") -> None:
    acme.deliver(
        f"""
        BilledCost,ResourceId,ServiceProviderName,ChargePeriodStart,ChargePeriodEnd,Tags
        {cost},{resource},RunPod,2026-10-{start},2026-10-{end},"{{""team"": ""vision""}}"
        """
    )
    acme.post()


def morning(**more: object) -> dict[str, object]:
    return work(NOON - timedelta(hours=4), NOON, **more)


def test_what_runs_is_visible_in_the_ledger_and_owned(acme: Company) -> None:
    found = accrue(acme, [morning()])
    assert (found.running, found.unpriced) == (1, 0)
    assert found.estimated == {"USD": Decimal(10)}
    assert acme.sums() == {"vision": Decimal(10)}
    assert set(kept_charges(acme.warehouse)["x_CostSource"]) == {"estimate"}
    assert ledger.verify(acme.warehouse, level=2).findings == ()


def test_the_same_again_posts_nothing_and_the_next_step_restates_one_hour(acme: Company) -> None:
    accrue(acme, [morning()])
    entries = len(acme.entries())
    assert accrue(acme, [morning()]).changed == ()
    assert accrue(acme, [work(NOON - timedelta(hours=4), NOON)], NOON).changed == ()
    later = NOON + timedelta(minutes=10)
    accrue(acme, [work(NOON - timedelta(hours=4), later)], later)
    assert len(acme.entries()) == entries + 1
    later += timedelta(minutes=2)
    accrue(acme, [work(NOON - timedelta(hours=4), later)], later)
    assert len(acme.entries()) == entries + 3
    assert acme.sums() == {"vision": Decimal("10.5")}


def test_the_bill_replaces_the_estimate_of_the_hours_it_reaches(acme: Company) -> None:
    accrue(acme, [morning()])
    billed(acme, "7", "03T08:00:00Z", "03T11:00:00Z")
    found = accrue(acme, [morning()])
    assert found.estimated == {"USD": Decimal("2.5")}
    assert found.compared == (Compared("runpod", "USD", Decimal("7.5"), Decimal(7)),)
    assert found.compared[0].error == Decimal("0.5")
    assert acme.sums() == {"vision": Decimal("9.5")}
    reversals = acme.entries().filter(kind="reversal")
    assert len(reversals) == 3
    assert ledger.verify(acme.warehouse, level=2).findings == ()
    billed(acme, "9.2", "03T08:00:00Z", "03T12:00:00Z")
    assert accrue(acme, [morning()]).estimated == {}
    assert acme.sums() == {"vision": Decimal("9.2")}


def test_the_bill_of_one_resource_says_nothing_of_another(acme: Company) -> None:
    accrue(acme, [morning()])
    billed(acme, "7", "03T08:00:00Z", "03T12:00:00Z", "pod-2")
    assert accrue(acme, [morning()]).estimated == {"USD": Decimal(10)}


def test_a_resource_without_any_charge_is_given_up_after_a_while(acme: Company) -> None:
    accrue(acme, [morning()])
    billed(acme, "7", "04T23:00:00Z", "05T00:00:00Z", "pod-2")
    assert accrue(acme, [morning()]).estimated == {}
    assert acme.sums() == {"vision": Decimal(7)}


def test_work_without_a_resource_waits_for_its_providers_bill(acme: Company) -> None:
    rows = [morning(resource_id=None)]
    accrue(acme, rows)
    billed(acme, "7", "03T09:00:00Z", "03T10:00:00Z", "pod-2")
    assert accrue(acme, rows).estimated == {"USD": Decimal(5)}


def test_a_monthly_fee_does_not_count_as_the_bill(acme: Company) -> None:
    accrue(acme, [morning()])
    billed(acme, "99", "01T00:00:00Z", "31T00:00:00Z")
    assert accrue(acme, [morning()]).estimated == {"USD": Decimal(10)}


def test_a_bill_that_is_taken_back_brings_the_estimate_back(acme: Company) -> None:
    accrue(acme, [morning()])
    billed(acme, "7", "03T08:00:00Z", "03T12:00:00Z")
    assert accrue(acme, [morning()]).estimated == {}
    billed(acme, "7", "03T08:00:00Z", "03T09:00:00Z")
    assert accrue(acme, [morning()]).estimated == {"USD": Decimal("7.5")}
    assert acme.sums() == {"vision": Decimal("14.5")}


def test_work_over_midnight_and_month_lies_where_it_was_done(acme: Company) -> None:
    start = datetime(2026, 10, 31, 23, tzinfo=UTC)
    now = datetime(2026, 11, 1, 1, tzinfo=UTC)
    accrue(acme, [work(start, now)], now)
    found = [(each.period, each.day) for each in charges.partitions(acme.warehouse)]
    assert found == [("2026-10", date(2026, 10, 31)), ("2026-11", date(2026, 11, 1))]


def test_what_is_kept_as_evidence_is_an_object_an_hour(acme: Company) -> None:
    accrue(acme, [morning()])
    rows = kept_charges(acme.warehouse)
    assert rows["x_RawId"].n_unique() == 4
    for raw_id, row in rows.select("x_RawId", "x_RawRow").iter_rows():
        lines = acme.warehouse.local(f"raw/{raw_id}").read_text(encoding="utf-8").splitlines()
        assert '"x_WorkloadId":"w-1"' in lines[row]


def test_a_currency_that_is_none_lies_in_quarantine(acme: Company) -> None:
    odd = '{"cost_per_hour": "2.5", "currency": "dollars", "provider": "runpod"}'
    assert accrue(acme, [morning(attributes=odd)]).changed == ()
    assert OCTOBER.start < NOON.date()
    assert charges.partitions(acme.warehouse, charges.QUARANTINE)
