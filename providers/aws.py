"""AWS's bill in S3: data exports (FOCUS 1.0 and 1.2, CUR 2.0) and the legacy report (CUR).

AWS writes a month's files first and its manifest last, so the manifest alone says what there is;
data folders are never listed. In every delivery mode the month's own manifest names the files that
count, in place or in the newest run's folder. Layouts are in `providers.aws_layout`.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl
from pydantic import Field, field_validator

from finops import gpus, money, regions, tabular
from finops.distinct import once_each
from finops.errors import DataError, Issue, ProviderError, Severity, Terminal, Transient
from finops.partition import Window, period_of
from finops.purse import Purse
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.reconciliation import Stated
from providers import (
    aws_cost_explorer,
    aws_cur,
    aws_cur_legacy,
    aws_layout,
    aws_resources,
    billing_months,
)
from providers.aws_access import Access
from providers.aws_cost_explorer import AllowanceSpent, CostExplorer, MonthTotal
from providers.aws_layout import Layout
from providers.aws_s3 import BucketExport, FolderExport, Gone, Stored
from providers.base import Bill, Probe, Settings, without_user
from providers.http import parse_json

_ATTEMPTS = 3
_CENT = Decimal("0.01")  # doubles add up to less than that; AWS shows no smaller amount
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
# EMR charges a surcharge for each hour of an instance, on a meter that is named as EC2's own.
_SERVICES = ("x_ServiceCode", "ServiceName")
_SURCHARGES = ("ElasticMapReduce", "Amazon EMR", "Amazon Elastic MapReduce")
_HOURS = ("hrs", "hours", "hour")


class CostExplorerSettings(Settings):
    """`cost_explorer = { … }`: hold each month against AWS's own total.

    `daily_budget` is what its requests may cost a day, in US dollars; `tolerance_percent` how far
    an export may differ from it while a month is open and one of them is ahead of the other.
    """

    daily_budget: Decimal = Field(default=Decimal("0.10"), ge=0)
    tolerance_percent: Decimal = Field(default=Decimal(2), ge=0)


class AwsSettings(Settings):
    """`[sources.NAME]` of an AWS data export.

    `export` is `s3://bucket/prefix/export-name`, or a folder laid out the same. Credentials come
    from boto3's chain, of `profile` if given; `role_arn` is assumed with them if given.
    """

    export: str
    profile: str | None = None
    region: str | None = None
    role_arn: str | None = None
    cost_explorer: CostExplorerSettings | None = None

    @field_validator("export")
    @classmethod
    def _names_an_export(cls, value: str) -> str:
        place = without_user(value.rstrip("/"))
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
    NEEDS: ClassVar[str] = "an AWS data export to S3, and read access to it"
    LOOKBACK_DAYS: ClassVar[int] = 15
    settings_model: ClassVar[type[Settings]] = AwsSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, AwsSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._base = base
        self._name = settings.export.rpartition("/")[2]

    def probes(self) -> Mapping[str, Probe]:
        """Look for the export, its newest manifest and the first file that the manifest names.

        With `cost_explorer`, AWS is asked for this month's total too: nothing but the request
        itself tells whether it is allowed, so it costs what its name says, beside the day's budget.
        """
        found: dict[str, Probe] = {
            f"{self._settings.export} can be listed": lambda: self._layout(self._export()),
            "its newest manifest can be read": self._newest_manifest,
            "a file of it can be downloaded": self._download_one,
        }
        budget = self._settings.cost_explorer and self._settings.cost_explorer.daily_budget
        price = aws_cost_explorer.PRICE_OF_A_REQUEST
        if budget and budget >= price:
            found[f"Cost Explorer tells totals (for {price} USD)"] = self._ask_cost_explorer
        return found

    def _newest_manifest(self) -> _Manifest:
        export = self._export()
        layout = self._layout(export)
        month = max(layout.months)
        try:
            return self._manifest(export, layout, month)
        except Gone:
            raise Terminal(
                f"{export.url}/{layout.manifest(month)}: there is no manifest; AWS writes it "
                f"last, so wait for the delivery to end, or check the export's name"
            ) from None

    def _download_one(self) -> None:
        export, manifest = self._export(), self._newest_manifest()
        with tempfile.TemporaryDirectory(prefix="finops-aws-") as folder:
            try:
                export.download(manifest.files[0], Path(folder) / "download")
            except Gone:
                raise Transient(
                    f"{export.url}/{manifest.files[0]}: is named by the manifest but gone; AWS is "
                    f"rewriting the export, try again in a quarter of an hour"
                ) from None

    def _ask_cost_explorer(self) -> None:
        today = datetime.now(UTC).date()
        month = aws_cost_explorer.asked_months(Window.of_period(period_of(today)), today)
        assert month is not None, "this month has begun"
        CostExplorer(self._access(), lambda: True).first_page(month)

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Keep the manifest and the files of every month the window touches.

        A month without manifest is not delivered yet and not in scope. Raises `Terminal` for a
        missing export, permission or credentials and for an unreadable manifest, `Transient` for
        a busy S3 and for an export that AWS keeps rewriting while it is read.
        """
        export = self._export()
        layout = self._layout(export)
        delivered = [month for month in window.periods() if month in layout.months]
        objects = {month: self._month(export, layout, month, store) for month in delivered}
        objects = {period: kept for period, kept in objects.items() if kept}
        stated, issues = self._stated(window, objects, store)
        return Delivery(
            self.NAME,
            self._source,
            Scope(periods=frozenset(objects)),
            tuple(kept for each in objects.values() for kept in each),
            stated=stated,
            issues=issues,
        )

    def _stated(
        self, window: Window, objects: Mapping[str, Sequence[RawObject]], store: RawStore
    ) -> tuple[tuple[Stated, ...], tuple[Issue, ...]]:
        """Ask Cost Explorer for the months' totals; without them the export still counts."""
        settings, today = self._settings.cost_explorer, datetime.now(UTC).date()
        months = aws_cost_explorer.asked_months(window, today)
        if settings is None or months is None:
            return (), ()
        allowance = int(settings.daily_budget / aws_cost_explorer.PRICE_OF_A_REQUEST)
        purse = Purse(store.warehouse, f"cost-explorer/{self._source}", today, allowance)
        try:
            replies = CostExplorer(self._access(), purse.take).replies(months)
            found = list(aws_cost_explorer.totals(replies))
        except AllowanceSpent:
            said = f"the day's {settings.daily_budget} USD for Cost Explorer are spent"
            return (), (Issue(self._source, f"{said}; not reconciled", Severity.INFO),)
        except ProviderError as error:
            return (), (Issue(self._source, f"not reconciled: {error}", Severity.WARNING),)
        store.keep(aws_cost_explorer.verbatim(replies), f"Cost Explorer {months}")
        return tuple(_month_stated(total, objects, settings) for total in found), ()

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read the kept files as FOCUS rows with GPU facts; CUR 2.0 is mapped to FOCUS first.

        `x_InstanceType` is read from the meter's name, `x_GpuHours` is its hours times GPUs, and
        a region that AWS left without a name gets the one of its id, and a resource its type.
        Raises `DataError` for a file that is neither.
        """
        for kept in delivery.objects:
            if kept.receipt.get("kind") != _DATA:
                continue
            tables = tabular.tables(path(kept), kept.name)
            rows = self.as_focus(tabular.joined(tables), kept.name)
            bill = Bill(kept, rows, parts=tabular.parts(tables))
            month = kept.receipt.get("month")
            yield billing_months.placed(bill, [month]) if month else bill

    @staticmethod
    def as_focus(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
        """Bring a delivered table, of whichever kind, to FOCUS columns with GPU facts.

        `name` is what messages call it; raises `DataError` for a table of no known kind.
        """
        if aws_cur_legacy.is_legacy(rows.collect_schema().names()):
            rows = aws_cur_legacy.to_cur(rows)
        if aws_cur.is_cur(rows.collect_schema().names()):
            rows = aws_cur.to_focus(rows, name)
        return aws_resources.with_types(_with_regions(_with_gpus(_with_plain_maps(rows), name)))

    def _access(self) -> Access:
        settings = self._settings
        return Access(settings.profile, settings.region, settings.role_arn)

    def _export(self) -> _Export:
        if self._settings.export.startswith("s3://"):
            return BucketExport(self._settings.export, self._access())
        return FolderExport(self._base / self._settings.export)

    def _layout(self, export: _Export) -> Layout:
        return aws_layout.find(export, self._name, self._source)

    def _month(
        self, export: _Export, layout: Layout, month: str, store: RawStore
    ) -> list[RawObject]:
        """Keep one month whole: files of one run, and the manifest that names them."""
        for _ in range(_ATTEMPTS):
            try:
                before = self._manifest(export, layout, month)
            except Gone:
                return []
            try:
                kept = self._files(export, before, month, store)
                after = self._manifest(export, layout, month)
            except Gone:
                continue
            if after.content == before.content:
                receipt = _receipt(_MANIFEST, before.stored, before.execution)
                return [store.keep(before.content, before.stored.uri, receipt), *kept]
        raise Transient(
            f"{export.url}/{layout.manifest(month)}: AWS rewrote the export while it was read, {_ATTEMPTS} times; "
            f"nothing of this month was taken, try again in a quarter of an hour"
        )

    def _manifest(self, export: _Export, layout: Layout, month: str) -> _Manifest:
        content, stored = export.read(layout.manifest(month))
        document = _json_object(content, stored.uri)
        files = layout.files(document, stored.uri)
        return _Manifest(content, stored, layout.run(document), files)

    def _files(
        self, export: _Export, manifest: _Manifest, month: str, store: RawStore
    ) -> list[RawObject]:
        with tempfile.TemporaryDirectory(prefix="finops-aws-") as folder:
            target = Path(folder) / "download"
            kept = []
            for path in manifest.files:
                stored = export.download(path, target)
                receipt = {**_receipt(_DATA, stored, manifest.execution), "month": month}
                kept.append(store.keep(target, stored.uri, receipt))
            return kept


def _month_stated(
    total: MonthTotal, objects: Mapping[str, Sequence[RawObject]], settings: CostExplorerSettings
) -> Stated:
    largest = max(map(abs, total.amounts.values()), default=Decimal(0))
    share = settings.tolerance_percent if total.is_estimated else Decimal(0)
    return Stated(
        what=f"Cost Explorer, {total.period}{' so far' if total.is_estimated else ''}",
        raw_ids=frozenset(kept.sha256 for kept in objects.get(total.period, ())),
        billed=total.amounts,
        tolerance=max(_CENT, largest * share / 100),
    )


def _json_object(content: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object; JSON of another kind reads as an empty one, half of it is transient."""
    document = parse_json(content, name)
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
    instance_type = meter.map_batches(_instance_types, pl.String(), is_elementwise=True)
    is_hours = pl.col("ConsumedUnit").str.to_lowercase().is_in(_HOURS)
    quantity = pl.col("ConsumedQuantity").cast(pl.String).cast(money.DTYPE, strict=False)
    services = [pl.col(column).is_in(_SURCHARGES) for column in _SERVICES if column in names]
    is_surcharge = pl.any_horizontal(*services, pl.lit(value=False)).fill_null(value=False)
    hours = pl.when(is_hours & is_surcharge.not_()).then(quantity)
    # A step of its own: else the type would be read from the meter anew for every GPU fact.
    typed = rows.with_columns(instance_type.alias("x_InstanceType"))
    listed = pl.col("x_InstanceType").str.strip_prefix(_SAGEMAKER)
    return typed.with_columns(gpus.columns("aws", listed, hours))


def _instance_types(meters: pl.Series) -> pl.Series:
    """Read the instance type from the name of a meter that counts its hours."""

    def read(names: pl.Series) -> pl.Series:
        found = [names.str.extract(_INSTANCE_HOURS), names.str.extract(_SAGEMAKER_HOURS)]
        return pl.select(pl.coalesce(found)).to_series()

    return once_each(meters, read)


def _with_regions(rows: pl.LazyFrame) -> pl.LazyFrame:
    names = rows.collect_schema().names()
    if "RegionId" not in names:
        return rows
    given = pl.col("RegionName") if "RegionName" in names else None
    return rows.with_columns(regions.column("aws", pl.col("RegionId"), given))
