"""What is wrong with a charge: row-level rules, evaluated together in one pass.

A `FATAL` finding refuses the whole delivery, because its money cannot be counted or placed. A
`QUARANTINE` finding sets the row aside with its money counted. A `WARNING` is shown and kept:
real providers break many of the specification's rules, and dropping their rows would drop cost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from finops import focus
from finops.errors import Issue, Severity

REASON = "x_QuarantineReason"
CURRENCY_PATTERN = r"^[A-Z]{3}$"
NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": quarantined money whose currency is missing."""

# Providers round products to between 10 and 17 digits; only a real mismatch is worth a line.
_RELATIVE_TOLERANCE = 1e-6
_ABSOLUTE_TOLERANCE = 1e-9


def _always(_rows: pl.DataFrame) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """A rule that `broken` rows break, with the sentence that says so.

    `possible` looks at a whole batch and says cheaply whether any row can break the rule.
    With `names_time` the sentence goes on from the value, which is a time.
    """

    column: str
    severity: Severity
    message: str
    broken: pl.Expr
    possible: Callable[[pl.DataFrame], bool] = _always
    names_time: bool = False

    @property
    def id(self) -> str:
        return f"{self.column}: {self.message}"


def _missing(column: str, severity: Severity) -> Check:
    return Check(
        column,
        severity,
        "is missing",
        pl.col(column).is_null(),
        lambda rows: rows.get_column(column).null_count() > 0,
    )


def _not_allowed(column: str, severity: Severity) -> Check:
    allowed = focus.BY_NAME[column].allowed
    return Check(
        column,
        severity,
        f"is none of {', '.join(allowed)}",
        pl.col(column).is_not_null() & pl.col(column).is_in(allowed).not_(),
        lambda rows: not {*allowed, None}.issuperset(rows.get_column(column).unique()),
    )


def _no_currency(rows: pl.DataFrame) -> bool:
    codes = rows.get_column("BillingCurrency").unique()
    return not codes.str.contains(CURRENCY_PATTERN).fill_null(value=False).all()


def _mismatch(cost: str, price: str) -> pl.Expr:
    """Compare cost with price times quantity, in floats: only to warn, never to compute."""
    expected = pl.col(price).cast(pl.Float64) * pl.col("PricingQuantity").cast(pl.Float64)
    actual = pl.col(cost).cast(pl.Float64)
    tolerance = _ABSOLUTE_TOLERANCE + expected.abs() * _RELATIVE_TOLERANCE
    corrected = pl.col("ChargeClass").is_not_null()
    return ((actual - expected).abs() > tolerance).fill_null(value=False) & corrected.not_()


FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_START = datetime(2199, 12, 31, tzinfo=UTC)
LATEST_END = datetime.max.replace(tzinfo=UTC)
"""Times a bill can hold: periods begin in living memory; some providers write "open end" as 9999."""

LARGEST = 10**15
"""Money beyond this, either way, is a broken row: sums of it would leave 20 digits."""

_LEFT_NULL = tuple(
    column.name
    for column in focus.COST_AND_USAGE
    if column.required
    and column.name
    not in {
        "BilledCost",
        "BillingCurrency",
        "BillingPeriodEnd",
        "BillingPeriodStart",
        "ChargeCategory",
        "ChargePeriodEnd",
        "ChargePeriodStart",
        # Conditional columns: a provider without the concept leaves them out altogether.
        "BillingAccountType",
        "PricingCurrency",
        "PricingCurrencyEffectiveCost",
        "ServiceSubcategory",
    }
)


def _out_of_time(column: str, latest: datetime) -> Check:
    return Check(
        column,
        Severity.FATAL,
        f"lies outside the years {FIRST.year} to {latest.year}",
        pl.col(column).is_between(FIRST, latest).not_(),
        names_time=True,
    )


