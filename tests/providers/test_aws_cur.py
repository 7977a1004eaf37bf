"""CUR 2.0 lines as FOCUS rows, from gzip CSV and from Parquet with AWS's types."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops import checks
from finops.errors import DataError
from finops.raw import RawStore
from finops.vocabulary import CATEGORY_OF
from providers import aws_cur
from tests.stubs.aws_export import CUR, OCTOBER, Export, focus_rows


def cur_parquet() -> bytes:
    """Write the CUR fixture with AWS's types: doubles, timestamps, maps."""
    lines = list(csv.DictReader(io.StringIO(CUR.decode())))
    doubles = ("_cost", "_amount", "_fee", "_period", "_to_date", "_commitment")
    columns: dict[str, pa.Array] = {}
    for name in lines[0]:
        texts = [line[name] for line in lines]
        if name in {"product", "resource_tags"}:
            pairs = [list(json.loads(text or "{}").items()) for text in texts]
            columns[name] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
        elif name.endswith("_date") and name != "savings_plan_total_commitment_to_date":
            times = [datetime.fromisoformat(text) for text in texts]
            columns[name] = pa.array(times, pa.timestamp("ms"))
        elif name.endswith(doubles):
            numbers = [float(text) if text else None for text in texts]
            columns[name] = pa.array(numbers, pa.float64())
        else:
            columns[name] = pa.array([text or None for text in texts], pa.string())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="snappy")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        ("text", '{"user:team": "a,\\"user_x\\": b", "aws:createdBy": "user_1"}'),
        ("map", [("user:team", 'a,"user_x": b'), ("aws:createdBy", "user_1")]),
        (
            "pairs",
            [
                {"key": "user:team", "value": 'a,"user_x": b'},
                {"key": "aws:createdBy", "value": "user_1"},
            ],
        ),
    ],
)
def test_tags_lose_only_the_prefix_of_their_keys(dtype: str, given: object) -> None:
    types = {
        "text": pa.string(),
        "map": pa.map_(pa.string(), pa.string()),
        "pairs": pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table({"Tags": pa.array([given, None], types[dtype])}), sink)
    sink.seek(0)
    rows = pl.read_parquet(sink)
    written = rows.select(aws_cur.json_object(pl.col("Tags"), rows.schema["Tags"])).to_series()
    assert json.loads(written[0]) == {"team": 'a,"user_x": b', "aws:createdBy": "user_1"}
    assert written[1] is None


