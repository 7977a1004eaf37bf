"""The table of GPU instance types, and the columns made from it."""

import re
from decimal import Decimal
from fractions import Fraction

import botocore.session
import polars as pl
import pytest

from finops import gpus, money, shipped
from providers import registry

TABLE = gpus.gpu_instances()
TO_COME = {
    "azure",
    "coreweave",
    "gcp",
    "github_actions",
    "jenkins",
    "kubernetes",
    "lambda_labs",
    "sdk",
}

MEMORY_GIB = {
    "A10": {24},
    "A100": {40, 80},
    "A10G": {24},
    "A30": {24},
    "A40": {48},
    "B200": {180},
    "B300": {288},
    "GB200": {186, 192},  # Google and CoreWeave state what can be used, Azure what is built in
    "GB300": {279, 288},
    "GH200": {96},
    "H100": {80, 94},  # 94: NVL
    "H200": {141},
    "K520": {4},
    "K80": {12},  # of each of the board's two GPUs
    "L4": {24},
    "L40": {48},
    "L40S": {48},
    "M60": {8},  # of each of the board's two GPUs
    "MI25": {16},
    "MI300X": {192},
    "P100": {16},
    "P40": {24},
    "Quadro RTX 6000": {24},
    "RTX 2000 Ada": {16},
    "RTX 3070": {8},
    "RTX 3080": {10},
    "RTX 3080 Ti": {12},
    "RTX 3090": {24},
    "RTX 3090 Ti": {24},
    "RTX 4000 Ada": {20},
    "RTX 4000 SFF Ada": {20},
    "RTX 4070 Ti": {12},
    "RTX 4080": {16},
    "RTX 4080 SUPER": {16},
    "RTX 4090": {24},
    "RTX 5000 Ada": {32},
    "RTX 5080": {16},
    "RTX 5090": {32},
    "RTX 6000 Ada": {48},
    "RTX A2000": {6},
    "RTX A4000": {16},
    "RTX A4500": {20},
    "RTX A5000": {24},
    "RTX A6000": {48},
    "RTX PRO 4500": {32},
    "RTX PRO 6000": {96},
    "T4": {16},
    "T4G": {16},
    "V100": {16, 32},
    "V520": {8},
    "V620": {32},
    "V710": {24},
}


def test_the_file_is_sorted_and_lists_each_type_once() -> None:
    lines = (shipped.folder("reference") / "gpu_instances.csv").read_text(encoding="utf-8")
    keys = [tuple(line.split(",")[:2]) for line in lines.splitlines()[1:]]
    assert keys == sorted(set(keys))


def test_only_memory_may_be_unknown() -> None:
    assert TABLE.drop("gpu_memory_gib").null_count().sum_horizontal().item() == 0
    assert TABLE.select(pl.col("gpu_count").is_between(1, 16).all()).item()


def test_every_model_is_spelled_one_way_and_has_its_memory() -> None:
    found: dict[str, set[int]] = {}
    for model, memory in TABLE.select("gpu_model", "gpu_memory_gib").iter_rows():
        found.setdefault(model, set()).update({memory} - {None})
    assert found == MEMORY_GIB


def test_shares_are_exact_ratios_of_a_whole_gpu() -> None:
    for text in TABLE["gpu_fraction"].unique():
        assert 0 < Fraction(text) <= 1
        assert text == str(Fraction(text))


def test_only_an_instance_of_one_gpu_has_a_share_of_it() -> None:
    assert TABLE.filter(gpu_fraction="1").height < TABLE.height
    assert TABLE.filter(pl.col("gpu_fraction") != "1")["gpu_count"].unique().to_list() == [1]


def test_every_provider_exists_or_is_to_come() -> None:
    assert set(TABLE["provider"]) <= {*registry.PROVIDERS, *TO_COME}


def size(instance_type: str) -> int:
    """Rank AWS sizes: a number before `xlarge` counts xlarges; `metal` is the whole machine."""
    name = instance_type.partition(".")[2]
    if name in {"large", "xlarge"}:
        return 0 if name == "large" else 1
    return 10**6 if name == "metal" else int(name.removesuffix("xlarge"))


@pytest.mark.parametrize(
    "family", sorted({name.partition(".")[0] for name in gpus.known("aws")}), ids=str
)
def test_sizes_of_an_aws_family_agree(family: str) -> None:
    sizes = {name: gpu for name, gpu in gpus.known("aws").items() if name.startswith(f"{family}.")}
    assert len({(gpu.model, gpu.memory_gib) for gpu in sizes.values()}) == 1
    # A 16xlarge of the G families is one GPU with many processors, so it is left out.
    ranked = sorted((size(name), gpu) for name, gpu in sizes.items() if "16xlarge" not in name)
    held = [gpu.count * gpu.fraction for _, gpu in ranked]
    assert held == sorted(held)


