"""How much of a spell each workload held, and how much nobody did, in whole numbers.

GPU time is counted in units so small that a billed hour with 18 decimals, every microsecond, and
all slices of a GPU from halves to tenths are whole numbers of them.
"""

from typing import Final

import polars as pl

from finops import money

MONEY: Final = money.DTYPE
SPELL, HOLDER, AMOUNT = "~spell", "~holder", "~amount"
BILLED, WHOLE, DURATION = "~billed", "~whole", "~duration"
OVERLAP, INTERVAL, IS_WORK = "~overlap", "~interval", "~is_work"
MEASURED, USED, OVERBOOKED = "~measured", "~used", "~overbooked"

GPU_TIME, GPU_TIME_HELD = "GPU time", "GPU time that was held"
TIME_HELD, WEIGHT = "time that was held", "weight"

UNITS_PER_GPU: Final = 5040 * 10**9
"""5040 is what 1 to 10 divide. MIG slices are sevenths, which decimals cannot hold."""

_ATOMS_PER_GPU: Final[int] = 10**money.SCALE
_ATOMS_PER_SLICE = _ATOMS_PER_GPU // 5040
_AS_MEANT = 5 * 10**11
"""A count that is told to six decimals or more means the slice it is nearest to."""
_UNIT_MICROSECONDS_PER_ATOM: Final[int] = 3_600_000_000 * UNITS_PER_GPU // _ATOMS_PER_GPU
_WEIGHT_ATOMS = 10**6
"""Weights count to twelve decimals."""
_ROUNDING = 10**9
"""One part in so many that nobody held is how the bill was rounded, not idle time."""
_THOUSAND = 1000

_FULL, _CAPACITY, _HELD, _TELLS_GPUS = "~full", "~capacity", "~held", "~tells_gpus"
_IDLE = pl.col("kind") == "idle"


