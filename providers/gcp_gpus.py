"""GPU facts of Google's charges, each GPU hour counted once.

Google sells one GPU machine as several SKUs: its cores, its memory and its GPUs, each billed for
the same hours and each with the machine's type in its system labels. So every one of these rows
says which GPUs the machine has, so that the whole price of a GPU hour can be told; but only the
row of the GPUs has GPU hours, which is how much of that SKU was used: GPUs x hours.

A SKU that is a whole machine ("A3 High 8g running in Americas") has hours x the machine's GPUs.
Commitments and licences that name a GPU are no GPU hours. What is not known stays null.
"""

from dataclasses import dataclass

import polars as pl

from finops import gpus, money

MACHINE_TYPE = "x_InstanceType"
"""The column that holds the machine's type; it must be there before the GPU columns are made."""
MACHINE_LABEL = "compute.googleapis.com/machine_spec"

_GPU_SKU = r"(?i)\bnvidia\b.*\bgpu|\bgpu\b.*\bnvidia\b"
_PART_SKU = r"(?i)\b(?:core|cores|cpu|vcpu|ram|memory|ssd|disk|pd|capacity|network|egress|ip)\b"
_NO_USE_SKU = r"(?i)commitment|licens|reserv(?:ed|ation) fee|\bpremium\b"
_MODEL = r"(?i)\bnvidia (?:tesla )?(RTX PRO \d+|[A-Z]{1,3}\d+[A-Z]?)\b"
_MEMORY = r"(?i)\bnvidia [^,(]*?\b(\d+) ?GB\b"
_HOURS = ("h", "hour", "hours")
_SECONDS = ("second", "seconds", "s")


@dataclass(frozen=True, slots=True)
class Sku:
    """What a charge says of its SKU, as expressions over text and decimal columns."""

    description: pl.Expr
    is_usage: pl.Expr
    priced: pl.Expr
    pricing_unit: pl.Expr
    used: pl.Expr
    used_unit: pl.Expr


def columns(sku: Sku) -> dict[str, pl.Expr]:
    """Give the GPU columns and the instance type of one charge."""
    hours = _hours(sku)
    machine = {
        fact.meta.output_name(): fact for fact in gpus.columns("gcp", pl.col(MACHINE_TYPE), hours)
    }
    is_used = sku.is_usage & sku.description.str.contains(_NO_USE_SKU).not_()
    is_gpu = is_used & sku.description.str.contains(_GPU_SKU)
    is_whole = is_used & sku.description.str.contains(_PART_SKU).not_() & is_gpu.not_()
    whole = pl.lit(1).cast(money.DTYPE)
    told = sku.description.str.extract(_MODEL).str.to_uppercase()
    told_memory = sku.description.str.extract(_MEMORY).cast(pl.Int64)
    return {
        MACHINE_TYPE: pl.col(MACHINE_TYPE),
        "x_GpuModel": pl.coalesce(pl.when(is_gpu).then(told), machine["x_GpuModel"]),
        "x_GpuCount": machine["x_GpuCount"],
        "x_GpuMemoryGiB": pl.coalesce(machine["x_GpuMemoryGiB"], pl.when(is_gpu).then(told_memory)),
        "x_GpuHours": pl.when(is_gpu).then(hours).when(is_whole).then(machine["x_GpuHours"]),
        "x_GpuFraction": pl.coalesce(machine["x_GpuFraction"], pl.when(is_gpu).then(whole)),
    }


def _hours(sku: Sku) -> pl.Expr:
    """Give the hours of use, as they were priced if they were priced by the hour."""
    return (
        pl.when(sku.pricing_unit.str.to_lowercase().is_in(_HOURS))
        .then(sku.priced)
        .when(sku.used_unit.str.to_lowercase().is_in(_HOURS))
        .then(sku.used)
        .when(sku.used_unit.str.to_lowercase().is_in(_SECONDS))
        .then(sku.used / 3600)
    )
