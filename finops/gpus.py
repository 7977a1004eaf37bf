"""What is known of GPU instance types: model, count, memory and share, from a reference table.

A type the table does not list has unknown GPU facts, which stay null: nothing is guessed. Whether
its name is that of a GPU machine all the same, `is_gpu_name` tells, so that it can be reported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

import polars as pl

from finops import money, shipped

_SCHEMA = {
    "provider": pl.String,
    "instance_type": pl.String,
    "gpu_model": pl.String,
    "gpu_count": pl.Int64,
    "gpu_memory_gib": pl.Int64,
    "gpu_fraction": pl.String,
}

_GPU_FAMILIES = {
    "aws": r"^(?:ml\.)?(?:g|gr|p)\d",
    "azure": r"(?i)^Standard_N[CDGV]",
    "coreweave": r"-\d+x",
    "gcp": r"^(?:a\d|g[2-9])",
    "github_actions": r"_gpu$",
    "lambda_labs": r"^gpu_",
    "runpod": r".",
}
"""How each provider names instance types with GPUs; on RunPod that is the name of the GPU."""


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """The GPUs of one instance type.

    `memory_gib` is the nominal memory of one whole GPU, `fraction` the share of each of the
    `count` GPUs that the instance has to itself.
    """

    model: str
    count: int
    memory_gib: int | None
    fraction: Fraction = Fraction(1)


@cache
def gpu_instances() -> pl.DataFrame:
    """Read the reference table: one row for each instance type or GPU id of a provider.

    Columns: `provider`, `instance_type`, `gpu_model`, `gpu_count` (in one instance),
    `gpu_memory_gib` (of one whole GPU, null where the vendor's figure is not certain) and
    `gpu_fraction` (the share of each GPU, as a ratio such as `1/6`, which decimals cannot hold).
    """
    return pl.read_csv(
        shipped.folder("reference") / "gpu_instances.csv", schema=_SCHEMA, glob=False
    )


@cache
def known(provider: str) -> dict[str, GpuInstance]:
    """Give the GPU facts of every instance type known of `provider`."""
    rows = gpu_instances().filter(pl.col("provider") == provider)
    return {
        instance_type: GpuInstance(model, count, memory_gib, Fraction(fraction))
        for _, instance_type, model, count, memory_gib, fraction in rows.iter_rows()
    }


def columns(provider: str, instance_type: pl.Expr, hours: pl.Expr) -> list[pl.Expr]:
    """Make the `x_Gpu…` columns of charges for `hours` of an instance.

    `x_GpuHours` is hours x count x fraction, rounded once: six hours of a sixth are one hour.
    Make `instance_type` a column first where finding it costs: it is looked at for every fact.
    """
    types = known(provider)
    # Polars finds the place in the list once for all facts, and without a join.
    place = instance_type.cast(pl.Enum(list(types)), strict=False).to_physical()

    def fact(of: Callable[[GpuInstance], object], dtype: pl.DataType) -> pl.Expr:
        values = pl.Series(list(map(of, types.values())), dtype=dtype)
        return place.map_batches(values.gather, dtype, is_elementwise=True)

    parts = fact(lambda gpu: gpu.count * gpu.fraction.numerator, pl.Int64())
    parts_of_one = fact(lambda gpu: gpu.fraction.denominator, pl.Int64())
    return [
        fact(lambda gpu: gpu.model, pl.String()).alias("x_GpuModel"),
        fact(lambda gpu: gpu.count, pl.Int64()).alias("x_GpuCount"),
        fact(lambda gpu: gpu.memory_gib, pl.Int64()).alias("x_GpuMemoryGiB"),
        fact(_decimal_fraction, money.DTYPE).alias("x_GpuFraction"),
        (hours * parts / parts_of_one).alias("x_GpuHours"),
    ]


def is_gpu_name(provider: str, instance_type: pl.Expr) -> pl.Expr:
    """Tell whether `instance_type` is named as `provider` names GPU machines, listed or not."""
    family = _GPU_FAMILIES.get(provider)
    return instance_type.str.contains(family) if family else pl.lit(value=False)


def _decimal_fraction(gpu: GpuInstance) -> Decimal:
    share = gpu.fraction
    with localcontext(money.CONTEXT):
        return (Decimal(share.numerator) / share.denominator).quantize(money.QUANTUM)
