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


def summary(warehouse: Warehouse, period: str | None = None) -> pl.DataFrame:
    """Add up what is in quarantine by period, provider, currency and reason."""
    frames = [pl.DataFrame(schema=SUMMARY_SCHEMA)]
    for partition in partitions(warehouse, QUARANTINE):
        if period in {None, partition.period}:
            rows = pl.scan_parquet(warehouse.local(partition.key(QUARANTINE)), glob=False)
            frames.append(
                rows.group_by(
                    pl.lit(partition.period).alias("period"),
                    pl.col("ServiceProviderName").alias("service_provider"),
                    pl.col("BillingCurrency").fill_null(checks.NO_CURRENCY).alias("currency"),
                    pl.col(checks.REASON).alias("reason"),
                )
                .agg(pl.len().alias("rows"), pl.col("BilledCost").sum().alias("amount"))
                .select(SUMMARY_SCHEMA.names())
                .cast(SUMMARY_SCHEMA)
                .collect()
            )
    keys = ["period", "service_provider", "currency", "reason"]
    return pl.concat(frames).group_by(keys).agg(pl.col("rows", "amount").sum()).sort(keys)
