"""What FOCUS demands of a row beyond what an ingest must know: the rules of `finops focus check`.

`finops.checks` holds the rules that money depends on, and runs on every ingest. These here are the
specification's other row-level requirements (1.0 to 1.4). Providers break many of them every hour
without harm, so an ingest does not look at them; nothing ever drops a row for one. What FOCUS
says with SHOULD is only noted (`INFO`).
"""

from collections.abc import Callable

import polars as pl

from finops import focus, vocabulary
from finops.checks import CURRENCY_PATTERN, Check
from finops.errors import Severity
from finops.focus import Kind
from finops.normalize import RENAMED

_CATEGORY = pl.col("ChargeCategory")
_IS_TAX = _CATEGORY == "Tax"
_IS_USAGE = _CATEGORY == "Usage"
_IS_PRICED = _CATEGORY.is_in(["Usage", "Purchase"])
_IS_CORRECTION = pl.col("ChargeClass").eq_missing("Correction")
_IS_UNUSED = pl.col("CommitmentDiscountStatus").eq_missing("Unused")
_HAS_COMMITMENT = pl.col("CommitmentDiscountId").is_not_null()

_BASE_UNIT = "[A-Za-z][A-Za-z0-9]*(?: [A-Za-z][A-Za-z0-9]*)*"
_TIME_UNIT = "(?:Year|Month|Day|Hour|Minute|Second|Millisecond|Microsecond)"
UNIT_PATTERN = (
    rf"^(?:(?:[0-9]+ )?{_BASE_UNIT}|{_BASE_UNIT}-{_TIME_UNIT}s"
    rf"|{_BASE_UNIT}/{_TIME_UNIT}|{_BASE_UNIT}/[0-9]+ {_TIME_UNIT}s)$"
)
"""`GB`, `1000 Requests`, `GB-Hours`, `GB/Hour`, `Requests/3 Months`: FOCUS's UnitFormat."""


def stored_as(column: str) -> str:
    """Name the canonical column that holds what a bill delivers as `column`."""
    return RENAMED.get(column, column)


def delivered_as(column: str) -> str:
    """Name the column of a bill that the canonical `column` is read from: undoes `stored_as`."""
    return next((old for old, kept in RENAMED.items() if kept == column), column)


def _warning(column: str, message: str, broken: pl.Expr) -> Check:
    return Check(column, Severity.WARNING, message, broken)


def _note(column: str, message: str, broken: pl.Expr) -> Check:
    return Check(column, Severity.INFO, message, broken)


def _missing(column: str) -> Check:
    return _warning(column, "is missing", pl.col(stored_as(column)).is_null())


def _given_alone(column: str, parent: str) -> Check:
    """Refuse a value that describes something which is not there."""
    said = f"is given although {parent} is missing"
    return _warning(column, said, pl.col(column).is_not_null() & pl.col(parent).is_null())


def _left_out(column: str, parent: str) -> Check:
    said = f"is missing although {parent} is given"
    return _warning(column, said, pl.col(column).is_null() & pl.col(parent).is_not_null())


def _seldom(column: str, check: Callable[[pl.Expr], pl.Expr]) -> Callable[[pl.DataFrame], bool]:
    """Look at the distinct values of a column only, since there are few of them."""
    return lambda rows: bool(
        rows.select(pl.col(column).unique()).select(check(pl.col(column)).any()).item()
    )


def _no_unit(column: str) -> Check:
    def broken(unit: pl.Expr) -> pl.Expr:
        return unit.str.contains(UNIT_PATTERN).not_()

    said = "is no unit in the form that FOCUS wants, such as GB-Hours"
    return Check(
        column, Severity.INFO, said, broken(pl.col(column)), possible=_seldom(column, broken)
    )


def _is_not_billed(cost: str) -> pl.Expr:
    return pl.col(cost) != pl.col("BilledCost")


