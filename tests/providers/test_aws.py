"""AWS data exports on a real S3 server: delivery modes, races, and the rows of FOCUS files."""

import gzip
import io
import json
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.validate import ParamValidator
from pydantic import ValidationError

from finops import charges
from finops.errors import DataError, Terminal, Transient
from finops.partition import Window
from finops.raw import RawObject, RawStore
from finops.warehouse.local import LocalWarehouse
from providers.aws import Aws, AwsSettings
from tests.stubs.aws_export import EXPORT, FOCUS, OCTOBER, Bucket, Export, focus_rows

ONE_ROW = b"".join(FOCUS.splitlines(keepends=True)[:2])


def test_overwrite_mode(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv.gz": gzip.compress(FOCUS)})
    provider = export.provider()
    delivery = provider.fetch(OCTOBER, store)
    assert delivery.scope.periods == {"2026-10"}
    assert delivery.scope.days is None
    manifest, bill = delivery.objects
    assert manifest.receipt["kind"] == "manifest"
    assert bill.receipt["executionId"] == "run-1"
    assert bill.receipt["endpoint"] == bill.name
    assert bill.name == (
        f"s3://{export.bucket.name}/{EXPORT}/data/BILLING_PERIOD=2026-10/focus-hourly-00001.csv.gz"
    )
    assert len(bill.receipt["etag"]) == 32
    assert datetime.fromisoformat(bill.receipt["fetched_at"]).tzinfo is not None
    assert focus_rows(provider, delivery, store)["BilledCost"].sum() == Decimal("74.5288")


def test_new_report_mode_takes_only_the_newest_run(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS}, "a", folder="20261003T000000Z-a")
    export.deliver({"focus-hourly-00001.csv": ONE_ROW}, "b", "b")
    provider = export.provider()
    delivery = provider.fetch(OCTOBER, store)
    assert [kept.receipt["executionId"] for kept in delivery.objects] == ["b", "b"]
    assert focus_rows(provider, delivery, store).height == 1


def test_restated_month_replaces_whole(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS, "focus-hourly-00002.csv": ONE_ROW})
    provider = export.provider()
    assert focus_rows(provider, provider.fetch(OCTOBER, store), store).height == 9
    export.deliver({"focus-hourly-00001.csv": ONE_ROW}, "run-2")
    again = provider.fetch(OCTOBER, store)
    assert again.scope.periods == {"2026-10"}
    assert focus_rows(provider, again, store).height == 1


@pytest.mark.parametrize("folder", ["billing_period=2026-10", "Billing_Period=2026-10"])
def test_partition_folder_in_any_case(folder: str, bucket: Bucket, store: RawStore) -> None:
    export = Export(bucket, folder)
    export.deliver({"focus-hourly-00001.csv": FOCUS})
    assert export.provider().fetch(OCTOBER, store).scope.periods == {"2026-10"}


def test_undelivered_month_is_not_in_scope(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS})
    window = Window(date(2026, 9, 15), date(2026, 11, 2))
    assert export.provider().fetch(window, store).scope.periods == {"2026-10"}
    before = export.provider().fetch(Window.of_period("2026-08"), store)
    assert (before.scope.periods, before.objects) == (frozenset(), ())


def test_folder_without_manifest_is_not_delivered(export: Export, store: RawStore) -> None:
    export.bucket.put(f"{EXPORT}/metadata/BILLING_PERIOD=2026-10/something-else.json", b"{}")
    assert export.provider().fetch(OCTOBER, store).scope.periods == frozenset()


def test_files_without_manifest_are_not_read(export: Export, store: RawStore) -> None:
    export.bucket.put(f"{EXPORT}/data/BILLING_PERIOD=2026-10/focus-hourly-00001.csv", FOCUS)
    with pytest.raises(Terminal, match="AWS has not delivered yet"):
        export.provider().fetch(OCTOBER, store)


def test_file_named_twice_counts_once(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS})
    export.manifest([export.place("focus-hourly-00001.csv")] * 2, "run-1")
    provider = export.provider()
    assert focus_rows(provider, provider.fetch(OCTOBER, store), store).height == 8


