"""The legacy report: the same bill as CUR 2.0, under its older names and in its older folders."""

import csv
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from finops import charges, tabular, whole_rows
from finops.errors import Terminal
from finops.normalize import ROW, canonical_json
from finops.raw import RawStore
from providers.aws import Aws, AwsSettings
from providers.aws_cur_legacy import cur_name
from tests.stubs.aws_export import CUR, EXPORT, OCTOBER, Bucket, Export, focus_rows

HALVES = ("identity", "bill", "line_item", "pricing", "product", "reservation", "savings_plan")
MONTH = "20261001-20261101"


def camel(words: str, *, first_is_lower: bool = False) -> str:
    joined = "".join(word.capitalize() for word in words.split("_"))
    return joined[:1].lower() + joined[1:] if first_is_lower else joined


def legacy_name(name: str) -> str:
    group = next(group for group in HALVES if name.startswith(f"{group}_"))
    rest = name.removeprefix(f"{group}_")
    is_lower = group in {"pricing", "product"}
    return f"{camel(group, first_is_lower=True)}/{camel(rest, first_is_lower=is_lower)}"


def legacy() -> bytes:
    """Write the CUR 2.0 fixture as AWS wrote the same lines before."""
    rows = []
    for line in csv.DictReader(io.StringIO(CUR.decode())):
        product = json.loads(line.pop("product") or "{}")
        tags = json.loads(line.pop("resource_tags") or "{}")
        named = {legacy_name(name): text for name, text in line.items()}
        named["product/ProductName"] = product.get("product_name", "")
        named |= {f"resourceTags/{tag.replace('_', ':', 1)}": text for tag, text in tags.items()}
        rows.append(named)
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return gzip.compress(out.getvalue().encode())


def deliver(export: Export, assembly: str = "") -> Aws:
    place = "/".join(filter(None, (MONTH, assembly, "focus-hourly-00001.csv.gz")))
    manifest = {"assemblyId": assembly, "reportKeys": [f"{EXPORT}/{place}"], "columns": []}
    export.bucket.put(f"{EXPORT}/{place}", legacy())
    export.bucket.put(f"{EXPORT}/{MONTH}/focus-hourly-Manifest.json", json.dumps(manifest).encode())
    return export.provider()


def comparable(rows: pl.DataFrame) -> pl.DataFrame:
    # AWS's own tag is spelled `aws:created_by` in the one and `aws_created_by` in the other.
    tags = pl.col("Tags").map_elements(canonical_json, pl.String)
    return rows.with_columns(tags.str.replace("aws_", "aws:", literal=True))


@pytest.mark.parametrize("assembly", ["", "4a1c-run"])
def test_the_same_bill_gives_the_same_rows(assembly: str, export: Export, store: RawStore) -> None:
    provider = deliver(export, assembly)
    delivery = provider.fetch(OCTOBER, store)
    assert delivery.scope.periods == {"2026-10"}
    assert delivery.objects[1].receipt.get("executionId", "") == assembly
    found = focus_rows(provider, delivery, store)
    export.deliver({"cur-00001.csv": CUR})
    newer = export.provider()
    assert_frame_equal(
        comparable(found), comparable(focus_rows(newer, newer.fetch(OCTOBER, store), store))
    )


def test_a_report_without_the_month_leaves_it_alone(export: Export, store: RawStore) -> None:
    export.bucket.put(f"{EXPORT}/20260901-20261001/focus-hourly-Manifest.json", b"{}")
    assert export.provider().fetch(OCTOBER, store).scope.periods == frozenset()


def test_a_manifest_that_points_elsewhere(export: Export, store: RawStore) -> None:
    document = json.dumps({"reportKeys": ["billing/other/20261001-20261101/x.csv"]}).encode()
    export.bucket.put(f"{EXPORT}/{MONTH}/focus-hourly-Manifest.json", document)
    with pytest.raises(Terminal, match="not below /focus-hourly/"):
        export.provider().fetch(OCTOBER, store)


@pytest.mark.parametrize(
    ("root", "place"),
    [
        ("cur", f"{MONTH}/cur-00001.csv.gz"),
        ("cur/cur", f"{MONTH}/cur-00001.csv.gz"),
        ("cur/cur/cur", f"{MONTH}/4a1c-run/cur-00001.csv.gz"),
        ("billing/cur", "cur/year=2026/month=10/cur-00001.csv.gz"),
        ("cur/cur", "cur/year=2026/month=10/cur-00001.csv.gz"),
    ],
)
def test_folders_of_the_reports_own_name(
    root: str, place: str, bucket: Bucket, store: RawStore
) -> None:
    manifest = {"assemblyId": "", "reportKeys": [f"{root}/{place}"], "columns": []}
    bucket.put(f"{root}/{place}", legacy())
    bucket.put(f"{root}/{MONTH}/cur-Manifest.json", json.dumps(manifest).encode())
    provider = Aws("aws-old", AwsSettings(export=f"s3://{bucket.name}/{root}"), Path())
    _, kept = provider.fetch(OCTOBER, store).objects
    assert kept.name == f"s3://{bucket.name}/{root}/{place}"


@pytest.mark.parametrize(
    ("legacy_column", "cur_column"),
    [
        ("lineItem/UnblendedCost", "line_item_unblended_cost"),
        ("savingsPlan/SavingsPlanARN", "savings_plan_savings_plan_a_r_n"),
        ("pricing/publicOnDemandCost", "pricing_public_on_demand_cost"),
        ("product/regionCode", "product_region_code"),
        ("bill/PayerAccountId", "bill_payer_account_id"),
    ],
)
def test_names(legacy_column: str, cur_column: str) -> None:
    assert cur_name(legacy_column) == cur_column


def test_a_report_read_in_parts_gives_the_same_rows_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_rows, "_PART_BYTES", 5000)
    header, *lines = gzip.decompress(legacy()).splitlines(keepends=True)
    path = tmp_path / "report.csv"
    path.write_bytes(header + b"".join(lines * 20))
    (table,) = tabular.tables(path, "report")
    rows = Aws.as_focus(table.rows, "report")
    at_once = pl.concat(charges.stream(rows, "report"))
    batches = list(charges.stream(rows, "report", batch_rows=100, parts=table.parts))
    assert at_once.get_column(ROW).is_sorted() is False, "some commitment was not used"
    assert {len(batch) for batch in batches[:-1]} == {100}
    assert_frame_equal(pl.concat(batches), at_once)
