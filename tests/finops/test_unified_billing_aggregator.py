"""Totals over all providers."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from finops import UnifiedBillingAggregator
from finops.errors import ConfigError
from tests.cli.test_run import SEPTEMBER, billed
from tests.conftest import Finops


@pytest.fixture
def bills(acme: Path) -> UnifiedBillingAggregator:
    return UnifiedBillingAggregator.from_config(acme / "finops.toml")


def test_nothing_was_billed_yet(bills: UnifiedBillingAggregator) -> None:
    assert bills.total() == {}
    assert bills.totals(("provider",)).columns[:2] == ["provider", "currency"]
    assert bills.coverage() == []


def test_totals_add_up_to_the_bill_however_they_are_grouped(
    bills: UnifiedBillingAggregator, finops: Finops
) -> None:
    assert finops("run", *SEPTEMBER).code == 0
    (covered,) = bills.coverage()
    whole = billed() - covered.quarantined
    assert bills.total() == {"USD": whole}
    # One charge of September is on October's bill.
    assert bills.total("2024-10") == {"USD": Decimal("0.5")}
    assert bills.total("2024-09") == {"USD": whole - Decimal("0.5")}
    assert bills.total("2024-08") == {}
    by_service = bills.totals(("service_provider", "period"))
    assert by_service["service_provider"].to_list() == ["AWS", "Microsoft", "Oracle", "AWS"]
    assert by_service["billed_cost"].sum() == whole
    assert by_service["rows"].dtype.is_integer()
    everything = bills.totals(
        ("period", "provider", "source", "service_provider", "currency", "cost_source")
    )
    assert everything["effective_cost"].sum() == by_service["effective_cost"].sum()
    assert set(everything["cost_source"]) == {"billed"}


def test_what_cannot_be_grouped_by_is_refused(bills: UnifiedBillingAggregator) -> None:
    with pytest.raises(ValueError, match="grouped by 'team'"):
        bills.totals(("team",))
    with pytest.raises(ConfigError, match="not a month"):
        bills.total("2024-13")


def test_what_was_reconciled_last_counts(acme: Path, bills: UnifiedBillingAggregator) -> None:
    def receipt(name: str, stated: str, found: str) -> None:
        folder = acme / "warehouse" / "ingests" / "provider=runpod" / "source=pods"
        folder.mkdir(parents=True, exist_ok=True)
        said = {
            "what": "the total",
            "unit": "USD",
            "stated": stated,
            "found": found,
            "agrees": stated == found,
        }
        (folder / f"{name}.json").write_text(json.dumps({"reconciled": [said]}), encoding="utf-8")

    receipt("2024-09-01_2024-09-20", "10", "10")
    receipt("2024-08-01_2024-10-01", "12.5", "12")
    ((source, (found,)),) = bills.reconciliation().items()
    assert source == "pods"
    assert (found.stated, found.agrees) == (Decimal("12.5"), False)
    assert found.difference == Decimal("-0.5")