def test_aws_knows_no_gpu_type_that_is_missing() -> None:
    ec2 = botocore.session.Session().get_service_model("ec2")
    types = pl.Series("type", ec2.shape_for("InstanceType").enum)
    named = types.to_frame().filter(gpus.is_gpu_name("aws", pl.col("type")))
    assert set(named["type"]) == set(gpus.known("aws"))


@pytest.mark.parametrize("provider", ["coreweave", "gcp", "lambda_labs"])
def test_names_that_say_how_many_gpus_there_are_are_right(provider: str) -> None:
    said = {
        name: int(found[1])
        for name in gpus.known(provider)
        if (found := re.search(r"[-_](\d+)(?:x|g\b)", name))
    }
    assert len(said) > 10
    assert said == {name: gpus.known(provider)[name].count for name in said}


@pytest.mark.parametrize("provider", sorted(set(TABLE["provider"])))
def test_every_listed_type_is_named_as_gpu_types_are(provider: str) -> None:
    listed = pl.DataFrame({"type": list(gpus.known(provider))})
    assert listed.select(gpus.is_gpu_name(provider, pl.col("type")).all()).item()


@pytest.mark.parametrize(
    ("provider", "instance_type", "is_gpu"),
    [
        ("aws", "p9.48xlarge", True),
        ("aws", "ml.g9e.xlarge", True),
        ("aws", "m7g.xlarge", False),
        ("aws", "inf2.xlarge", False),
        ("azure", "Standard_ND1isr_R100_v9", True),
        ("azure", "standard_nc1_v9", True),
        ("azure", "Standard_NP10s", False),
        ("azure", "Standard_D4s_v5", False),
        ("gcp", "a5-highgpu-8g", True),
        ("gcp", "g1-small", False),
        ("gcp", "n2-standard-8", False),
        ("gcp", "c4a-standard-8", False),
        ("coreweave", "r200-8x", True),
        ("coreweave", "cd-gp-a192-genoa", False),
        ("lambda_labs", "gpu_8x_r100", True),
        ("lambda_labs", "cpu_4x_general", False),
        ("github_actions", "linux_8_core_gpu", True),
        ("github_actions", "linux_8_core", False),
        ("runpod", "NVIDIA R100", True),
        ("kubernetes", "gpu", False),
    ],
)
def test_gpu_machines_are_told_by_name(provider: str, instance_type: str, *, is_gpu: bool) -> None:
    row = pl.DataFrame({"type": [instance_type]})
    assert row.select(gpus.is_gpu_name(provider, pl.col("type"))).item() is is_gpu


def test_known_types() -> None:
    assert gpus.known("aws")["p5.48xlarge"] == gpus.GpuInstance("H100", 8, 80)
    assert gpus.known("runpod")["NVIDIA A100-SXM4-80GB"] == gpus.GpuInstance("A100", 1, 80)
    sixth = gpus.GpuInstance("A10", 1, 24, Fraction(1, 6))
    assert gpus.known("azure")["Standard_NV6ads_A10_v5"] == sixth
    assert gpus.known("nobody") == {}


def test_columns_are_exact_and_null_for_unknown_types() -> None:
    rows = pl.DataFrame({"type": ["g5.48xlarge", "t3.xlarge", None], "hours": ["0.1", "1", "1"]})
    hours = pl.col("hours").cast(money.DTYPE)
    made = rows.select(gpus.columns("aws", pl.col("type"), hours))
    assert made.columns == [
        "x_GpuModel",
        "x_GpuCount",
        "x_GpuMemoryGiB",
        "x_GpuFraction",
        "x_GpuHours",
    ]
    assert made.rows() == [("A10G", 8, 24, Decimal(1), Decimal("0.8")), *[(None,) * 5] * 2]


@pytest.mark.parametrize(
    ("instance_type", "hours", "fraction", "gpu_hours"),
    [
        ("Standard_NV6ads_A10_v5", "6", "0.166666666666666667", "1"),
        ("Standard_NV6ads_A10_v5", "744", "0.166666666666666667", "124"),
        ("Standard_NV12ads_A10_v5", "1", "0.333333333333333333", "0.333333333333333333"),
        ("Standard_NV18ads_A10_v5", "-1", "0.5", "-0.5"),
        ("Standard_NV72ads_A10_v5", "0.5", "1", "1"),
        ("Standard_NV6ads_A10_v5", None, "0.166666666666666667", None),
    ],
)
def test_hours_of_a_share_are_rounded_once(
    instance_type: str, hours: str | None, fraction: str, gpu_hours: str | None
) -> None:
    row = pl.DataFrame({"type": [instance_type], "hours": pl.Series([hours], dtype=pl.String)})
    made = row.select(gpus.columns("azure", pl.col("type"), pl.col("hours").cast(money.DTYPE))).row(
        0, named=True
    )
    assert made["x_GpuFraction"] == Decimal(fraction)
    assert made["x_GpuHours"] == (None if gpu_hours is None else Decimal(gpu_hours))