class Interrupting(RawStore):
    """A store that lets something happen in S3 when the first file has been kept."""

    def __init__(self, store: RawStore, then: Callable[[], None]) -> None:
        super().__init__(store.warehouse)
        self._then = then
        self._done = False

    def keep(
        self, content: bytes | Path, name: str, receipt: Mapping[str, str] | None = None
    ) -> RawObject:
        if not self._done:
            self._done = True
            worker = threading.Thread(target=self._then)
            worker.start()
            worker.join()
        return super().keep(content, name, receipt)


def test_export_rewritten_while_read(export: Export, store: RawStore) -> None:
    """The second file vanishes after the first was read; the new run has one file only."""
    export.deliver({"a.csv": FOCUS, "b.csv": FOCUS}, "old", folder="old")

    def rewrite() -> None:
        export.bucket.delete(f"{EXPORT}/data/{export.place('b.csv', 'old')}")
        export.deliver({"a.csv": FOCUS}, "new", folder="new")

    provider = export.provider()
    delivery = provider.fetch(OCTOBER, Interrupting(store, rewrite))
    assert [kept.receipt["executionId"] for kept in delivery.objects] == ["new", "new"]
    assert focus_rows(provider, delivery, store).height == 8


def test_manifest_that_changes_after_the_last_file(export: Export, store: RawStore) -> None:
    export.deliver({"a.csv": FOCUS}, "old")
    delivery = export.provider().fetch(
        OCTOBER, Interrupting(store, lambda: export.deliver({"a.csv": FOCUS + b"\n"}, "new"))
    )
    assert [kept.receipt["executionId"] for kept in delivery.objects] == ["new", "new"]


def test_file_that_stays_missing(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS})
    export.manifest([export.place("focus-hourly-00001.csv"), export.place("gone.csv")], "run-1")
    with pytest.raises(Transient, match="rewrote the export while it was read, 3 times"):
        export.provider().fetch(OCTOBER, store)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"dataFiles": []}',
        b'{"dataFiles": [1]}',
        b'{"dataFiles": "s3://b/x"}',
        b'{"assemblyId": "x", "reportKeys": ["a.csv"]}',
    ],
)
def test_manifest_that_is_none(body: bytes, export: Export, store: RawStore) -> None:
    export.write_manifest(body)
    with pytest.raises(Terminal, match="lists no dataFiles, so it is no manifest"):
        export.provider().fetch(OCTOBER, store)


@pytest.mark.parametrize("body", [b"", b"not json"])
def test_half_a_manifest(body: bytes, export: Export, store: RawStore) -> None:
    export.write_manifest(body)
    with pytest.raises(Transient, match="not a complete JSON document"):
        export.provider().fetch(OCTOBER, store)


@pytest.mark.parametrize("uri", ["s3://b/other/data/x.csv", "s3://b/focus-hourly/data/../../x"])
def test_manifest_that_points_elsewhere(uri: str, export: Export, store: RawStore) -> None:
    export.write_manifest(json.dumps({"dataFiles": [uri]}).encode())
    with pytest.raises(Terminal, match="not below /focus-hourly/data/"):
        export.provider().fetch(OCTOBER, store)


@pytest.mark.parametrize(
    "root", ["cur/cur", "data/data", "cur/data/cur", "cur/data/BILLING_PERIOD=x/cur"]
)
def test_folders_of_the_exports_own_name(root: str, bucket: Bucket, store: RawStore) -> None:
    place = f"{root}/data/BILLING_PERIOD=2026-10/x.csv"
    name = root.rpartition("/")[2]
    manifest = {"executionId": "r", "dataFiles": [f"s3://{bucket.name}/{place}"]}
    bucket.put(place, FOCUS)
    bucket.put(
        f"{root}/metadata/BILLING_PERIOD=2026-10/{name}-Manifest.json",
        json.dumps(manifest).encode(),
    )
    provider = Aws("aws-main", AwsSettings(export=f"s3://{bucket.name}/{root}"), Path())
    _, kept = provider.fetch(OCTOBER, store).objects
    assert kept.name == f"s3://{bucket.name}/{place}"


