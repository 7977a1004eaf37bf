import polars as pl
import pytest

from finops import conformance, focus, specification, vocabulary
from finops.focus import Kind
from tests.finops.company import completed
from tests.finops.test_checks import lifted


def broken(text: str) -> dict[str, int]:
    """Count the rows of a bill of a few columns that break each rule."""
    found = conformance.check(completed(text).lazy(), "bill").broken
    return {result.requirement.id: result.broken or 0 for result in found}


def example(name: str) -> str:
    column = focus.BY_NAME[name]
    if column.allowed:
        return column.allowed[0]
    match column.kind:
        case Kind.TEXT:
            return "something"
        case Kind.JSON:
            return '"{""x_a"":1}"'
        case _:
            return "1"


ALONE = {
    f"{column}: is given although {parent} is missing": f"{column},{parent}\n{example(column)},"
    for column, parent in (*specification._PAIRS, *specification._DEPENDENT)
}
LEFT_OUT = {
    f"{column}: is missing although {parent} is given": f"{column},{parent}\n,{example(parent)}"
    for column, parent in (*specification._PAIRS, ("SkuMeter", "SkuId"))
}
TAXED = {
    f"{column}: is given although the charge is a tax": f"{column},ChargeCategory\n{example(column)},Tax"
    for column in specification._OF_PRICES
}
PRICED = {
    f"{column}: is missing although the charge is usage or a purchase": (
        f"{column},ChargeCategory\n,Purchase"
    )
    for column in specification._OF_PRICES
}
COMMITTED = {
    "CapacityReservationId: is missing although CapacityReservationStatus is Unused": (
        "CapacityReservationId,CapacityReservationStatus\n,Unused"
    ),
    "CapacityReservationStatus: is missing although the charge is usage of a capacity reservation": (
        "CapacityReservationId,CapacityReservationStatus\ncr-1,"
    ),
    "CommitmentDiscountQuantity: is given although the charge neither buys nor uses a commitment": (
        "CommitmentDiscountId,CommitmentDiscountQuantity\n,1"
    ),
    "CommitmentDiscountQuantity: is missing although the charge buys or uses a commitment": (
        "CommitmentDiscountId,CommitmentDiscountQuantity\nsp-1,"
    ),
    "CommitmentDiscountStatus: is missing although the charge is usage of a commitment": (
        "CommitmentDiscountId,CommitmentDiscountStatus\nsp-1,"
    ),
    "EffectiveCost: is not 0 although the charge buys a commitment, which what it covers pays for": (
        "CommitmentDiscountId,ChargeCategory,EffectiveCost\nsp-1,Purchase,10"
    ),
    "PricingCategory: is not Committed although the charge is usage of a commitment": (
        "CommitmentDiscountId,PricingCategory\nsp-1,Standard"
    ),
}
OTHERS = {
    "ConsumedQuantity: is given although the charge consumes nothing": (
        "ChargeCategory,ConsumedQuantity\nPurchase,1"
    ),
    "ConsumedQuantity: is missing although the charge is usage": "ConsumedQuantity,SkuId\n,x",
    "ContractedCost: of a credit without ContractedUnitPrice differs from BilledCost": (
        "ChargeCategory,ContractedCost,BilledCost\nCredit,-1,-2"
    ),
    "ListCost: of a credit without ListUnitPrice differs from BilledCost": (
        "ChargeCategory,ListCost,BilledCost\nCredit,-1,-2"
    ),
    "EffectiveCost: of a credit differs from BilledCost": (
        "ChargeCategory,EffectiveCost,BilledCost\nCredit,-1,-2"
    ),
    "BillingCurrency: is not among the currencies of ISO 4217": "BillingCurrency\nQQQ",
    "ServiceSubcategory: is none of the subcategories that FOCUS lists": (
        "ServiceSubcategory\nHovercraft"
    ),
    "ServiceSubcategory: belongs to another ServiceCategory": (
        "ServiceCategory,ServiceSubcategory\nAnalytics,Data Warehouses"
    ),
    "ChargeFrequency: is Usage-Based although the charge is a purchase": (
        "ChargeCategory,ChargeFrequency\nPurchase,Usage-Based"
    ),
    "BillingAccountName: is missing; right only where billing accounts have no names": (
        "BillingAccountName,SkuId\n,x"
    ),
    **{
        f"{unit}: is no unit in the form that FOCUS wants, such as GB-Hours": f"{unit}\n1 GB/Month!"
        for unit in ("CommitmentDiscountUnit", "ConsumedUnit", "PricingUnit")
    },
    **{
        f"{price}: is negative": f"{price}\n-1"
        for price in ("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice")
    },
    **{
        f"{column}: is missing": f"{column},SkuId\n,x"
        for column in (
            "BillingPeriodEnd",
            "ChargeDescription",
            "PricingCurrency",
            "PricingCurrencyEffectiveCost",
            "ProviderName",
            "PublisherName",
            "ServiceSubcategory",
        )
    },
    **{
        f"{name}End: equals {name}Start: the end is not part of a period, so this one is empty": (
            f"{name}Start,{name}End\n2026-10-03T00:00:00Z,2026-10-03T00:00:00Z"
        )
        for name in ("BillingPeriod", "ChargePeriod")
    },
}
BREAKS = {**ALONE, **LEFT_OUT, **TAXED, **PRICED, **COMMITTED, **OTHERS}