CHECKS = (
    *(_out_of_time(column, LATEST_START) for column in ("ChargePeriodStart", "BillingPeriodStart")),
    *(_out_of_time(column, LATEST_END) for column in ("ChargePeriodEnd", "BillingPeriodEnd")),
    Check(
        "ChargePeriodStart",
        Severity.FATAL,
        "neither ChargePeriodStart nor BillingPeriodStart is given, so the row has no day",
        pl.col("ChargePeriodStart").is_null() & pl.col("BillingPeriodStart").is_null(),
    ),
    Check(
        "ChargePeriodEnd",
        Severity.FATAL,
        "the charge period ends before it starts",
        pl.col("ChargePeriodEnd") < pl.col("ChargePeriodStart"),
    ),
    Check(
        "BillingPeriodEnd",
        Severity.FATAL,
        "the billing period ends before it starts",
        pl.col("BillingPeriodEnd") < pl.col("BillingPeriodStart"),
    ),
    *(
        Check(
            cost,
            Severity.FATAL,
            f"is beyond {LARGEST:,}, more than any bill can be",
            pl.col(cost).is_between(-LARGEST, LARGEST).not_(),
        )
        for cost in focus.COSTS
    ),
    Check(
        "BillingCurrency",
        Severity.QUARANTINE,
        "is no ISO 4217 code such as USD",
        pl.col("BillingCurrency").str.contains(CURRENCY_PATTERN).not_().fill_null(value=True),
        _no_currency,
    ),
    *(
        _missing(column, Severity.QUARANTINE)
        for column in (
            "BilledCost",
            "BillingPeriodStart",
            "ChargeCategory",
            "ChargePeriodEnd",
            "ChargePeriodStart",
        )
    ),
    _not_allowed("ChargeCategory", Severity.QUARANTINE),
    *(_missing(column, Severity.WARNING) for column in _LEFT_NULL),
    *(
        _not_allowed(column.name, Severity.WARNING)
        for column in focus.COST_AND_USAGE
        if column.allowed and column.name != "ChargeCategory"
    ),
    Check(
        "ListCost",
        Severity.WARNING,
        "differs from ListUnitPrice x PricingQuantity",
        _mismatch("ListCost", "ListUnitPrice"),
    ),
    Check(
        "ContractedCost",
        Severity.WARNING,
        "differs from ContractedUnitPrice x PricingQuantity",
        _mismatch("ContractedCost", "ContractedUnitPrice"),
    ),
    *(
        Check(
            unit,
            Severity.WARNING,
            f"is missing although {quantity} is given",
            pl.col(unit).is_null() & pl.col(quantity).is_not_null(),
        )
        for quantity, unit in (
            ("ConsumedQuantity", "ConsumedUnit"),
            ("PricingQuantity", "PricingUnit"),
        )
    ),
    *(
        Check(price, Severity.WARNING, "is negative", pl.col(price) < 0)
        for price in ("ListUnitPrice", "ContractedUnitPrice")
    ),
)

BAD_JSON = "is no JSON object and was left out"
UNCATALOGED = "is not in the GPU catalog, so its GPU facts are unknown; update this program, or report the type"
"""Said of an instance type, which the finding names itself."""

_FATAL = tuple(check for check in CHECKS if check.severity is Severity.FATAL)
_QUARANTINING = tuple(check for check in CHECKS if check.severity is Severity.QUARANTINE)


def counts(rows: pl.DataFrame) -> dict[str, int]:
    """Count the broken rows of each check, by check id; checks nothing breaks are left out."""
    asked = [check for check in CHECKS if check.possible(rows)]
    found = rows.select(check.broken.sum().alias(check.id) for check in asked)
    return {name: int(count) for name, count in found.row(0, named=True).items() if count}


def fatal_issues(rows: pl.DataFrame, where: str, most: int = 5) -> Iterator[Issue]:
    """Name the first rows that make the delivery unusable; `x_RawRow` is their 0-based number."""
    found = rows.select(check.broken.any().alias(check.id) for check in _FATAL)
    for check in _FATAL:
        if found.get_column(check.id).item():
            # Python itself has no times before the year 1 or after 9999: Polars writes them.
            value = pl.col(check.column).dt.to_string("%Y-%m-%d %H:%M:%S ")
            said = value if check.names_time else pl.lit("")
            broken = rows.filter(check.broken).select("x_RawRow", said.alias("said")).head(most)
            for row, shown in broken.iter_rows():
                place = f"{where}: row {row + 1}: {check.column}"
                yield Issue(place, f"{shown}{check.message}; correct it at the source")


def reasons() -> pl.Expr:
    """Say why a row is set aside; null for a row that is fine."""
    said = [pl.when(check.broken).then(pl.lit(check.id)) for check in _QUARANTINING]
    joined = pl.concat_str(said, separator="; ", ignore_nulls=True)
    return pl.when(pl.any_horizontal(check.broken for check in _QUARANTINING)).then(joined)


def issue(check_id: str, count: int, where: str) -> Issue:
    """Turn a count of broken rows into the issue a user sees."""
    column, _, message = check_id.partition(": ")
    rows = "1 row" if count == 1 else f"{count} rows"
    return Issue(f"{where}: {column}", f"{message} ({rows})", _severity(check_id))


def quarantines(check_id: str) -> bool:
    """Tell whether rows that break this check are set aside."""
    return _severity(check_id) is Severity.QUARANTINE


def _severity(check_id: str) -> Severity:
    found = (check.severity for check in CHECKS if check.id == check_id)
    return next(found, Severity.WARNING)
