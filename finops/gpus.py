"""What is known of GPU instance types: model, count and memory, read from a reference table.

A type the table does not list has unknown GPU facts, which stay null: nothing is guessed.
"""

from dataclasses import dataclass
from functools import cache

import polars as pl

from finops import shipped

_SCHEMA = {
    "provider": pl.String,
    "instance_type": pl.String,
    "gpu_model": pl.String,
    "gpu_count": pl.Int64,
    "gpu_memory_gib": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """The GPUs of one instance type; `memory_gib` is the nominal memory of one GPU."""

    model: str
    count: int
    memory_gib: int | None


@cache
def gpu_instances() -> pl.DataFrame:
    """Read the reference table: one row for each instance type or GPU id of a provider.

    Columns: `provider`, `instance_type`, `gpu_model`, `gpu_count` (in one instance) and
    `gpu_memory_gib` (of one GPU, null where the vendor's figure is not certain).
    """
    return pl.read_csv(
        shipped.folder("reference") / "gpu_instances.csv", schema=_SCHEMA, glob=False
    )


@cache
def known(provider: str) -> dict[str, GpuInstance]:
    """Give the GPU facts of every instance type known of `provider`."""
    rows = gpu_instances().filter(pl.col("provider") == provider)
    return {
        instance_type: GpuInstance(model, count, memory_gib)
        for _, instance_type, model, count, memory_gib in rows.iter_rows()
    }


def columns(provider: str, instance_type: pl.Expr, hours: pl.Expr) -> list[pl.Expr]:
    """Make `x_GpuModel`, `x_GpuCount`, `x_GpuMemoryGiB` and `x_GpuHours` (`hours` x count)."""
    types = known(provider)
    count = _looked_up(instance_type, {name: gpu.count for name, gpu in types.items()}, pl.Int64())
    memory = {name: gpu.memory_gib for name, gpu in types.items()}
    model = {name: gpu.model for name, gpu in types.items()}
    return [
        _looked_up(instance_type, model, pl.String()).alias("x_GpuModel"),
        count.alias("x_GpuCount"),
        _looked_up(instance_type, memory, pl.Int64()).alias("x_GpuMemoryGiB"),
        (hours * count).alias("x_GpuHours"),
    ]


def _looked_up(
    key: pl.Expr, table: dict[str, str] | dict[str, int] | dict[str, int | None], to: pl.DataType
) -> pl.Expr:
    return key.replace_strict(list(table), list(table.values()), default=None, return_dtype=to)
