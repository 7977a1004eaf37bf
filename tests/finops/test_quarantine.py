from decimal import Decimal

import pytest

from finops import quarantine
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import csv, deliver, kept_charges


def test_nothing_in_quarantine(warehouse: LocalWarehouse) -> None:
    assert quarantine.summary(warehouse).is_empty()
    deliver(warehouse, csv("BilledCost\n1"))
    assert quarantine.summary(warehouse).is_empty()


def test_money_is_counted_by_reason(warehouse: LocalWarehouse, bill: bytes) -> None:
    """
    BilledCost,BillingCurrency,ChargeCategory,BillingPeriodStart,ServiceProviderName
    1.10,USD,Usage,2026-10-01,AWS
    2.20,usd,Usage,2026-10-01,AWS
    3.30,usd,Usage,2026-10-01,AWS
    4.40,,Usage,2026-10-01,
    5.50,USD,Refund,2026-10-01,AWS
    -6.60,USD,Refund,2026-10-01,AWS
    ,USD,Usage,2026-10-01,AWS
    7.70,USD,,2026-10-01,AWS
    """
    ingested = deliver(warehouse, bill)
    currency = "BillingCurrency: is no ISO 4217 code such as USD"
    category = "ChargeCategory: is none of Usage, Purchase, Tax, Credit, Adjustment"
    assert quarantine.summary(warehouse).rows() == [
        ("2026-10", None, "XXX", currency, 1, Decimal("4.4")),
        ("2026-10", "AWS", "USD", "BilledCost: is missing", 1, Decimal(0)),
        ("2026-10", "AWS", "USD", "ChargeCategory: is missing", 1, Decimal("7.7")),
        ("2026-10", "AWS", "USD", category, 2, Decimal("-1.1")),
        ("2026-10", "AWS", "usd", currency, 2, Decimal("5.5")),
    ]
    assert ingested.quarantined_rows == 7
    assert ingested.quarantined == {
        "USD": Decimal("6.6"),
        "XXX": Decimal("4.4"),
        "usd": Decimal("5.5"),
    }
    assert ingested.billed == {**ingested.quarantined, "USD": Decimal("7.7")}
    assert kept_charges(warehouse).get_column("BilledCost").to_list() == [Decimal("1.1")]


def test_one_month_at_a_time(warehouse: LocalWarehouse, bill: bytes) -> None:
    """
    BilledCost,BillingCurrency,BillingPeriodStart
    1,usd,2026-10-01
    1,USD,2026-10-01
    2,usd,2026-11-01
    1,USD,2026-11-01
    """
    deliver(warehouse, bill)
    assert quarantine.summary(warehouse, "2026-11").get_column("amount").to_list() == [2]
    assert quarantine.summary(warehouse).height == 2
    assert quarantine.summary(warehouse, "2026-12").is_empty()


def test_a_corrected_bill_leaves_quarantine(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("BilledCost,BillingCurrency\n1,USD\n2,usd"))
    deliver(warehouse, csv("BilledCost,BillingCurrency\n1,USD\n2,USD"))
    assert quarantine.summary(warehouse).is_empty()
    assert list(warehouse.list("quarantine/")) == []


@pytest.mark.parametrize("currency", ["usd", ""])
def test_a_bill_of_nothing_but_bad_rows(warehouse: LocalWarehouse, currency: str) -> None:
    deliver(warehouse, csv(f"BilledCost,BillingCurrency,SkuId\n2,{currency},x"))
    assert quarantine.summary(warehouse).get_column("amount").to_list() == [2]
