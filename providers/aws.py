"""AWS Data Exports in S3: FOCUS 1.0 and 1.2, and the Cost and Usage Report 2.0.

AWS writes a month's files first and its manifest last, so the manifest alone says what there is;
data folders are never listed. Both delivery modes have a manifest at the month's metadata folder:
it names the files that count, in place or in the newest run's folder.

    <export>/metadata/BILLING_PERIOD=2026-10/<name>-Manifest.json
    <export>/data/BILLING_PERIOD=2026-10/[<run>/]<name>-00001.snappy.parquet
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl
from pydantic import field_validator

from finops import gpus, money, regions, tabular
from finops.errors import DataError, Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from providers import aws_cur
from providers.aws_s3 import BucketExport, FolderExport, Gone, Stored
from providers.base import Bill, Settings

_ATTEMPTS = 3
_PERIOD_FOLDER = re.compile(r"billing_period=(\d{4}-\d{2})", re.IGNORECASE)
_MANIFEST, _DATA = "manifest", "data"
_METERS = ("SkuMeter", "x_UsageType")
# Hours in which instances ran, or stood reserved for nobody else. Other meters with an instance
# type in their name (EBSOptimized, Reservation, HeavyUsage) charge again for the same hours.
_INSTANCE_HOURS = (
    r"(?:^|-)(?:BoxUsage|SpotUsage|ReservedUsage|DedicatedUsage|UnusedBox|UnusedDed)"
    r":([a-z0-9-]+\.[a-z0-9-]+)$"
)
_SAGEMAKER_HOURS = (
    r"(?:^|-)(?:Train|Host|Notebk|Tsform|Processing|Studio)[A-Za-z]*:(ml\.[a-z0-9.-]+)$"
)
_SAGEMAKER = "ml."
_HOURS = ("hrs", "hours", "hour")


class AwsSettings(Settings):
    """`[sources.NAME]` of an AWS data export.

    `export` is `s3://bucket/prefix/export-name`, or a folder laid out the same. Credentials come
    from boto3's chain, of `profile` if given; `role_arn` is assumed with them if given.
    """

    export: str
    profile: str | None = None
    region: str | None = None
    role_arn: str | None = None

    @field_validator("export")
    @classmethod
    def _names_an_export(cls, value: str) -> str:
        place = value.rstrip("/")
        bucket, _, root = place.removeprefix("s3://").partition("/")
        if place.startswith("s3://") and not (bucket and root):
            raise ValueError(f"{value!r} names no export; write s3://bucket/prefix/export-name")
        if "://" in place and not place.startswith("s3://"):
            raise ValueError(f"{value!r} is neither s3://bucket/prefix/export-name nor a folder")
        return place


class _Export(Protocol):
    """Where an export is kept. Paths are relative to it; a missing one raises `Gone`."""

    url: str

    def folders(self, path: str) -> list[str]:
        """List the names of the folders directly in `path`."""
        ...

    def read(self, path: str) -> tuple[bytes, Stored]: ...

    def download(self, path: str, to: Path) -> Stored: ...


@dataclass(frozen=True, slots=True)
class _Manifest:
    content: bytes
    stored: Stored
    execution: str
    files: tuple[str, ...]


class Aws:
    """The bill of one AWS organization or account, as its data export delivers it."""

    NAME: ClassVar[str] = "aws"
    NEEDS: ClassVar[str] = "an AWS data export (FOCUS 1.2 or CUR 2.0) to S3, and read access to it"
    LOOKBACK_DAYS: ClassVar[int] = 15
    settings_model: ClassVar[type[Settings]] = AwsSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, AwsSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._base = base
        self._name = settings.export.rpartition("/")[2]

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Keep the manifest and the files of every month the window touches.

        A month without manifest is not delivered yet and not in scope. Raises `Terminal` for a
        missing export, permission or credentials and for an unreadable manifest, `Transient` for
        a busy S3 and for an export that AWS keeps rewriting while it is read.
        """
        export = self._export()
        found = self._period_folders(export)
        delivered = {period: found[period] for period in window.periods() if period in found}
        objects = {
            period: self._period(export, folder, store) for period, folder in delivered.items()
        }
        scope = Scope(periods=frozenset(period for period in objects if objects[period]))
        return Delivery(
            self.NAME,
            self._source,
            scope,
            tuple(kept for each in objects.values() for kept in each),
        )

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read the kept files as FOCUS rows with GPU facts; CUR 2.0 is mapped to FOCUS first.

        `x_InstanceType` is read from the meter's name, `x_GpuHours` is its hours times GPUs, and
        a region that AWS left without a name gets the one of its id.
        Raises `DataError` for a file that is neither.
        """
        for kept in delivery.objects:
            if kept.receipt.get("kind") != _DATA:
                continue
            rows = tabular.scan(path(kept), kept.name)
            names = rows.collect_schema().names()
            rows = aws_cur.to_focus(rows, kept.name) if aws_cur.is_cur(names) else rows
            yield Bill(kept, _with_regions(_with_gpus(_with_plain_maps(rows), kept.name)))

    def _export(self) -> _Export:
        if self._settings.export.startswith("s3://"):
            settings = self._settings
            return BucketExport(
                settings.export, settings.profile, settings.region, settings.role_arn
            )
        return FolderExport(self._base / self._settings.export)

    def _period_folders(self, export: _Export) -> dict[str, str]:
        """Map the months that have a metadata folder to its name, whichever case AWS used."""
        folders = export.folders("metadata")
        found = {match[1]: name for name in folders if (match := _PERIOD_FOLDER.fullmatch(name))}
        if not found:
            raise Terminal(
                f"sources.{self._source}.export: {export.url} holds no metadata/BILLING_PERIOD=… "
                f"folder, so it is no data export or AWS has not delivered yet (the first takes "
                f"up to a day); write s3://bucket/prefix/export-name as in the export's settings"
            )
        return found

    def _period(self, export: _Export, folder: str, store: RawStore) -> list[RawObject]:
        """Keep one month whole: files of one run, and the manifest that names them."""
        place = f"metadata/{folder}/{self._name}-Manifest.json"
        for _ in range(_ATTEMPTS):
            try:
                before = self._manifest(export, place)
            except Gone:
                return []
            try:
                kept = self._files(export, before, store)
                after = self._manifest(export, place)
            except Gone:
                continue
            if after.content == before.content:
                receipt = _receipt(_MANIFEST, before.stored, before.execution)
                return [store.keep(before.content, before.stored.uri, receipt), *kept]
        raise Transient(
            f"{export.url}/{place}: AWS rewrote the export while it was read, {_ATTEMPTS} times; "
            f"nothing of this month was taken, try again in a quarter of an hour"
        )

    def _manifest(self, export: _Export, place: str) -> _Manifest:
        content, stored = export.read(place)
        document = _json_object(content)
        uris = document.get("dataFiles")
        if not (isinstance(uris, list) and uris and all(isinstance(uri, str) for uri in uris)):
            raise Terminal(
                f"{stored.uri}: lists no dataFiles, so it is no manifest of a data export; if this "
                f"is a legacy Cost and Usage Report, create a CUR 2.0 or FOCUS export instead"
            )
        files = tuple(self._relative(uri, stored.uri) for uri in dict.fromkeys(uris))
        return _Manifest(content, stored, str(document.get("executionId", "")), files)

    def _relative(self, uri: str, manifest: str) -> str:
        """Find a file by its path below the export, so that a copied export works too."""
        _, marker, path = uri.partition(f"/{self._name}/data/")
        if not marker or ".." in path.split("/"):
            raise Terminal(
                f"{manifest}: names {uri!r}, which is not below /{self._name}/data/; point "
                f"sources.{self._source}.export at the export this manifest belongs to"
            )
        return f"data/{path}"

    def _files(self, export: _Export, manifest: _Manifest, store: RawStore) -> list[RawObject]:
        with tempfile.TemporaryDirectory(prefix="finops-aws-") as folder:
            target = Path(folder) / "download"
            kept = []
            for path in manifest.files:
                stored = export.download(path, target)
                receipt = _receipt(_DATA, stored, manifest.execution)
                kept.append(store.keep(target, stored.uri, receipt))
            return kept


def _json_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object; anything else reads as an empty one."""
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _receipt(kind: str, stored: Stored, execution: str) -> dict[str, str]:
    facts: Mapping[str, str] = {
        "kind": kind,
        "endpoint": stored.uri,
        "etag": stored.etag,
        "fetched_at": stored.modified_at,
        "executionId": execution,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _with_plain_maps(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Write tags and MAP columns as JSON objects, tags that users made without AWS's prefix."""
    return rows.with_columns(
        aws_cur.json_object(pl.col(name), dtype).alias(name)
        for name, dtype in rows.collect_schema().items()
        if isinstance(dtype, pl.Map) or (name == "Tags" and dtype == pl.String)
    )


def _with_gpus(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Add the GPU facts of usage rows; a file that is no FOCUS bill is refused."""
    names = rows.collect_schema().names()
    if "BilledCost" not in names or "ChargeCategory" not in names:
        raise DataError(
            f"{name}: has neither the columns of FOCUS nor those of CUR 2.0; create the export "
            f"from table FOCUS_1_2_AWS or COST_AND_USAGE_REPORT"
        )
    meters = [pl.col(column) for column in _METERS if column in names]
    if not meters or not {"ConsumedQuantity", "ConsumedUnit"} <= set(names):
        return rows
    meter = pl.when(pl.col("ChargeCategory") == "Usage").then(pl.coalesce(meters))
    instance_type = pl.coalesce(
        meter.str.extract(_INSTANCE_HOURS), meter.str.extract(_SAGEMAKER_HOURS)
    )
    is_hours = pl.col("ConsumedUnit").str.to_lowercase().is_in(_HOURS)
    quantity = pl.col("ConsumedQuantity").cast(pl.String).cast(money.DTYPE, strict=False)
    hours = pl.when(is_hours).then(quantity)
    # A step of its own: else the type would be read from the meter anew for every GPU fact.
    typed = rows.with_columns(instance_type.alias("x_InstanceType"))
    listed = pl.col("x_InstanceType").str.strip_prefix(_SAGEMAKER)
    return typed.with_columns(gpus.columns("aws", listed, hours))


def _with_regions(rows: pl.LazyFrame) -> pl.LazyFrame:
    names = rows.collect_schema().names()
    if "RegionId" not in names:
        return rows
    given = pl.col("RegionName") if "RegionName" in names else None
    return rows.with_columns(regions.column("aws", pl.col("RegionId"), given))