def units(gpus: pl.Expr) -> pl.Expr:
    """Count units in a number of GPUs; a value within 5·10⁻⁷ of a slice (k/5040) is that slice."""
    atoms = money.to_atoms(gpus)
    nearest = (atoms * 5040 + _ATOMS_PER_GPU // 2) // _ATOMS_PER_GPU
    away = (atoms * 5040 - nearest * _ATOMS_PER_GPU).abs()
    exact = (atoms * 5040 + 10**9 // 2) // 10**9
    return pl.when(away <= _AS_MEANT * 5040).then(nearest * 10**9).otherwise(exact)


def gpu_time(hours: pl.Expr) -> pl.Expr:
    """Count unit-microseconds in GPU-hours; exact."""
    return money.to_atoms(hours) * _UNIT_MICROSECONDS_PER_ATOM


def parts(spells: pl.DataFrame, overlapping: pl.DataFrame) -> pl.DataFrame:
    """Give `SPELL`, `HOLDER` (null: nobody), `AMOUNT` above 0, and how it was `MEASURED`.

    `USED` is the share of what was held that was used, in thousandths, where all of it is known;
    `OVERBOOKED` how much was held of what there is, in thousandths, where that is too much.

    `spells` have what was billed (`BILLED`, unit-microseconds), the GPUs there are (`WHOLE`, units)
    and the `DURATION` in microseconds; `overlapping` has a row for each workload in a spell.
    A spell that nobody is known to have held, and whose GPU time is not known, has no part.
    """
    bought = spells.with_columns(_full().alias(_FULL)).with_columns(_capacity().alias(_CAPACITY))
    measured = _measured(bought, overlapping)
    by_holder = _by_holder(measured)
    by_weight = measured.filter(pl.col(MEASURED) == WEIGHT).select(SPELL).unique()
    total = by_holder.group_by(SPELL).agg(pl.col(AMOUNT).sum().alias(_HELD))
    compared = (
        bought.filter(pl.col(_CAPACITY) > 0)
        .join(by_weight, on=SPELL, how="anti")
        .join(total, on=SPELL, how="left")
        .with_columns(pl.col(_HELD).fill_null(0))
    )
    told = pl.concat([by_holder, compared.select(*_idle())], how="diagonal")
    return (
        told.filter(pl.col(AMOUNT) > 0)
        .join(compared.select(SPELL, _overbooked().alias(OVERBOOKED)), on=SPELL, how="left")
        .sort(SPELL, HOLDER, nulls_last=True)
    )


def _idle() -> tuple[pl.Expr, ...]:
    """Give what nobody held of the GPU time that was bought."""
    idle = pl.col(_CAPACITY) - pl.col(_HELD)
    counts = idle > pl.col(_CAPACITY) // _ROUNDING
    return pl.col(SPELL), pl.lit(GPU_TIME).alias(MEASURED), pl.when(counts).then(idle).alias(AMOUNT)


def _overbooked() -> pl.Expr:
    full = pl.max_horizontal(_FULL, _CAPACITY)
    is_over = pl.col(_HELD) - full > full // _ROUNDING
    return pl.when(is_over).then(pl.col(_HELD) * _THOUSAND // full).cast(pl.Int64)


def _full() -> pl.Expr:
    return pl.col(WHOLE) * pl.col(DURATION).cast(pl.Int128)


def _capacity() -> pl.Expr:
    """Give the GPU time that was bought: no more than the GPUs there are times the duration."""
    billed = pl.when(pl.col(BILLED) > 0).then(BILLED)
    return pl.min_horizontal(billed, _FULL)


def _measured(bought: pl.DataFrame, overlapping: pl.DataFrame) -> pl.DataFrame:
    """Choose for each spell what workloads are measured by, and measure them.

    By weight where it says more than GPUs do: the charge is for the work itself (its SKU), the
    weights tell what was idle and GPUs do not, or nobody tells of GPUs at all.
    """
    joined = overlapping.join(bought, on=SPELL, how="left", maintain_order="left")
    held_gpus = (~_IDLE & (pl.col("gpu_count") > 0)).fill_null(value=False)
    weight = pl.col("weight").cast(MONEY)
    is_weighed = (_IDLE | weight.is_not_null()).all().over(SPELL) & ((weight.sum() > 0).over(SPELL))
    tells_gpus = held_gpus.any().over(SPELL)
    tells_idle = (_IDLE & (weight > 0)).fill_null(value=False).any().over(SPELL)
    has_capacity = pl.col(_CAPACITY).fill_null(0) > 0
    by_weight = is_weighed & (
        pl.col(IS_WORK).all().over(SPELL)
        | (tells_idle & ~(tells_gpus & has_capacity))
        | ~(tells_gpus | has_capacity)
    )
    by_gpus = pl.when(has_capacity).then(pl.lit(GPU_TIME)).otherwise(pl.lit(GPU_TIME_HELD))
    return joined.with_columns(
        pl.when(by_weight)
        .then(pl.lit(WEIGHT))
        .when(tells_gpus | has_capacity)
        .then(by_gpus)
        .otherwise(pl.lit(TIME_HELD))
        .alias(MEASURED),
        tells_gpus.alias(_TELLS_GPUS),
    ).with_columns(pl.when(pl.col(MEASURED) == WEIGHT).then(_weighed()).otherwise(_counted()))


def _weighed() -> pl.Expr:
    """Take the part of a weight that falls into the spell."""
    weight = money.to_atoms(pl.col("weight").cast(MONEY)) // _WEIGHT_ATOMS
    part = weight * pl.col(OVERLAP).cast(pl.Int128) // pl.col(INTERVAL)
    return part.alias(AMOUNT)


def _counted() -> pl.Expr:
    """Multiply GPUs by time; who does not tell how many holds all of them.

    Among those who tell of GPUs, who tells a weight instead holds none.
    """
    silent = pl.col("weight").is_not_null() & pl.col(_TELLS_GPUS)
    all_of_them = pl.coalesce(
        WHOLE, pl.col(_CAPACITY) // pl.col(DURATION), pl.lit(UNITS_PER_GPU, pl.Int128)
    )
    unsaid = pl.when(silent).then(pl.lit(0, pl.Int128)).otherwise(all_of_them)
    counted = pl.coalesce(units(pl.col("gpu_count")), unsaid)
    gpus = pl.when(_IDLE).then(pl.lit(0, pl.Int128)).otherwise(counted)
    return (gpus * pl.col(OVERLAP).cast(pl.Int128)).alias(AMOUNT)


def _by_holder(measured: pl.DataFrame) -> pl.DataFrame:
    """Add up what each holder held of a spell; what is told to be idle has no holder."""
    used = (pl.col("gpu_utilization") * _THOUSAND).round().cast(pl.Int128)
    holder = pl.when(_IDLE).then(None).otherwise(HOLDER).alias(HOLDER)
    return (
        measured.select(SPELL, holder, MEASURED, AMOUNT, (pl.col(AMOUNT) * used).alias(USED))
        .group_by(SPELL, HOLDER, MEASURED)
        .agg(
            pl.col(AMOUNT).sum(), pl.when(pl.col(USED).is_not_null().all()).then(pl.col(USED).sum())
        )
        .with_columns((pl.col(USED) // pl.col(AMOUNT)).cast(pl.Int64))
    )
