"""A legacy Cost and Usage Report of any size, as AWS would write it: 93 columns of CSV.

The figures are made up; what counts is the shape: the columns that AWS delivers for a company
with reserved instances and savings plans, most of them empty in a line, 800 bytes a line.
"""

from pathlib import Path

import polars as pl

_RESOURCES = 20_000
_TEAMS = 300
_HOURS = 744
_LINES_AT_ONCE = 100_000

_EMPTY = {
    "bill": ("InvoiceId"),
    "lineItem": ("TaxType NormalizationFactor NormalizedUsageAmount BlendedRate NetUnblendedRate"),
    "product": (
        "clockSpeed currentGeneration enhancedNetworkingSupported fromLocationType group "
        "instanceFamily licenseModel locationType maxIopsvolume maxThroughputvolume "
        "networkPerformance physicalProcessor processorArchitecture processorFeatures "
        "storage storageMedia tenancy toLocationType transferType volumeApiName "
        "volumeType PurchaseOption"
    ),
    "pricing": ("LeaseContractLength OfferingClass PurchaseOption"),
    "reservation": (
        "AmortizedUpfrontCostForUsage AmortizedUpfrontFeeForBillingPeriod EffectiveCost "
        "EndTime ModificationStatus NumberOfReservations RecurringFeeForUsage "
        "ReservationARN StartTime SubscriptionId TotalReservedNormalizedUnits "
        "TotalReservedUnits UnitsPerReservation UnusedAmortizedUpfrontFeeForBillingPeriod "
        "UnusedNormalizedUnitQuantity UnusedQuantity UnusedRecurringFee UpfrontValue"
    ),
    "savingsPlan": ("SavingsPlanARN SavingsPlanEffectiveCost TotalCommitmentToDate UsedCommitment"),
}
"""Columns that hold nothing in these lines, by the part of the name before the slash."""


def write(path: Path, rows: int) -> None:
    """Write a report of `rows` lines."""
    with path.open("wb") as file:
        for first in range(0, rows, _LINES_AT_ONCE):
            lines = _lines(first, min(_LINES_AT_ONCE, rows - first))
            lines.write_csv(file, include_header=first == 0)


def _lines(first: int, count: int) -> pl.DataFrame:
    place = pl.int_range(first, first + count, eager=True).alias("place").to_frame().lazy()
    n = pl.col("place")
    hour = (n * 7) % (_HOURS - 1)  # so that every end lies in the month too
    start, end = _time(hour), _time(hour + 1)
    resource = n % _RESOURCES
    amount = ((n % 977) + 1).cast(pl.Decimal(18, 10)) * pl.lit("0.0137").cast(pl.Decimal(18, 10))
    cost = amount.cast(pl.String)
    text = {
        "identity/LineItemId": pl.format("line{}abcdefghijklmnopqrstuvwxyz0123456789", n),
        "identity/TimeInterval": pl.format("{}/{}", start, end),
        "bill/InvoicingEntity": pl.lit("Amazon Web Services, Inc."),
        "bill/BillingEntity": pl.lit("AWS"),
        "bill/BillType": pl.lit("Anniversary"),
        "bill/PayerAccountId": pl.lit("123456789012"),
        "bill/BillingPeriodStartDate": pl.lit("2026-10-01T00:00:00Z"),
        "bill/BillingPeriodEndDate": pl.lit("2026-11-01T00:00:00Z"),
        "lineItem/UsageAccountId": pl.format("2{}", (resource % 40).cast(pl.String).str.zfill(11)),
        "lineItem/LineItemType": pl.lit("Usage"),
        "lineItem/UsageStartDate": start,
        "lineItem/UsageEndDate": end,
        "lineItem/ProductCode": pl.lit("AmazonEC2"),
        "lineItem/UsageType": pl.lit("USE1-BoxUsage:g5.4xlarge"),
        "lineItem/Operation": pl.lit("RunInstances"),
        "lineItem/AvailabilityZone": pl.lit("us-east-1a"),
        "lineItem/ResourceId": pl.format("i-{}", resource.cast(pl.String).str.zfill(17)),
        "lineItem/UsageAmount": pl.lit("1.0000000000"),
        "lineItem/CurrencyCode": pl.lit("USD"),
        "lineItem/UnblendedRate": cost,
        "lineItem/UnblendedCost": cost,
        "lineItem/BlendedCost": cost,
        "lineItem/NetUnblendedCost": cost,
        "lineItem/LineItemDescription": pl.lit("$1.624 per On Demand Linux g5.4xlarge Instance Hour"),
        "lineItem/LegalEntity": pl.lit("Amazon Web Services, Inc."),
        "product/ProductName": pl.lit("Amazon Elastic Compute Cloud"),
        "product/instanceType": pl.lit("g5.4xlarge"),
        "product/region": pl.lit("us-east-1"),
        "product/regionCode": pl.lit("us-east-1"),
        "product/sku": pl.lit("ABCDEFGH12345678"),
        "product/usagetype": pl.lit("USE1-BoxUsage:g5.4xlarge"),
        "pricing/RateCode": pl.lit("ABCDEFGH12345678.JRTCKXETXF.6YS6EN2CT7"),
        "pricing/RateId": pl.lit("4203951"),
        "pricing/currency": pl.lit("USD"),
        "pricing/publicOnDemandCost": cost,
        "pricing/publicOnDemandRate": cost,
        "pricing/term": pl.lit("OnDemand"),
        "pricing/unit": pl.lit("Hrs"),
        "resourceTags/user:team": pl.format("team-{}", resource % _TEAMS),
        "resourceTags/user:project": pl.format("project-{}", resource % (10 * _TEAMS)),
    }  # fmt: skip
    empty = {
        f"{group}/{name}": pl.lit("") for group, names in _EMPTY.items() for name in names.split()
    }
    return place.select(**text, **empty).collect()


def _time(hour: pl.Expr) -> pl.Expr:
    day = (hour // 24 + 1).cast(pl.String).str.zfill(2)
    return pl.format("2026-10-{}T{}:00:00Z", day, (hour % 24).cast(pl.String).str.zfill(2))