_PAIRS = (
    ("AllocatedResourceName", "AllocatedResourceId"),
    ("BillingAccountType", "BillingAccountId"),
    ("CommitmentDiscountCategory", "CommitmentDiscountId"),
    ("CommitmentDiscountType", "CommitmentDiscountId"),
    ("CommitmentDiscountUnit", "CommitmentDiscountQuantity"),
    ("InvoiceDetailId", "InvoiceId"),
    ("RegionName", "RegionId"),
    ("ResourceType", "ResourceId"),
    ("SubAccountName", "SubAccountId"),
    ("SubAccountType", "SubAccountId"),
)
"""Both are given or neither is."""

_DEPENDENT = (
    ("AllocatedMethodDetails", "AllocatedMethodId"),
    ("AllocatedResourceId", "AllocatedMethodId"),
    ("AllocatedTags", "AllocatedMethodId"),
    ("CapacityReservationStatus", "CapacityReservationId"),
    ("CommitmentDiscountName", "CommitmentDiscountId"),
    ("CommitmentDiscountStatus", "CommitmentDiscountId"),
    ("ConsumedUnit", "ConsumedQuantity"),
    ("PricingUnit", "PricingQuantity"),
    ("ResourceName", "ResourceId"),
    ("SkuMeter", "SkuId"),
    ("SkuPriceDetails", "SkuPriceId"),
)
"""The first makes sense only beside the second."""

_OF_PRICES = (
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "SkuId",
    "SkuPriceId",
)
"""Given for usage and purchases, never for a tax."""

_PAIRED = (
    *(check(*pair) for pair in _PAIRS for check in (_given_alone, _left_out)),
    *(_given_alone(*pair) for pair in _DEPENDENT),
)

_PRICED = tuple(
    check
    for column in _OF_PRICES
    for check in (
        _warning(
            column,
            "is given although the charge is a tax",
            pl.col(column).is_not_null() & _IS_TAX,
        ),
        _warning(
            column,
            "is missing although the charge is usage or a purchase",
            pl.col(column).is_null() & _IS_PRICED & _IS_CORRECTION.not_(),
        ),
    )
)

_COMMITTED = (
    _warning(
        "CapacityReservationId",
        "is missing although CapacityReservationStatus is Unused",
        pl.col("CapacityReservationId").is_null()
        & (pl.col("CapacityReservationStatus") == "Unused"),
    ),
    _warning(
        "CapacityReservationStatus",
        "is missing although the charge is usage of a capacity reservation",
        pl.col("CapacityReservationStatus").is_null()
        & pl.col("CapacityReservationId").is_not_null()
        & _IS_USAGE,
    ),
    _warning(
        "CommitmentDiscountQuantity",
        "is given although the charge neither buys nor uses a commitment",
        pl.col("CommitmentDiscountQuantity").is_not_null()
        & (_IS_PRICED.not_() | _HAS_COMMITMENT.not_()),
    ),
    _warning(
        "CommitmentDiscountQuantity",
        "is missing although the charge buys or uses a commitment",
        pl.col("CommitmentDiscountQuantity").is_null()
        & _IS_PRICED
        & _HAS_COMMITMENT
        & _IS_CORRECTION.not_(),
    ),
    _warning(
        "CommitmentDiscountStatus",
        "is missing although the charge is usage of a commitment",
        pl.col("CommitmentDiscountStatus").is_null() & _HAS_COMMITMENT & _IS_USAGE,
    ),
    _warning(
        "EffectiveCost",
        "is not 0 although the charge buys a commitment, which what it covers pays for",
        (pl.col("EffectiveCost") != 0) & (_CATEGORY == "Purchase") & _HAS_COMMITMENT,
    ),
    _warning(
        "PricingCategory",
        "is not Committed although the charge is usage of a commitment",
        (pl.col("PricingCategory") != "Committed") & _HAS_COMMITMENT & _IS_USAGE,
    ),
)

_CONSUMED = (
    _warning(
        "ConsumedQuantity",
        "is given although the charge consumes nothing",
        pl.col("ConsumedQuantity").is_not_null() & (_IS_USAGE.not_() | _IS_UNUSED),
    ),
    _warning(
        "ConsumedQuantity",
        "is missing although the charge is usage",
        pl.col("ConsumedQuantity").is_null()
        & _IS_USAGE
        & _IS_UNUSED.not_()
        & _IS_CORRECTION.not_(),
    ),
    *(map(_no_unit, ("CommitmentDiscountUnit", "ConsumedUnit", "PricingUnit"))),
)

