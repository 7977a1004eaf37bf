"""The table of GPU instance types, and the columns made from it."""

from decimal import Decimal

import polars as pl

from finops import gpus, money


def test_table_is_sound() -> None:
    table = gpus.gpu_instances()
    assert table.select("provider", "instance_type").is_duplicated().sum() == 0
    assert table.select(pl.col("gpu_count").min()).item() == 1
    assert table.drop("gpu_memory_gib").null_count().sum_horizontal().item() == 0
    assert {"aws", "runpod"} <= set(table["provider"])


def test_known_types() -> None:
    assert gpus.known("aws")["p5.48xlarge"] == gpus.GpuInstance("H100", 8, 80)
    assert gpus.known("runpod")["NVIDIA A100-SXM4-80GB"] == gpus.GpuInstance("A100", 1, 80)
    assert gpus.known("nobody") == {}


def test_columns_are_exact_and_null_for_unknown_types() -> None:
    rows = pl.DataFrame({"type": ["g5.48xlarge", "t3.xlarge", None], "hours": ["0.1", "1", "1"]})
    hours = pl.col("hours").cast(money.DTYPE)
    made = rows.select(gpus.columns("aws", pl.col("type"), hours))
    assert made.columns == ["x_GpuModel", "x_GpuCount", "x_GpuMemoryGiB", "x_GpuHours"]
    assert made.rows() == [("A10G", 8, 24, Decimal("0.8")), *[(None,) * 4] * 2]
