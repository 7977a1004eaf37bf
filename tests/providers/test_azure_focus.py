"""What Azure's FOCUS exports get wrong is cured, what was delivered stays, and no cent changes."""

import csv
import io
import json
from decimal import Decimal

import polars as pl
import pytest

from finops.normalize import canonical, canonical_json
from providers import azure_focus
from tests.stubs.azure_export import FOCUS

NAMES = (
    "on demand",
    "spot",
    "reserved usage",
    "reservation",
    "savings plan",
    "covered usage",
    "unused",
    "marketplace",
    "rounding",
    "credit",
    "machine learning",
    "disk",
    "free",
    "new machine",
)
GIVEN = dict(zip(NAMES, csv.DictReader(io.StringIO(FOCUS.decode("utf-8-sig"))), strict=True))


def cure(frame: pl.DataFrame) -> dict[str, dict[str, object]]:
    rows = canonical(azure_focus.cured(frame.lazy(), "bill"), "bill").collect()
    return dict(zip(NAMES, rows.to_dicts(), strict=True))


def frame() -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(FOCUS), infer_schema=False)


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, object]]:
    return cure(frame())


def own(row: dict[str, object]) -> dict[str, object]:
    found = json.loads(str(row["x_SourceColumns"]))
    return {name: value for name, value in found.items() if value is not None}


def test_no_billed_cent_changes(rows: dict[str, dict[str, object]]) -> None:
    billed = {name: row["BilledCost"] for name, row in rows.items()}
    assert billed == {name: Decimal(row["BilledCost"]) for name, row in GIVEN.items()}


def test_only_a_purchased_commitment_changes_its_effective_cost(
    rows: dict[str, dict[str, object]],
) -> None:
    given = {name: Decimal(row["EffectiveCost"]) for name, row in GIVEN.items()}
    found = {name: row["EffectiveCost"] for name, row in rows.items()}
    assert found == given | {"savings plan": Decimal(0)}
    assert own(rows["savings plan"])["x_DeliveredEffectiveCost"] == "100"
    assert "x_DeliveredEffectiveCost" not in own(rows["reservation"])


@pytest.mark.parametrize("column", ["ContractedCost", "ListCost"])
def test_a_price_of_nothing_on_what_costs_something_is_unknown(
    column: str, rows: dict[str, dict[str, object]]
) -> None:
    unknown = {"reserved usage", "unused", "marketplace", "credit"}
    assert {name for name, row in rows.items() if row[column] is None} == unknown
    assert rows["reserved usage"]["ListUnitPrice"] is None
    assert rows["free"][column] == 0
    assert rows["free"]["ListUnitPrice"] == 0


def test_usage_under_a_commitment_is_committed(rows: dict[str, dict[str, object]]) -> None:
    committed = {name for name, row in rows.items() if row["PricingCategory"] == "Committed"}
    assert committed == {"reserved usage", "covered usage", "unused"}
    assert rows["spot"]["PricingCategory"] == "Dynamic"
    assert own(rows["unused"])["x_DeliveredPricingCategory"] == "Standard"


def test_ids_are_no_paths(rows: dict[str, dict[str, object]]) -> None:
    row = rows["reserved usage"]
    assert row["SubAccountId"] == "7d0f1c52-9a41-4f6e-8c1d-2b5f0e7a1c10"
    assert row["BillingAccountId"] == "ab12-cd34-bg7-pgb"
    assert row["CommitmentDiscountId"] == rows["reservation"]["ResourceId"]
    assert own(row)["x_DeliveredSubAccountId"] == GIVEN["spot"]["SubAccountId"]
    assert own(row)["x_DeliveredBillingAccountId"] == GIVEN["spot"]["BillingAccountId"]
    assert (
        own(row)["x_DeliveredCommitmentDiscountId"]
        == (GIVEN["reserved usage"]["CommitmentDiscountId"])
    )


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("reservation", "ServiceName", "Reserved VM Instance, ND96isr H100 v5"),
        ("savings plan", "ServiceName", "Compute Savings Plan"),
        ("rounding", "ServiceName", "Rounding Adjustment"),
        ("marketplace", "ServiceName", "NVIDIA"),
        ("machine learning", "ServiceCategory", "AI and Machine Learning"),
        ("marketplace", "ServiceCategory", "Other"),
        ("rounding", "RegionId", None),
        ("free", "RegionId", "westeurope"),
        ("credit", "SubAccountName", None),
        ("machine learning", "SkuPriceId", None),
        ("on demand", "SkuPriceId", "DZH318Z08NRP_0001"),
        ("spot", "SkuMeter", "NC24ads A100 v4 Spot"),
        ("on demand", "x_CostSource", "billed"),
    ],
)
def test_what_is_missing_is_taken_from_the_row_itself(
    name: str, column: str, value: str | None, rows: dict[str, dict[str, object]]
) -> None:
    assert rows[name][column] == value


