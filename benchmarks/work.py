"""The workloads that are measured: pods on the machines of the generated bill, all month."""

import polars as pl
from bill import HOURS, RESOURCES, TEAMS, resource_id

from finops import workloads

WORKLOADS = 100_000

_ROW = pl.col("row")


def table() -> pl.LazyFrame:
    """Make the workloads: each holds one to eight GPUs of a machine for up to two days."""
    start = pl.datetime(2026, 10, 1, time_zone="UTC") + pl.duration(
        minutes=_drawn(1, (HOURS - 48) * 60)
    )
    resource = _drawn(2, RESOURCES)
    return (
        pl.select(row=pl.int_range(WORKLOADS, dtype=pl.UInt64))
        .lazy()
        .select(
            pl.format("pod-{}", _ROW).alias("workload_id"),
            pl.lit("pod").alias("kind"),
            pl.format("team/pod-{}", _ROW).alias("name"),
            start.alias("started_at"),
            (start + pl.duration(seconds=_drawn(3, 48 * 3600) + 1)).alias("ended_at"),
            resource_id(resource).alias("resource_id"),
            (_drawn(4, 8) + 1).cast(workloads.SCHEMA["gpu_count"]).alias("gpu_count"),
            pl.concat_str(
                pl.lit('{"team": "team-'), (_ROW % TEAMS).cast(pl.String).str.zfill(3), pl.lit('"}')
            ).alias("tags"),
        )
    )


def _drawn(stream: int, below: int) -> pl.Expr:
    mixed = (_ROW + stream * 1_000_000_007) * 0x9E3779B97F4A7C15
    mixed = (mixed ^ mixed // 2**30) * 0xBF58476D1CE4E5B9
    return ((mixed ^ mixed // 2**31) // 2**20 % below).cast(pl.Int64)
