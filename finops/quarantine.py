"""Rows that were set aside: why, and how much money they are."""

import polars as pl

from finops import checks, money
from finops.charges import QUARANTINE, partitions
from finops.warehouse import Warehouse

SUMMARY_SCHEMA = pl.Schema(
    {
        "period": pl.String(),
        "service_provider": pl.String(),
        "currency": pl.String(),
        "reason": pl.String(),
        "rows": pl.UInt32(),
        "amount": money.DTYPE,
    }
)


PARTS_SCHEMA = pl.Schema(
    {
        "period": pl.String(),
        "day": pl.Date(),
        "service_provider": pl.String(),
        "account": pl.String(),
        "service": pl.String(),
        "currency": pl.String(),
        "reason": pl.String(),
        "rows": pl.UInt32(),
        "amount": money.DTYPE,
    }
)


def summary(warehouse: Warehouse, period: str | None = None) -> pl.DataFrame:
    """Add up what is in quarantine by period, provider, currency and reason."""
    keys = ["period", "service_provider", "currency", "reason"]
    sums = parts(warehouse, period).group_by(keys).agg(pl.col("rows", "amount").sum())
    return sums.select(SUMMARY_SCHEMA.names()).sort(keys)


def parts(warehouse: Warehouse, period: str | None = None) -> pl.DataFrame:
    """Add up what is in quarantine by day, provider, account, service, currency and reason."""
    frames = [pl.DataFrame(schema=PARTS_SCHEMA)]
    for partition in partitions(warehouse, QUARANTINE):
        if period in {None, partition.period}:
            rows = pl.scan_parquet(warehouse.local(partition.key(QUARANTINE)), glob=False)
            frames.append(
                rows.group_by(
                    pl.lit(partition.period).alias("period"),
                    pl.lit(partition.day).alias("day"),
                    pl.col("ServiceProviderName").alias("service_provider"),
                    pl.coalesce("SubAccountId", "BillingAccountId").alias("account"),
                    pl.col("ServiceName").alias("service"),
                    pl.col("BillingCurrency").fill_null(checks.NO_CURRENCY).alias("currency"),
                    pl.col(checks.REASON).alias("reason"),
                )
                .agg(pl.len().alias("rows"), pl.col("BilledCost").sum().alias("amount"))
                .select(PARTS_SCHEMA.names())
                .cast(PARTS_SCHEMA)
                .collect()
            )
    return pl.concat(frames)