def test_every_rule_is_broken_by_one_of_these_bills() -> None:
    assert {rule.id for rule in specification.ROWS} == set(BREAKS)


@pytest.mark.parametrize("rule", BREAKS)
def test_a_row_that_breaks_the_rule_is_counted(rule: str) -> None:
    assert broken(BREAKS[rule])[rule] == 1


@pytest.mark.parametrize("rule", BREAKS)
def test_no_rule_ever_sets_a_row_aside(rule: str) -> None:
    assert not conformance.check(completed(BREAKS[rule]).lazy(), "bill").sets_aside


CORRECTED = "PricingQuantity,ChargeCategory,ChargeClass,CommitmentDiscountId,ConsumedQuantity"


def test_a_correction_may_leave_prices_and_quantities_out() -> None:
    found = broken(f"{CORRECTED},CommitmentDiscountQuantity\n,Usage,Correction,sp-1,,")
    assert not {rule for rule in found if "Quantity" in rule}


def test_an_unused_commitment_consumes_nothing() -> None:
    header = "ConsumedQuantity,CommitmentDiscountId,CommitmentDiscountStatus"
    missing = "ConsumedQuantity: is missing although the charge is usage"
    given = "ConsumedQuantity: is given although the charge consumes nothing"
    assert missing not in broken(f"{header}\n,sp-1,Unused")
    assert given in broken(f"{header}\n1,sp-1,Unused")
    assert given not in broken(f"{header}\n1,sp-1,Used")


@pytest.mark.parametrize(
    "unit",
    ["GB", "Hours", "1000 Requests", "GB-Hours", "API Request-Months", "GB/Hour", "Units/3 Months"],
)
def test_units_as_focus_writes_them(unit: str) -> None:
    assert not {rule for rule in broken(f"PricingUnit\n{unit}") if "no unit" in rule}


@pytest.mark.parametrize(
    "unit", ["GB-Mo", "GB-Month", "1 GB/Month", "100K Events", "gibibyte.month", "%"]
)
def test_units_in_another_form(unit: str) -> None:
    assert {rule for rule in broken(f"PricingUnit\n{unit}") if "no unit" in rule}


def test_every_subcategory_of_focus_is_known_in_its_category_only() -> None:
    table = pl.DataFrame(
        [(category, name) for name, category in vocabulary.CATEGORY_OF.items()],
        schema=["ServiceCategory", "ServiceSubcategory"],
        orient="row",
    )
    assert len(table) == 82
    assert not {rule for rule in broken(table.write_csv()) if rule.startswith("ServiceSub")}
    moved = table.with_columns(pl.col("ServiceCategory").shift(-1, fill_value="Web"))
    wrong = broken(moved.write_csv())["ServiceSubcategory: belongs to another ServiceCategory"]
    assert wrong == len(vocabulary.SUBCATEGORIES)


def test_the_categories_are_those_of_the_schema() -> None:
    assert set(vocabulary.SUBCATEGORIES) == set(focus.SERVICE_CATEGORIES)


AS_DELIVERED = pytest.mark.parametrize("text", ["", "NULL", "null"])


@AS_DELIVERED
def test_text_that_stands_for_nothing_is_told(text: str) -> None:
    rule = "ServiceName: holds empty text, or the word NULL, where there is no value"
    rows = lifted("ServiceName\nx").with_columns(ServiceName=pl.lit(text))
    assert rows.filter(_rule(rule)).height == 1
    assert rows.with_columns(ServiceName=pl.lit(None, pl.String)).filter(_rule(rule)).is_empty()


def test_another_spelling_is_told_though_it_is_mended() -> None:
    found = broken("ChargeFrequency\nUsage-based")
    assert found["ChargeFrequency: is not written in the upper and lower case that FOCUS demands"]
    assert not [rule for rule in found if rule.startswith("ChargeFrequency: is none of")]


def _rule(name: str) -> pl.Expr:
    (found,) = (rule for rule in specification.AS_DELIVERED if rule.id == name)
    return found.broken


@pytest.mark.parametrize(
    ("column", "version", "is_known"),
    [
        ("ProviderName", "1.3", True),
        ("ProviderName", "1.4", False),
        ("HostProviderName", "1.2", False),
        ("HostProviderName", "1.3", True),
        ("BilledCost", "1.0", True),
    ],
)
def test_the_columns_of_a_version(column: str, version: str, is_known: bool) -> None:  # noqa: FBT001
    assert specification.is_of_version(column, version) is is_known