def test_export_in_a_folder(tmp_path: Path, store: RawStore) -> None:
    root = tmp_path / "exports" / "focus-hourly"
    (root / "data" / "BILLING_PERIOD=2026-10").mkdir(parents=True)
    (root / "metadata" / "BILLING_PERIOD=2026-10").mkdir(parents=True)
    (root / "data" / "BILLING_PERIOD=2026-10" / "f.csv").write_bytes(FOCUS)
    uri = "s3://acme-billing/billing/focus-hourly/data/BILLING_PERIOD=2026-10/f.csv"
    manifest = root / "metadata" / "BILLING_PERIOD=2026-10" / "focus-hourly-Manifest.json"
    manifest.write_text(json.dumps({"dataFiles": [uri], "executionId": "r"}))
    provider = Aws("aws-main", AwsSettings(export="exports/focus-hourly"), tmp_path)
    delivery = provider.fetch(OCTOBER, store)
    assert focus_rows(provider, delivery, store).height == 8
    assert str(tmp_path) not in str([kept.receipt for kept in delivery.objects])


def test_missing_folder(tmp_path: Path, store: RawStore) -> None:
    with pytest.raises(Terminal, match=r"holds no metadata/BILLING_PERIOD=…"):
        Aws("aws-main", AwsSettings(export="nowhere"), tmp_path).fetch(OCTOBER, store)


def test_gpu_facts_of_focus_rows(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS})
    provider = export.provider()
    found = focus_rows(provider, provider.fetch(OCTOBER, store), store)
    gpu = found.select(
        "SkuMeter", "x_GpuModel", "x_GpuCount", "x_GpuMemoryGiB", "x_GpuHours"
    ).rows()
    assert found["x_GpuFraction"].to_list() == [1, 1, None, None, None, 1, None, None]
    assert found["x_InstanceType"].to_list() == [
        "p5.48xlarge",
        "g5.12xlarge",
        "t3.xlarge",
        "g99.unheardof",
        None,
        "ml.g5.2xlarge",
        None,
        None,
    ]
    assert gpu == [
        ("EUW2-BoxUsage:p5.48xlarge", "H100", 8, Decimal(80), Decimal(8)),
        ("SpotUsage:g5.12xlarge", "A10G", 4, Decimal(24), Decimal("1.2")),
        ("EUW2-BoxUsage:t3.xlarge", None, None, None, None),
        ("BoxUsage:g99.unheardof", None, None, None, None),
        ("EBSOptimized:p3.8xlarge", None, None, None, None),
        ("USE1-Train:ml.g5.2xlarge", "A10G", 1, Decimal(24), Decimal("1.5")),
        ("EUW2-DataTransfer-Out-Bytes", None, None, None, None),
        (None, None, None, None, None),
    ]


def test_a_share_of_a_gpu_counts_as_a_share(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS.replace(b"p5.48xlarge", b"g6f.2xlarge")})
    provider = export.provider()
    first = focus_rows(provider, provider.fetch(OCTOBER, store), store).row(0, named=True)
    assert (first["x_GpuModel"], first["x_GpuCount"]) == ("L4", 1)
    assert (first["x_GpuFraction"], first["x_GpuHours"]) == (Decimal("0.25"), Decimal("0.25"))


@pytest.mark.parametrize(
    ("column", "service"),
    [("x_ServiceCode", "ElasticMapReduce"), ("ServiceName", "Amazon Elastic MapReduce")],
)
def test_surcharge_of_emr_on_an_instance_has_no_gpu_hours(
    export: Export, store: RawStore, column: str, service: str
) -> None:
    bill = pl.read_csv(io.BytesIO(FOCUS), infer_schema=False)
    named = bill.with_columns(pl.Series(column, [service, "AmazonEC2", *[None] * 6]))
    export.deliver({"focus-hourly-00001.csv": named.write_csv().encode()})
    provider = export.provider()
    found = focus_rows(provider, provider.fetch(OCTOBER, store), store)
    assert found["x_GpuModel"].to_list()[:2] == ["H100", "A10G"]
    assert found["x_GpuHours"].to_list()[:2] == [None, Decimal("1.2")]
    assert found["x_GpuHours"][5] == Decimal("1.5")


def test_gpu_types_that_are_not_in_the_table_are_reported(
    export: Export, store: RawStore, tmp_path: Path
) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS.replace(b"SpotUsage:g5", b"BoxUsage:p9")})
    provider = export.provider()
    delivery = provider.fetch(OCTOBER, store)
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    ingested = charges.write(provider.charges(delivery, store.path), delivery, warehouse)
    said = [str(issue) for issue in ingested.issues if "catalog" in issue.message]
    advice = "its GPU facts are unknown; update this program, or report the type (1 row)"
    assert [text.partition(": ")[2] for text in said] == [
        f"x_InstanceType: g99.unheardof is not in the GPU catalog, so {advice}",
        f"x_InstanceType: p9.12xlarge is not in the GPU catalog, so {advice}",
    ]
    assert ingested.quarantined_rows == 0


