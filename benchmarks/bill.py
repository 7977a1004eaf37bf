"""The bill that is measured: FOCUS 1.2 as a cloud exports it, the same bytes on every machine.

Sixty thousand resources of three hundred teams over the 744 hours of October 2026, in no
particular order: discounts, credits, taxes without a resource, resources without tags, and now and
then the same row twice.
"""

from pathlib import Path

import polars as pl

RESOURCES = 60_000
TEAMS = 300
HOURS = 744
TWINS_EVERY = 997
"""Every so many rows one is the row before it over again."""
MONEY = pl.Decimal(38, 18)

_ROW = pl.col("row")
_RESOURCE = pl.col("resource")
_SERVICES = ("Amazon Elastic Compute Cloud", "Amazon Simple Storage Service", "Amazon SageMaker")
_REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "ap-northeast-1")
_LITERALS = {
    "BillingAccountId": "123456789012",
    "BillingAccountName": "Bench",
    "BillingCurrency": "USD",
    "ChargeFrequency": "Usage-Based",
    "ConsumedUnit": "Hours",
    "InvoiceIssuerName": "Amazon Web Services, Inc.",
    "PricingUnit": "Hours",
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "ResourceType": "Instance",
}


def write(path: Path, rows: int) -> None:
    """Write a bill of `rows` rows, unless it is there."""
    if not path.exists():
        unfinished = path.with_suffix(".part")
        _bill(rows).sink_parquet(unfinished, row_group_size=100_000)
        unfinished.rename(path)


def _bill(rows: int) -> pl.LazyFrame:
    row = pl.int_range(rows, dtype=pl.UInt64)
    distinct = row - (row % TWINS_EVERY == 1).cast(pl.UInt64)
    drawn = (
        pl.select(distinct.alias("row"))
        .lazy()
        .with_columns(
            _drawn(1, RESOURCES).alias("resource"),
            _drawn(2, HOURS).alias("hour"),
            _drawn(3, 10_000).alias("quantity"),
            _drawn(4, 200).alias("chance"),
        )
    )
    return drawn.with_columns(*_amounts()).select(*_columns())


def resource_id(resource: pl.Expr) -> pl.Expr:
    """Name a resource by its number."""
    region = _one_of(_REGIONS, resource)
    return pl.format("arn:aws:ec2:{}:123456789012:instance/i-{}", region, resource)


def _drawn(stream: int, below: int) -> pl.Expr:
    """Draw a number for each row by mixing its bits (as SplitMix64 does): the same everywhere."""
    mixed = (_ROW + stream * 1_000_000_007) * 0x9E3779B97F4A7C15
    mixed = (mixed ^ mixed // 2**30) * 0xBF58476D1CE4E5B9
    mixed = (mixed ^ mixed // 2**27) * 0x94D049BB133111EB
    return ((mixed ^ mixed // 2**31) // 2**20 % below).cast(pl.Int64)


def _amounts() -> list[pl.Expr]:
    price = (_RESOURCE % 97 * 131 + 37).cast(MONEY) * _decimal("0.0001")
    quantity = (pl.col("quantity") + 1).cast(MONEY) * _decimal("0.000277777777777778")
    sign = pl.when(pl.col("chance") == 1).then(-1).otherwise(1).cast(MONEY)
    return [
        price.alias("price"),
        (price * _decimal("0.93")).alias("contracted"),
        (quantity * sign).alias("amount"),
        (_RESOURCE % 5 == 0).alias("is_committed"),
    ]


def _columns() -> list[pl.Expr]:
    start = pl.datetime(2026, 10, 1) + pl.duration(hours=pl.col("hour"))
    listed = pl.col("price") * pl.col("amount")
    contracted = pl.col("contracted") * pl.col("amount")
    committed = pl.col("is_committed")
    is_tax = pl.col("chance") == 0
    zero = pl.lit(0).cast(MONEY)
    named = {
        "AvailabilityZone": pl.format("{}{}", _one_of(_REGIONS), _RESOURCE % 3),
        "BilledCost": pl.when(committed).then(zero).otherwise(contracted),
        "BillingPeriodEnd": pl.datetime(2026, 11, 1),
        "BillingPeriodStart": pl.datetime(2026, 10, 1),
        "ChargeCategory": pl.when(is_tax).then(pl.lit("Tax")).otherwise(pl.lit("Usage")),
        "ChargeDescription": pl.format("${} per hour of type {}", "price", _RESOURCE % 97),
        "ChargePeriodEnd": start + pl.duration(hours=1),
        "ChargePeriodStart": start,
        "CommitmentDiscountCategory": pl.when(committed).then(pl.lit("Spend")),
        "CommitmentDiscountId": pl.when(committed).then(pl.format("sp-{}", _RESOURCE % 7)),
        "CommitmentDiscountStatus": pl.when(committed).then(pl.lit("Used")),
        "ConsumedQuantity": pl.col("amount"),
        "ContractedCost": contracted,
        "ContractedUnitPrice": pl.col("contracted"),
        "EffectiveCost": pl.when(committed)
        .then(contracted * _decimal("0.7"))
        .otherwise(contracted),
        "ListCost": listed,
        "ListUnitPrice": pl.col("price"),
        "PricingCategory": pl.when(committed)
        .then(pl.lit("Committed"))
        .otherwise(pl.lit("Standard")),
        "PricingQuantity": pl.col("amount"),
        "RegionId": _one_of(_REGIONS),
        "RegionName": pl.format("Region {}", _one_of(_REGIONS)),
        "ResourceId": pl.when(~is_tax).then(resource_id(_RESOURCE)),
        "ResourceName": pl.when(~is_tax).then(
            pl.format("{}-node-{}", _one_of(("train", "infer", "batch", "db", "web")), _RESOURCE)
        ),
        "ServiceCategory": pl.lit("Compute"),
        "ServiceName": _one_of(_SERVICES),
        "SkuId": pl.format("SKU{}", _RESOURCE % 97),
        "SkuPriceId": pl.format("SKU{}.JRTC", _RESOURCE % 97),
        "SubAccountId": pl.format("acct-{}", _RESOURCE % 25),
        "SubAccountName": pl.format("Account {}", _RESOURCE % 25),
        "Tags": pl.when(~is_tax & (_RESOURCE % 20 != 0)).then(_tags()),
    }
    constants = {name: pl.lit(value) for name, value in _LITERALS.items()}
    return [value.alias(name) for name, value in sorted({**named, **constants}.items())]


def _tags() -> pl.Expr:
    # In an order of their own, as providers write them.
    return pl.concat_str(
        pl.lit('{"team": "team-'),
        (_RESOURCE % TEAMS).cast(pl.String).str.zfill(3),
        pl.lit('", "project": "project-'),
        (_RESOURCE % 1_700).cast(pl.String),
        pl.lit('", "env": "'),
        _one_of(("prod", "staging", "dev")),
        pl.lit('"}'),
    )


def _one_of(texts: tuple[str, ...], resource: pl.Expr = _RESOURCE) -> pl.Expr:
    places = (resource % len(texts)).cast(pl.UInt32)
    return places.replace_strict(list(range(len(texts))), texts, return_dtype=pl.String)


def _decimal(text: str) -> pl.Expr:
    return pl.lit(text).str.to_decimal(scale=18).cast(MONEY)
