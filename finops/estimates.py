"""Reported work as hours with a price, and hours as FOCUS charges."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import polars as pl

from finops import focus, gpus, money
from finops.identity import slug
from finops.money import from_atoms, to_atoms

HOURS = pl.Schema(
    {
        "workload_id": pl.String(),
        "name": pl.String(),
        "provider": pl.String(),  # a slug
        "instance_type": pl.String(),
        "resource_id": pl.String(),
        "rate": money.DTYPE,  # a whole hour
        "currency": pl.String(),
        "gpu_model": pl.String(),
        "gpu_count": money.DTYPE,
        "tags": pl.String(),
        "started_at": focus.TIME_DTYPE,
        "ended_at": focus.TIME_DTYPE,
        "cost": money.DTYPE,
    }
)
"""A workload in one UTC hour, or the part of the hour in which it held its resource."""

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND

_EVERY_ROW: Mapping[str, str] = {
    "BillingAccountType": "Account",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "ServiceCategory": "Compute",
    "ServiceSubcategory": "Virtual Machines",
    "ResourceType": "Reported workload",
    "ConsumedUnit": "Hours",
    "PricingUnit": "Hours",
    "x_CostSource": "estimate",
}
_NAMES: Mapping[str, str] = {
    "aws": "AWS",
    "azure": "Microsoft",
    "coreweave": "CoreWeave",
    "gcp": "Google Cloud",
    "github_actions": "GitHub",
    "lambda_labs": "Lambda",
    "runpod": "RunPod",
}
"""What bills call these providers, so that an estimate stands beside the bill it stands for."""


def hourly(reported: Sequence[Mapping[str, object]], since: date, until: datetime) -> pl.DataFrame:
    """Cut reported work at every full hour; see `HOURS`.

    Only work with a price and a provider, from the day `since` up to `until`.
    """
    priced = [row for row in map(_priced, reported) if row is not None]
    work = pl.DataFrame(priced, schema={k: v for k, v in HOURS.items() if k != "cost"})
    start = pl.max_horizontal("started_at", pl.lit(since).cast(focus.TIME_DTYPE))
    end = pl.min_horizontal("ended_at", pl.lit(until).cast(focus.TIME_DTYPE))
    held = work.with_columns(start.alias("started_at"), end.alias("ended_at")).filter(
        pl.col("started_at") < pl.col("ended_at")
    )
    hour = pl.col("hour")
    cut = held.with_columns(
        pl.datetime_ranges(
            pl.col("started_at").dt.truncate("1h"), "ended_at", "1h", closed="left"
        ).alias("hour")
    ).explode("hour", empty_as_null=False, keep_nulls=False)
    parts = cut.with_columns(
        pl.max_horizontal("started_at", hour).alias("started_at"),
        pl.min_horizontal("ended_at", hour.dt.offset_by("1h")).alias("ended_at"),
    )
    return parts.with_columns(_cost().alias("cost")).select(HOURS.names()).sort(HOURS.names())


def rows_of(hours: pl.DataFrame) -> pl.DataFrame:
    """Make FOCUS rows of hours, with the columns `day` and `hour` beside them, in their order."""
    month = pl.col("started_at").dt.truncate("1mo")
    provider = pl.col("provider").replace(_NAMES)
    text = {name: pl.lit(value) for name, value in _EVERY_ROW.items()}
    costs = {name: pl.col("cost") for name in focus.COSTS}
    held = from_atoms(_atoms_of_hours())
    return hours.select(
        pl.col("started_at").dt.date().alias("day"),
        pl.col("started_at").dt.truncate("1h").alias("hour"),
        *(value.alias(name) for name, value in {**text, **costs}.items()),
        pl.col("currency").alias("BillingCurrency"),
        pl.col("currency").alias("PricingCurrency"),
        pl.col("cost").alias("PricingCurrencyEffectiveCost"),
        pl.lit("estimates").alias("BillingAccountId"),
        month.alias("BillingPeriodStart"),
        month.dt.offset_by("1mo").alias("BillingPeriodEnd"),
        pl.col("started_at").alias("ChargePeriodStart"),
        pl.col("ended_at").alias("ChargePeriodEnd"),
        pl.format("Estimate of {}", pl.coalesce("name", "workload_id")).alias("ChargeDescription"),
        held.alias("ConsumedQuantity"),
        held.alias("PricingQuantity"),
        provider.alias("ServiceProviderName"),
        provider.alias("InvoiceIssuerName"),
        pl.coalesce("instance_type", pl.lit("Reported work")).alias("ServiceName"),
        pl.col("resource_id").alias("ResourceId"),
        pl.col("name").alias("ResourceName"),
        pl.col("tags").alias("Tags"),
        pl.col("instance_type").alias("x_InstanceType"),
        pl.col("workload_id").alias("x_WorkloadId"),
        pl.lit(value=True).alias("x_Provisional"),
        pl.col("gpu_model").alias("x_GpuModel"),
        (pl.col("gpu_count") * held).cast(money.DTYPE).alias("x_GpuHours"),
    )


def _priced(row: Mapping[str, object]) -> dict[str, object] | None:
    attributes = json.loads(str(row["attributes"] or "{}"))
    rate, provider = attributes.get("cost_per_hour"), attributes.get("provider")
    if rate is None or not provider:
        return None
    instance_type = attributes.get("instance_type")
    known = gpus.known(slug(provider)).get(instance_type)
    return {
        **{name: row[name] for name in HOURS if name in row},
        "provider": slug(provider),
        "instance_type": instance_type,
        "rate": Decimal(rate),
        "currency": attributes.get("currency", "USD"),
        "gpu_model": row["gpu_model"] or (known.model if known else None),
    }


def _micros() -> pl.Expr:
    held = pl.col("ended_at") - pl.col("started_at")
    micros: pl.Expr = held.dt.total_microseconds().cast(pl.Int128)
    return micros


def _cost() -> pl.Expr:
    """Multiply the rate with the time held, to the nearest 10⁻¹⁸; `a = q·d + r` avoids overflow."""
    rate, held = to_atoms(pl.col("rate")), _micros()
    return from_atoms(rate // _HOUR * held + (rate % _HOUR * held + _HOUR // 2) // _HOUR)


def _atoms_of_hours() -> pl.Expr:
    atoms: pl.Expr = (_micros() * 10**money.SCALE + _HOUR // 2) // _HOUR
    return atoms