def test_microsoft_publishes_its_own_commitments(rows: dict[str, dict[str, object]]) -> None:
    for name in ("reserved usage", "reservation", "savings plan", "unused"):
        assert rows[name]["x_PublisherName"] == "Microsoft"
    assert rows["marketplace"]["x_PublisherName"] == "NVIDIA"


def test_tags_may_lack_their_braces(rows: dict[str, dict[str, object]]) -> None:
    found = [canonical_json(str(rows[name]["Tags"])) for name in ("on demand", "spot")]
    assert found == ['{"env":"prod","team":"vision"}', '{"team":"nlp"}']


def test_the_details_of_a_sku_are_kept_as_focus_wants_them(
    rows: dict[str, dict[str, object]],
) -> None:
    details = json.loads(str(rows["on demand"]["SkuPriceDetails"]))
    assert details["ServiceType"] == "Standard_ND96isr_H100_v5"


def test_machine_sizes_come_from_the_details_or_the_meter(
    rows: dict[str, dict[str, object]],
) -> None:
    assert {name: row["x_InstanceType"] for name, row in rows.items() if row["x_InstanceType"]} == {
        "on demand": "Standard_ND96isr_H100_v5",
        "spot": "Standard_NC24ads_A100_v4",
        "reserved usage": "Standard_ND96isr_H100_v5",
        "unused": "Standard_ND96isr_H100_v5",
        "new machine": "Standard_ND999xyz_Z1_v9",
    }


def test_gpu_hours_are_hours_of_use_times_gpus(rows: dict[str, dict[str, object]]) -> None:
    hours = {name: row["x_GpuHours"] for name, row in rows.items() if row["x_GpuHours"]}
    assert hours == {
        "on demand": Decimal(192),
        "spot": Decimal("5.5"),
        "reserved usage": Decimal(192),
    }
    assert (rows["spot"]["x_GpuModel"], rows["spot"]["x_GpuMemoryGiB"]) == ("A100", 80)
    assert rows["new machine"]["x_GpuModel"] is None


def test_hours_by_the_hundred_are_not_taken_for_hours() -> None:
    hundreds = frame().with_columns(pl.col("ConsumedUnit").str.replace("Hours", "100 Hours"))
    found = cure(hundreds)["on demand"]
    assert (found["x_GpuModel"], found["x_GpuHours"]) == ("H100", None)


def test_a_region_without_name_gets_the_one_of_its_id(
    rows: dict[str, dict[str, object]],
) -> None:
    nameless = frame().with_columns(pl.lit("").alias("RegionName"))
    assert cure(nameless)["on demand"]["RegionName"] == "West Europe"
    assert rows["rounding"]["RegionName"] is None


def test_doubles_and_decimals_give_the_same_rows(rows: dict[str, dict[str, object]]) -> None:
    amounts = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]
    times = ["BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"]
    exact = frame().with_columns(
        pl.col(amounts).cast(pl.Decimal(38, 14)),
        pl.col(times).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"),
    )
    doubles = frame().with_columns(pl.col(amounts).cast(pl.Float64))
    for name, row in cure(exact).items():
        assert {each: row[each] for each in (*amounts, *times)} == {
            each: rows[name][each] for each in (*amounts, *times)
        }
    for name, row in cure(doubles).items():
        assert row["BilledCost"] == rows[name]["BilledCost"]


def test_an_export_of_the_first_version_has_fewer_columns() -> None:
    few = frame().select(
        "BilledCost",
        "BillingCurrency",
        "BillingPeriodStart",
        "ChargeCategory",
        "ChargePeriodStart",
        "ChargePeriodEnd",
    )
    found = azure_focus.cured(few.lazy(), "bill").collect()
    assert found["BilledCost"].to_list() == few["BilledCost"].to_list()
    assert found["x_InstanceType"].null_count() == found.height