_COSTS = (
    *(
        _warning(
            cost,
            f"of a credit without {price} differs from BilledCost",
            _is_not_billed(cost) & (_CATEGORY == "Credit") & pl.col(price).is_null(),
        )
        for cost, price in (
            ("ContractedCost", "ContractedUnitPrice"),
            ("ListCost", "ListUnitPrice"),
        )
    ),
    _warning(
        "EffectiveCost",
        "of a credit differs from BilledCost",
        _is_not_billed("EffectiveCost") & (_CATEGORY == "Credit"),
    ),
    *(
        _warning(price, "is negative", pl.col(price) < 0)
        for price in ("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice")
    ),
)

_WORDS = (
    *(
        _missing(column)
        for column in (
            "BillingPeriodEnd",
            "PricingCurrency",
            "PricingCurrencyEffectiveCost",
            "ProviderName",
            "PublisherName",
            "ServiceSubcategory",
        )
    ),
    _warning(
        "BillingCurrency",
        "is not among the currencies of ISO 4217",
        pl.col("BillingCurrency").str.contains(CURRENCY_PATTERN)
        & pl.col("BillingCurrency").is_in(vocabulary.CURRENCIES).not_(),
    ),
    _warning(
        "ServiceSubcategory",
        "is none of the subcategories that FOCUS lists",
        pl.col("ServiceSubcategory").is_in(list(vocabulary.CATEGORY_OF)).not_(),
    ),
    _warning(
        "ServiceSubcategory",
        "belongs to another ServiceCategory",
        pl.col("ServiceSubcategory").replace_strict(vocabulary.CATEGORY_OF, default=None)
        != pl.col("ServiceCategory"),
    ),
    _warning(
        "ChargeFrequency",
        "is Usage-Based although the charge is a purchase",
        (pl.col("ChargeFrequency") == "Usage-Based") & (_CATEGORY == "Purchase"),
    ),
    _note(
        "BillingAccountName",
        "is missing; right only where billing accounts have no names",
        pl.col("BillingAccountName").is_null(),
    ),
    _note("ChargeDescription", "is missing", pl.col("ChargeDescription").is_null()),
    _note(
        "SkuMeter",
        "is missing although SkuId is given",
        pl.col("SkuMeter").is_null() & pl.col("SkuId").is_not_null(),
    ),
)

_PERIODS = tuple(
    _warning(
        f"{period}End",
        f"equals {period}Start: the end is not part of a period, so this one is empty",
        pl.col(f"{period}End") == pl.col(f"{period}Start"),
    )
    for period in ("BillingPeriod", "ChargePeriod")
)

ROWS = (*_PAIRED, *_PRICED, *_COMMITTED, *_CONSUMED, *_COSTS, *_WORDS, *_PERIODS)
"""Rules about rows as an ingest keeps them: empty text is null, spelling is FOCUS's."""


def _misspelled(column: focus.Column) -> Check:
    words = pl.col(column.name)
    lower = [word.lower() for word in column.allowed]
    return _warning(
        column.name,
        "is not written in the upper and lower case that FOCUS demands",
        words.is_in(column.allowed).not_() & words.str.to_lowercase().is_in(lower),
    )


AS_DELIVERED = (
    *(
        _warning(
            delivered_as(column.name),
            "holds empty text, or the word NULL, where there is no value",
            pl.col(column.name).is_in(["", "NULL", "null"]),
        )
        for column in focus.CONTENT
        if column.kind is Kind.TEXT
        and (column.since != focus.OURS or column.name in RENAMED.values())
    ),
    *(_misspelled(column) for column in focus.COST_AND_USAGE if column.allowed),
)
"""Rules about text before it is tidied."""


MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
)
"""The columns that every bill must have, if its version of FOCUS knows them."""

_LAST_VERSION = {"ProviderName": "1.3", "PublisherName": "1.3"}


def is_of_version(column: str, version: str) -> bool:
    """Tell whether FOCUS `version` knows `column`."""
    if column in _LAST_VERSION:
        return version <= _LAST_VERSION[column]
    return focus.BY_NAME[column].since <= version
