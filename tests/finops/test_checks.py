import polars as pl
import pytest

from finops import checks, normalize
from finops.errors import Severity
from tests.finops.company import completed


def lifted(text: str) -> pl.DataFrame:
    """Normalize a bill; empty text counts as missing, as it does once it is tidied."""
    rows = normalize.canonical(completed(text).lazy(), "bill").collect()
    return rows.with_columns(pl.col(pl.String).replace("", None))


def found(text: str) -> dict[str, int]:
    """Count what is broken, but for columns that the small bills of these tests leave out."""
    counts = checks.counts(lifted(text))
    return {name: count for name, count in counts.items() if not name.endswith(": is missing")}


def fatal(text: str) -> list[str]:
    return [str(issue) for issue in checks.fatal_issues(lifted(text), "bill")]


def test_a_charge_that_ends_before_it_starts_is_fatal(docstring: str) -> None:
    """
    ChargePeriodStart,ChargePeriodEnd
    2026-10-03,2026-10-04
    2026-10-04,2026-10-03
    """
    assert fatal(docstring) == [
        (
            "bill: row 2: ChargePeriodEnd: the charge period ends before it starts; "
            "correct it at the source"
        )
    ]


def test_a_billing_period_that_ends_before_it_starts_is_fatal(docstring: str) -> None:
    """
    BillingPeriodStart,BillingPeriodEnd
    2026-10-01,2026-09-01
    """
    (said,) = fatal(docstring)
    assert said.startswith("bill: row 1: BillingPeriodEnd: the billing period ends before")


def test_a_row_without_any_day_is_fatal(docstring: str) -> None:
    """
    ChargePeriodStart,BillingPeriodStart
    ,2026-10-01
    2026-10-03,
    ,
    """
    (said,) = fatal(docstring)
    assert said.startswith("bill: row 3: ChargePeriodStart: neither ChargePeriodStart nor Billing")


@pytest.mark.parametrize("column", ["BilledCost", "EffectiveCost", "ContractedCost", "ListCost"])
def test_money_that_sums_could_not_hold_is_fatal(column: str) -> None:
    assert fatal(f"{column}\n1000000000000000\n-1000000000000000\n") == []
    said = fatal(f"{column}\n1000000000000000.01\n-1000000000000000.01\n")
    assert [line.partition(",")[0] for line in said] == [
        f"bill: row {row}: {column}: is beyond 1" for row in (1, 2)
    ]


def test_only_the_first_of_many_are_named() -> None:
    rows = "2026-10-04,2026-10-03\n" * 50
    assert len(fatal(f"ChargePeriodStart,ChargePeriodEnd\n{rows}")) == 5


QUARANTINED = {
    "BillingCurrency\nusd": "BillingCurrency: is no ISO 4217 code such as USD",
    "BillingCurrency\n$": "BillingCurrency: is no ISO 4217 code such as USD",
    "BillingCurrency\nUSDT": "BillingCurrency: is no ISO 4217 code such as USD",
    "BillingCurrency,SkuId\n,x": "BillingCurrency: is no ISO 4217 code such as USD",
    "BilledCost,SkuId\n,x": "BilledCost: is missing",
    "BillingPeriodStart,SkuId\n,x": "BillingPeriodStart: is missing",
    "ChargePeriodStart,SkuId\n,x": "ChargePeriodStart: is missing",
    "ChargePeriodEnd,SkuId\n,x": "ChargePeriodEnd: is missing",
    "ChargeCategory,SkuId\n,x": "ChargeCategory: is missing",
    "ChargeCategory\nRefund": "ChargeCategory: is none of Usage, Purchase, Tax, Credit, Adjustment",
}


@pytest.mark.parametrize("text", QUARANTINED)
def test_set_aside_with_the_reason(text: str) -> None:
    rows = lifted(text)
    reason = QUARANTINED[text]
    assert checks.counts(rows)[reason] == 1
    assert checks.quarantines(reason)
    assert rows.select(checks.reasons()).item() == reason


def test_a_row_may_have_several_reasons(docstring: str) -> None:
    """
    BilledCost,ChargeCategory,BillingCurrency
    ,Refund,usd
    1,Usage,USD
    """
    reasons = lifted(docstring).select(checks.reasons()).to_series().to_list()
    assert reasons[1] is None
    assert reasons[0].split("; ") == [
        "BillingCurrency: is no ISO 4217 code such as USD",
        "BilledCost: is missing",
        "ChargeCategory: is none of Usage, Purchase, Tax, Credit, Adjustment",
    ]


WARNED = {
    "ServiceCategory\nMagic": "ServiceCategory: is none of AI and Machine Learning, ",
    "ChargeClass\nOops": "ChargeClass: is none of Correction",
    "ListCost,ListUnitPrice,PricingQuantity,PricingUnit\n10,2,4,h": "ListCost: differs from List",
    "ConsumedQuantity,SkuId\n1,x": "ConsumedUnit: is missing although ConsumedQuantity is given",
    "ListUnitPrice\n-1": "ListUnitPrice: is negative",
}


@pytest.mark.parametrize("text", WARNED)
def test_shown_and_kept(text: str) -> None:
    ((check, count),) = found(text).items()
    assert check.startswith(WARNED[text])
    assert count == 1
    assert not checks.quarantines(check)
    assert lifted(text).select(checks.reasons()).item() is None


@pytest.mark.parametrize(
    "text",
    [
        "ListCost,ListUnitPrice,PricingQuantity,PricingUnit\n0.3333333333,0.1,3.333333333,h",
        "ListCost,ListUnitPrice,PricingQuantity,PricingUnit,ChargeClass\n10,2,4,h,Correction",
        "ListCost,SkuId\n10,x",
        "ChargeClass,SkuId\n,x",
        "BilledCost\n-5",
        "BilledCost\n0",
    ],
)
def test_nothing_wrong(text: str) -> None:
    assert found(text) == {}
    assert fatal(text) == []


def test_an_issue_says_where_what_and_how_many() -> None:
    many = checks.issue("ChargeClass: is none of Correction", 3, "bill")
    assert str(many) == "bill: ChargeClass: is none of Correction (3 rows)"
    assert many.severity is Severity.WARNING
    one = checks.issue("BilledCost: is missing", 1, "bill")
    assert str(one) == "bill: BilledCost: is missing (1 row)"
    assert one.severity is Severity.QUARANTINE
