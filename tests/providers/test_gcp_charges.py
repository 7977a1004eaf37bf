"""Google Cloud: the rows made of both exports, from files that hold them."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import charges, checks
from finops.charges import Ingested
from finops.errors import DataError
from finops.normalize import canonical, canonical_json
from finops.partition import Window
from finops.raw import RawStore
from finops.vocabulary import CATEGORY_OF
from finops.warehouse.local import LocalWarehouse
from providers import gcp_labels, gcp_services
from providers.gcp import Gcp, GcpSettings

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gcp"
OCTOBER = Window.of_period("2026-10")
GPU = "Nvidia H100 80GB GPU running in Americas"


def recorded(path: Path, store: RawStore, base: Path = FIXTURES) -> pl.DataFrame:
    provider = Gcp("gcp", GcpSettings(recorded=path), base)
    delivery = provider.fetch(OCTOBER, store)
    bills = provider.charges(delivery, store.path)
    return pl.concat(canonical(bill.rows, bill.raw.name) for bill in bills).collect()


@pytest.fixture
def detailed(store: RawStore) -> pl.DataFrame:
    return recorded(Path("detailed.ndjson"), store)


@pytest.fixture
def focus(store: RawStore) -> pl.DataFrame:
    return recorded(Path("focus.ndjson"), store)


def by_description(rows: pl.DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in rows.select("ChargeDescription", *columns).rows()}


def test_billed_cost_is_cost_and_credits_to_the_last_digit(detailed: pl.DataFrame) -> None:
    assert checks.counts(detailed) == {}
    assert detailed["BilledCost"].sum() == Decimal("116.7760001")
    found = by_description(detailed, "BilledCost", "EffectiveCost", "ListCost")
    assert found["A3 Instance Core running in Americas"] == (0, 0, Decimal("9.1"))
    assert found["Standard Storage US Multi-region"] == (Decimal("0.0000001"),) * 3
    assert found["State sales tax (4.71%)"] == (Decimal("4.2"),) * 3


def billing(folder: Path, **changed: Any) -> Ingested:
    """Take the first row of the fixture, with some fields as `changed`."""
    line = (FIXTURES / "detailed.ndjson").read_text().splitlines()[0]
    # In JSON a Decimal has no place: the text between @ and @ is written as a number.
    row = json.dumps({**json.loads(line), **changed})
    (folder / "row.json").write_text(re.sub('"@([^"]*)@"', r"\1", row))
    warehouse = LocalWarehouse(folder / "warehouse")
    store = RawStore(warehouse)
    provider = Gcp("gcp", GcpSettings(recorded=Path("row.json")), folder)
    delivery = provider.fetch(OCTOBER, store)
    return charges.write(provider.charges(delivery, store.path), delivery, warehouse)


@pytest.mark.parametrize(
    ("cost", "credit", "billed", "rounding"),
    [
        ("@1.2345678901234567e-05@", "@0@", "0.000012345678901235", "-4.33e-19"),
        ("@1@", "@-1.25e-18@", "0.999999999999999999", "-2.5e-19"),
        ("0.0000000000000000005", "@-5e-19@", "0", "0"),
        ("@1e2@", "-99.999999999999999999", "0.000000000000000001", "0"),
        ("@5e-324@", None, "0", "5e-324"),
    ],
)
def test_what_18_decimals_cannot_hold_is_counted_as_rounding(
    cost: str, credit: str | None, billed: str, rounding: str, tmp_path: Path
) -> None:
    taken = billing(tmp_path, cost=cost, credits=[{"amount": credit}])
    assert taken.billed == {"USD": Decimal(billed)}
    assert taken.rounding.get("USD", Decimal(0)) == Decimal(rounding)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cost": "@1e22@"}, "BilledCost: '1e22'"),
        ({"cost": "NaN"}, "BilledCost: 'NaN'"),
        ({"credits": [{"amount": "@-1@"}, {"amount": "@-1e22@"}]}, "BilledCost: '-1e22'"),
        ({"credits": [{"amount": "none"}]}, "BilledCost: 'none'"),
        ({"cost": "@9e19@", "credits": [{"amount": "@9e19@"}]}, "BilledCost: '18000000000"),
        ({"cost_at_list": "@1e22@"}, "ListCost: '1e22'"),
        ({"usage": {"amount": "@1e22@"}}, "ConsumedQuantity: '1e22'"),
    ],
)
def test_an_amount_that_is_none_is_named(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"row 1: .* is no finite number of at most 20") as caught:
        billing(tmp_path, **changed)
    assert said in str(caught.value)


def test_the_invoice_month_is_apart_from_the_day(detailed: pl.DataFrame) -> None:
    pairs = detailed.select("BillingPeriodStart", "ChargePeriodStart").rows()
    assert (datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, 6, tzinfo=UTC)) in pairs
    assert (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 9, 14, 6, tzinfo=UTC)) in pairs


def test_kinds_of_charge(detailed: pl.DataFrame) -> None:
    found = by_description(
        detailed, "ChargeCategory", "ChargeClass", "ChargeFrequency", "PricingCategory"
    )
    fee = "Commitment - dollar based v1: GCE for 1 year"
    assert found[fee] == ("Purchase", None, "Recurring", "Standard")
    assert found["State sales tax (4.71%)"] == ("Tax", None, "One-Time", None)
    assert found["Rounding error"] == ("Adjustment", None, "One-Time", None)
    assert found[GPU] == ("Adjustment", "Correction", "One-Time", None)  # the last of its name
    spot = "Spot Preemptible Nvidia Tesla T4 GPU running in Americas"
    assert found[spot] == ("Usage", None, "Usage-Based", "Dynamic")
    assert found["N2 Instance Core running in Americas"][3] == "Committed"


def test_commitments_are_named_where_google_names_them(detailed: pl.DataFrame) -> None:
    found = by_description(
        detailed, "CommitmentDiscountId", "CommitmentDiscountCategory", "CommitmentDiscountStatus"
    )
    assert found["N2 Instance Core running in Americas"] == ("769c55ea", "Spend", "Used")
    assert found["Commitment - dollar based v1: GCE for 1 year"] == ("769c55ea", "Spend", None)
    assert found["A3 Instance Core running in Americas"] == (None, None, None)


@pytest.mark.parametrize("export", ["detailed", "focus"])
def test_a_gpu_hour_of_one_machine_counts_once(export: str, request: pytest.FixtureRequest) -> None:
    rows: pl.DataFrame = request.getfixturevalue(export)
    machine = rows.filter(
        pl.col("ResourceName") == "trainer",
        pl.col("ChargePeriodStart") == datetime(2026, 10, 1, 8, tzinfo=UTC),
        pl.col("ChargeDescription").str.contains("A3|H100"),
    )
    assert machine.height > 1
    assert machine["x_GpuHours"].sum() == Decimal(8)
    (gpu,) = machine.filter(pl.col("x_GpuHours").is_not_null()).rows(named=True)
    assert (gpu["ChargeDescription"], gpu["x_GpuModel"], gpu["x_GpuMemoryGiB"]) == (GPU, "H100", 80)
    cores = machine.filter(pl.col("ChargeDescription").str.contains("Core"))
    assert cores.select("x_GpuModel", "x_GpuCount", "x_GpuHours").rows() == [("H100", 8, None)]
    assert gpu["x_GpuCount"] == 8
    assert machine["x_InstanceType"].unique().to_list() == ["a3-highgpu-8g"]


def test_attached_gpus_are_known_by_their_sku_and_commitments_have_none(
    detailed: pl.DataFrame,
) -> None:
    found = by_description(detailed, "x_GpuModel", "x_GpuHours", "x_GpuFraction")
    spot = "Spot Preemptible Nvidia Tesla T4 GPU running in Americas"
    assert found[spot] == ("T4", Decimal(2), Decimal(1))
    assert found["Commitment - dollar based v1: GCE for 1 year"] == (None, None, None)


def test_tags_win_over_labels_and_labels_over_project_labels(
    detailed: pl.DataFrame, focus: pl.DataFrame
) -> None:
    for rows in (detailed, focus):
        tags = json.loads(canonical_json(rows["Tags"][0]) or "")
        assert tags == {"cost-center": "ai", "team": "vision", "env": "production"}
        assert rows["Tags"].null_count() == 2


def test_labels_keep_quotes_and_have_no_null() -> None:
    text = '[{"key":"a\\"b","value":"x\\\\y, \\"Key\\":z"},{"key":"none","value":null}]'
    rows = pl.DataFrame({"labels": [text, "[]", None, "null"]})
    made = rows.select(gcp_labels.tags(pl.col("labels"))).to_series().to_list()
    assert json.loads(canonical_json(made[0]) or "") == {'a"b': 'x\\y, "Key":z'}
    assert made[1:] == [None, None, None]


def test_services_and_resources(detailed: pl.DataFrame, focus: pl.DataFrame) -> None:
    for rows in (detailed, focus):
        assert rows.filter(pl.col("RegionId") == "us-central1")["RegionName"].unique().len() == 1
        assert rows["RegionName"][0] is not None
        found = by_description(rows, "ServiceCategory", "ServiceSubcategory", "ResourceType")
        storage = "Standard Storage US Multi-region"
        assert found[GPU] == ("Compute", "Virtual Machines", "instances")
        assert found[storage] == ("Storage", "Object Storage", None)


@pytest.mark.parametrize(
    "service",
    [
        "Artifact Registry",
        "BigQuery",
        "Cloud Build",
        "Cloud DNS",
        "Cloud Filestore",
        "Cloud Key Management Service (KMS)",
        "Secret Manager",
    ],
)
def test_subcategory_of_a_service_belongs_to_its_category(service: str) -> None:
    nothing, name = pl.lit(None, pl.String), pl.lit(service)
    named = [gcp_services.category(nothing, name), gcp_services.subcategory(nothing, name)]
    category, subcategory = (pl.select(each).item() for each in named)
    assert CATEGORY_OF[subcategory] == category


def test_a_price_is_taken_where_it_explains_the_cost(detailed: pl.DataFrame) -> None:
    prices = by_description(detailed, "ListUnitPrice")
    assert prices["N2 Instance Core running in Americas"] == (Decimal("0.05"),)
    assert prices["A3 Instance Core running in Americas"] == (None,)


def test_what_focus_does_not_know_is_kept(detailed: pl.DataFrame) -> None:
    kept = json.loads(detailed["x_SourceColumns"][-1])
    assert kept["x_AdjustmentInfoMode"] == "PARTIAL_CORRECTION"
    assert kept["x_ExportTime"] == "2026-10-03T01:00:00Z"
    assert kept["x_CostType"] == "adjustment"


def test_the_focus_table_is_made_whole(focus: pl.DataFrame) -> None:
    assert checks.counts(focus) == {}
    assert focus["BilledCost"].sum() == Decimal("83.300000001")
    assert focus["ChargeFrequency"].to_list() == [*["Usage-Based"] * 3, "One-Time"]
    assert focus["InvoiceIssuerName"].unique().to_list() == ["Google Cloud"]
    assert focus["BillingPeriodStart"][0] == datetime(2026, 10, 1, 7, tzinfo=UTC)


def test_parquet_from_cloud_storage_gives_the_same_rows(
    tmp_path: Path, store: RawStore, detailed: pl.DataFrame, focus: pl.DataFrame
) -> None:
    for name, expected in {"detailed": detailed, "focus": focus}.items():
        nested = pl.read_ndjson(FIXTURES / f"{name}.ndjson", infer_schema_length=None)
        numbers = [
            column for column in nested.columns if column.endswith(("Cost", "Price", "Quantity"))
        ]
        times = [
            column
            for column in nested.columns
            if column.endswith(("_time", "Start", "End", "ExportTime"))
        ]
        typed = nested.with_columns(
            pl.col(numbers).cast(pl.Decimal(38, 9)),
            pl.col(times).str.to_datetime(time_unit="us", time_zone="UTC"),
        )
        typed.write_parquet(tmp_path / f"{name}.parquet")
        found = recorded(Path(f"{name}.parquet"), store, tmp_path)
        text = ["x_SourceColumns", "^~.*$"]  # spelled in another way, and only for text
        assert found.drop(text).equals(expected.drop(text))


def test_a_table_with_gpus_and_tags_of_its_own_keeps_them(tmp_path: Path, store: RawStore) -> None:
    line = json.loads((FIXTURES / "focus.ndjson").read_text().splitlines()[0])
    own = {"Tags": '{"team":"own"}', "x_GpuModel": "B200", "x_GpuHours": "4"}
    (tmp_path / "own.json").write_text(json.dumps(line | own))
    (row,) = recorded(Path("own.json"), store, tmp_path).rows(named=True)
    assert (row["Tags"], row["x_GpuModel"], row["x_GpuHours"]) == ('{"team":"own"}', "B200", 4)
    assert row["x_GpuCount"] is None
