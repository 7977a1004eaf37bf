"""A legacy Cost and Usage Report of any size, as AWS would write it: 93 columns of CSV.

The figures are made up; what counts is the shape: the columns that AWS delivers for a company
with reserved instances and savings plans, most of them empty in a line, 800 bytes a line, of 46
usage types in 14 services. Some descriptions hold a comma, and stand in quotes.
"""

from pathlib import Path

import polars as pl

_RESOURCES = 20_000
_TEAMS = 300
_HOURS = 744
_LINES_AT_ONCE = 100_000

_EC2 = ("AmazonEC2", "Amazon Elastic Compute Cloud")
_TYPES = [
    "c6i.large",
    "c6i.2xlarge",
    "c7g.xlarge",
    "g4dn.xlarge",
    "g4dn.12xlarge",
    "g5.xlarge",
    "g5.4xlarge",
    "g5.48xlarge",
    "g6.xlarge",
    "m5.large",
    "m6i.xlarge",
    "m7i.4xlarge",
    "p3.2xlarge",
    "p4d.24xlarge",
    "p5.48xlarge",
    "r6i.large",
    "r7g.2xlarge",
    "t3.medium",
    "t3.small",
    "t4g.micro",
]
_OTHERS = (
    (*_EC2, "EBS:VolumeUsage.gp3", "CreateVolume-Gp3", "GB-Mo"),
    (*_EC2, "EBS:SnapshotUsage", "CreateSnapshot", "GB-Mo"),
    (*_EC2, "EBS:VolumeIOUsage", "CreateVolume", "IOs"),
    (*_EC2, "DataTransfer-Out-Bytes", "RunInstances", "GB"),
    (*_EC2, "DataTransfer-Regional-Bytes", "InterZone-Out", "GB"),
    (*_EC2, "NatGateway-Hours", "NatGateway", "Hrs"),
    (*_EC2, "NatGateway-Bytes", "NatGateway", "GB"),
    ("AmazonS3", "Amazon Simple Storage Service", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo"),
    ("AmazonS3", "Amazon Simple Storage Service", "Requests-Tier1", "PutObject", "Requests"),
    ("AmazonS3", "Amazon Simple Storage Service", "Requests-Tier2", "GetObject", "Requests"),
    ("AWSLambda", "AWS Lambda", "Lambda-GB-Second", "Invoke", "Lambda-GB-Second"),
    ("AWSLambda", "AWS Lambda", "Request", "Invoke", "Requests"),
    ("AmazonRDS", "Amazon Relational Database Service", "InstanceUsage:db.r6g.large", "CreateDBInstance:0014", "Hrs"),
    ("AmazonRDS", "Amazon Relational Database Service", "RDS:GP3-Storage", "CreateDBInstance", "GB-Mo"),
    ("AmazonDynamoDB", "Amazon DynamoDB", "ReadCapacityUnit-Hrs", "CommittedThroughput", "ReadCapacityUnit-Hrs"),
    ("AmazonSageMaker", "Amazon SageMaker", "Train:ml.p4d.24xlarge", "RunInstance", "Hrs"),
    ("AmazonSageMaker", "Amazon SageMaker", "Host:ml.g5.2xlarge", "RunInstance", "Hrs"),
    ("AmazonCloudWatch", "AmazonCloudWatch", "CW:MetricMonitorUsage", "MetricStorage", "Metrics"),
    ("AmazonCloudWatch", "AmazonCloudWatch", "DataProcessing-Bytes", "PutLogEvents", "GB"),
    ("AWSELB", "Elastic Load Balancing", "LoadBalancerUsage", "LoadBalancing:Application", "Hrs"),
    ("AmazonEKS", "Amazon Elastic Container Service for Kubernetes", "AmazonEKS-Hours:perCluster", "CreateOperation", "Hours"),
    ("ElasticMapReduce", "Amazon Elastic MapReduce", "BoxUsage:m5.xlarge", "RunInstances", "Hrs"),
    ("AWSGlue", "AWS Glue", "ETL-DPU-Hour", "Jobrun", "DPU-Hour"),
    ("awskms", "AWS Key Management Service", "KMS-Requests", "Decrypt", "Requests"),
    ("AWSQueueService", "Amazon Simple Queue Service", "Requests-RBP", "SendMessage", "Requests"),
    ("AmazonAthena", "Amazon Athena", "DataScannedInTB", "SelectQuery", "Terabytes"),
)  # fmt: skip
_METERS = pl.DataFrame(
    [*((*_EC2, f"BoxUsage:{name}", "RunInstances", "Hrs") for name in _TYPES), *_OTHERS],
    schema=["code", "product", "usage", "operation", "unit"],
    orient="row",
)

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
    meter = {
        name: pl.lit(_METERS[name]).gather(resource % len(_METERS)) for name in _METERS.columns
    }
    usage = "USE1-" + meter["usage"]
    comma = pl.when(resource % 5 == 0).then(pl.lit(", first tier")).otherwise(pl.lit(""))
    sku = pl.format("ABCDEFGH123456{}", (resource % len(_METERS)).cast(pl.String).str.zfill(2))
    described = pl.format("$1.624 per {} of {}{}", meter["unit"], usage, comma)
    instance = meter["usage"].str.extract(r":([a-z0-9.]+\.[a-z0-9]+)$")
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
        "lineItem/ProductCode": meter["code"],
        "lineItem/UsageType": usage,
        "lineItem/Operation": meter["operation"],
        "lineItem/AvailabilityZone": pl.lit("us-east-1a"),
        "lineItem/ResourceId": pl.format("i-{}", resource.cast(pl.String).str.zfill(17)),
        "lineItem/UsageAmount": pl.lit("1.0000000000"),
        "lineItem/CurrencyCode": pl.lit("USD"),
        "lineItem/UnblendedRate": cost,
        "lineItem/UnblendedCost": cost,
        "lineItem/BlendedCost": cost,
        "lineItem/NetUnblendedCost": cost,
        "lineItem/LineItemDescription": described,
        "lineItem/LegalEntity": pl.lit("Amazon Web Services, Inc."),
        "product/ProductName": meter["product"],
        "product/instanceType": instance,
        "product/region": pl.lit("us-east-1"),
        "product/regionCode": pl.lit("us-east-1"),
        "product/sku": sku,
        "product/usagetype": usage,
        "pricing/RateCode": pl.format("{}.JRTCKXETXF.6YS6EN2CT7", sku),
        "pricing/RateId": pl.format("42{}", resource % len(_METERS)),
        "pricing/currency": pl.lit("USD"),
        "pricing/publicOnDemandCost": cost,
        "pricing/publicOnDemandRate": cost,
        "pricing/term": pl.lit("OnDemand"),
        "pricing/unit": meter["unit"],
        "resourceTags/user:team": pl.format("team-{}", resource % _TEAMS),
        "resourceTags/user:project": pl.format("project-{}", resource % (10 * _TEAMS)),
    }  # fmt: skip
    empty = {
        f"{group}/{name}": pl.lit(None, pl.String)
        for group, names in _EMPTY.items()
        for name in names.split()
    }
    return place.select(**text, **empty).collect()


def _time(hour: pl.Expr) -> pl.Expr:
    day = (hour // 24 + 1).cast(pl.String).str.zfill(2)
    return pl.format("2026-10-{}T{}:00:00Z", day, (hour % 24).cast(pl.String).str.zfill(2))