@pytest.mark.parametrize(
    ("name", "body"),
    [("cur-00001.csv.gz", gzip.compress(CUR)), ("cur-00001.snappy.parquet", cur_parquet())],
)
class TestCur:
    """CUR 2.0, as gzip CSV with JSON text and as Parquet with doubles and maps."""

    @pytest.fixture
    def found(self, name: str, body: bytes, export: Export, store: RawStore) -> pl.DataFrame:
        export.deliver({name: body})
        provider = export.provider()
        return focus_rows(provider, provider.fetch(OCTOBER, store), store)

    def test_every_cent_is_kept(self, found: pl.DataFrame) -> None:
        lines = csv.DictReader(io.StringIO(CUR.decode()))
        unblended = sum((Decimal(line["line_item_unblended_cost"]) for line in lines), Decimal(0))
        assert found["BilledCost"].sum() == unblended

    def test_no_finding_of_the_checks(self, found: pl.DataFrame) -> None:
        assert checks.counts(found) == {}

    def test_line_types(self, found: pl.DataFrame) -> None:
        columns = "x_RawRow", "ChargeCategory", "ChargeFrequency", "EffectiveCost"
        expected = [
            (0, "Usage", "Usage-Based", "55.04"),
            (1, "Usage", "Usage-Based", "9.8765432109"),
            (2, "Usage", "Usage-Based", "0.0000000004"),
            (3, "Usage", "Usage-Based", "0.32"),
            (4, "Usage", "Usage-Based", "13.19"),
            (5, "Purchase", "Recurring", "0"),
            (6, "Purchase", "One-Time", "0"),
            (7, "Usage", "Usage-Based", "0.86"),
            (8, "Adjustment", "Usage-Based", "0"),
            (9, "Purchase", "Recurring", "0"),
            (10, "Purchase", "One-Time", "0"),
            (11, "Tax", "One-Time", "12.34"),
            (12, "Credit", "One-Time", "-5"),
            (13, "Credit", "One-Time", "-0.01"),
            (14, "Adjustment", "One-Time", "-3.3024"),
            (15, "Adjustment", "One-Time", "-0.000001"),
            (5, "Usage", "Usage-Based", "120.75"),
            (9, "Usage", "Usage-Based", "0.14"),
        ]
        assert found.select(columns).rows() == [(*row[:3], Decimal(row[3])) for row in expected]
        assert found["ChargeClass"].null_count() == found.height

    def test_commitments(self, found: pl.DataFrame) -> None:
        columns = "CommitmentDiscountCategory", "CommitmentDiscountType", "CommitmentDiscountStatus"
        kinds = found.filter(pl.col("CommitmentDiscountId").is_not_null()).select(
            "x_RawRow", *columns, "PricingCategory"
        )
        reserved, plan = ("Usage", "Reserved Instance"), ("Spend", "Savings Plan")
        assert kinds.rows() == [
            (4, *reserved, "Used", "Committed"),
            (5, *reserved, None, "Standard"),
            (6, *reserved, None, "Standard"),
            (7, *plan, "Used", "Committed"),
            (8, *plan, None, None),
            (9, *plan, None, "Standard"),
            (10, *plan, None, "Standard"),
            (5, *reserved, "Unused", "Committed"),
            (9, *plan, "Unused", "Committed"),
        ]

    def test_unused_commitment_is_billed_nothing(self, found: pl.DataFrame) -> None:
        unused = found.filter(pl.col("CommitmentDiscountStatus") == "Unused")
        zeros = unused.select("BilledCost", "ListCost", "ContractedCost").rows()
        assert zeros == [(Decimal(0),) * 3] * 2

    def test_list_and_contracted_cost(self, found: pl.DataFrame) -> None:
        costs = found.select("ListCost", "ContractedCost").rows()
        assert costs[1] == (Decimal("0.5672"), Decimal("9.8765432109"))
        assert costs[4] == (Decimal("21.957643"), Decimal("21.957643"))
        assert costs[8] == (Decimal(0), Decimal(0))

    def test_gpu_facts(self, found: pl.DataFrame) -> None:
        gpus = found.filter(pl.col("x_GpuModel").is_not_null())
        assert gpus.select("x_RawRow", "x_GpuModel", "x_GpuCount", "x_GpuHours").rows() == [
            (0, "H100", 8, Decimal(8)),
            (1, "A10G", 4, Decimal("0.4")),
            (4, "A100", 8, Decimal(8)),
            (7, "A10G", 1, Decimal(1)),
        ]
        assert gpus["x_GpuFraction"].unique().to_list() == [1]
        assert gpus["x_InstanceType"].to_list() == [
            "p5.48xlarge",
            "g5.12xlarge",
            "p4d.24xlarge",
            "g5.2xlarge",
        ]

    def test_regions_are_named(self, found: pl.DataFrame) -> None:
        named = found.select("RegionId", "RegionName").unique().rows()
        assert named == [("us-east-1", "US East (N. Virginia)")]

    def test_dimensions(self, found: pl.DataFrame) -> None:
        first = found.row(0, named=True)
        assert json.loads(first["Tags"]) == {"team": "vision", "project": "detector"}
        assert json.loads(found["Tags"][1]) == {"team": "nlp", "aws_created_by": "root"}
        assert first["BillingAccountId"] == "000000000012"
        assert first["SubAccountId"] == "000000000034"
        assert first["ServiceName"] == "Amazon Elastic Compute Cloud"
        assert first["ChargePeriodStart"] == datetime(2026, 10, 3, 5, tzinfo=UTC)
        assert first["BillingPeriodEnd"] == datetime(2026, 11, 1, tzinfo=UTC)
        assert found["ServiceCategory"].to_list()[:4] == [
            "Compute",
            "Compute",
            "Storage",
            "Compute",
        ]
        told = found.select("ServiceSubcategory", "ServiceCategory").unique().rows()
        assert {("Virtual Machines", "Compute"), ("Block Storage", "Storage")} <= set(told)
        assert all(CATEGORY_OF[subcategory] == category for subcategory, category in told)
        assert found["InvoiceId"].to_list()[11] == "INV-7"


def test_cur_without_needed_columns(export: Export, store: RawStore) -> None:
    export.deliver({"cur-00001.csv": b"line_item_unblended_cost,line_item_usage_type\n1,x\n"})
    provider = export.provider()
    delivery = provider.fetch(OCTOBER, store)
    with pytest.raises(DataError, match="select these columns in the export's query"):
        focus_rows(provider, delivery, store)


def test_cur_with_only_needed_columns(export: Export, store: RawStore) -> None:
    body = (
        b"line_item_line_item_type,line_item_unblended_cost,line_item_usage_start_date,"
        b"line_item_usage_end_date,bill_billing_period_start_date\n"
        b"Usage,1.5,2026-10-01T00:00:00Z,2026-10-01T01:00:00Z,2026-10-01T00:00:00Z\n"
    )
    export.deliver({"cur-00001.csv": body})
    provider = export.provider()
    found = focus_rows(provider, provider.fetch(OCTOBER, store), store)
    assert found.select("BilledCost", "BillingCurrency", "ServiceCategory").rows() == [
        (Decimal("1.5"), "USD", "Other")
    ]