def test_a_region_without_a_name_gets_the_one_aws_gives_it(export: Export, store: RawStore) -> None:
    bill = pl.read_csv(io.BytesIO(FOCUS), infer_schema=False)
    named = bill.with_columns(
        pl.Series("RegionId", ["us-west-2"] * 3 + ["mars-1"] * 2 + [None] * 3),
        pl.Series("RegionName", ["Here", None, "", None, "Mars", None, "", "All"]),
    )
    export.deliver({"focus-hourly-00001.csv": named.write_csv().encode()})
    provider = export.provider()
    found = focus_rows(provider, provider.fetch(OCTOBER, store), store)
    oregon = "US West (Oregon)"
    names = [name or None for name in found["RegionName"]]
    assert names == ["Here", oregon, oregon, None, "Mars", None, None, "All"]


def test_meter_that_does_not_count_hours(export: Export, store: RawStore) -> None:
    export.deliver({"focus-hourly-00001.csv": FOCUS.replace(b",Hrs,", b",Seconds,")})
    provider = export.provider()
    found = focus_rows(provider, provider.fetch(OCTOBER, store), store)
    assert found["x_GpuModel"][0] == "H100"
    assert found["x_GpuHours"].null_count() == found.height


def test_focus_parquet_with_doubles_and_map_tags(export: Export, store: RawStore) -> None:
    frame = pl.read_csv(io.BytesIO(FOCUS), infer_schema=False)
    table = frame.with_columns(pl.col("BilledCost").cast(pl.Float64)).to_arrow()
    pairs = [list(json.loads(text or "{}").items()) for text in frame["Tags"].to_list()]
    maps = pa.array([each or None for each in pairs], pa.map_(pa.string(), pa.string()))
    table = table.set_column(table.schema.get_field_index("Tags"), "Tags", maps)
    discounts = pa.array([[("edp", 0.25)], *[None] * 7], pa.map_(pa.string(), pa.float64()))
    table = table.append_column("x_Discounts", discounts)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    export.deliver({"focus-hourly-00001.snappy.parquet": sink.getvalue()})
    provider = export.provider()
    found = focus_rows(provider, provider.fetch(OCTOBER, store), store)
    assert found["BilledCost"].sum() == Decimal("74.5288")
    assert found["Tags"].to_list()[:3] == ['{"team":"vision"}', '{"team":"nlp"}', None]
    own = json.loads(found["x_SourceColumns"][0])
    assert json.loads(own["x_Discounts"]) == {"edp": 0.25}


def test_file_of_neither_kind(export: Export, store: RawStore) -> None:
    export.deliver({"x.csv": b"a,b\n1,2\n"})
    provider = export.provider()
    delivery = provider.fetch(OCTOBER, store)
    with pytest.raises(DataError, match="neither the columns of FOCUS nor those of CUR"):
        focus_rows(provider, delivery, store)


@pytest.mark.parametrize(
    "settings", [{}, {"export": "s3://bucket"}, {"export": "gs://b/x"}, {"export": "x", "key": "y"}]
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AwsSettings.model_validate(settings)


def test_documented_export_is_accepted_by_the_client() -> None:
    """The page's `create-export` example passes the AWS client's own check of its parameters."""
    page = (Path(__file__).parents[2] / "docs" / "providers" / "aws.md").read_text()
    blocks = [json.loads(block.split("```")[0]) for block in page.split("```json\n")[1:]]
    (export,) = [block for block in blocks if "DataQuery" in block]
    client = boto3.client("bcm-data-exports", region_name="us-east-1")
    shape = client.meta.service_model.operation_model("CreateExport").input_shape
    report = ParamValidator().validate({"Export": export}, shape)
    assert report.generate_report() == ""
    enums = shape.members["Export"].members["DestinationConfigurations"].members["S3Destination"]
    outputs = enums.members["S3OutputConfigurations"].members
    chosen = export["DestinationConfigurations"]["S3Destination"]["S3OutputConfigurations"]
    assert all(value in outputs[name].enum for name, value in chosen.items())
