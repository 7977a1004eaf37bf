"""Azure: FOCUS exports of Cost Management, in Blob storage or copied to a folder.

The export says what was charged. Cost Management's Query, when its scope is configured, only says
what the months cost in all, to hold the export against.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from finops import credentials, tabular
from finops.errors import FinopsError, Issue, Severity, Terminal, Transient
from finops.partition import Window
from finops.purse import Purse
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.reconciliation import Stated
from providers import azure_focus, azure_runs, billing_months
from providers.azure_runs import Gone, Part, Run, Stored
from providers.base import Address, Bill, Probe, Settings, without_user

_ATTEMPTS = 3
_MANIFEST, _DATA, _QUERY = "manifest", "data", "query"
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
_IDENTITY_ADVICE = "or remove credential_env to read it as the machine's own identity"
_DAY = timedelta(days=1)
_MAY_STILL_MOVE = 5 * _DAY
# Azure's totals are doubles, and each of its rows is rounded by itself.
_ROUNDING = Decimal("0.01")


class AzureSettings(Settings):
    """`[sources.NAME]` of a Cost Management export.

    `export` is `https://ACCOUNT.blob.core.windows.net/container/root/export-name`, or a folder
    laid out the same. `credential_env` names the variable that holds a shared access signature or
    a connection string; without it the machine's identity is used. `query_scope` is the scope of
    the export; the months are then held against Query's totals, `queries_per_day` requests a day,
    and may differ by `query_tolerance_percent` while they can still move.
    """

    export: str
    credential_env: str | None = None
    query_scope: str | None = None
    query_url: Address = "https://management.azure.com"
    query_tolerance_percent: Decimal = Field(default=Decimal(2), ge=0)
    queries_per_day: int = Field(default=6, ge=0)

    @field_validator("export")
    @classmethod
    def _names_an_export(cls, value: str) -> str:
        place = value.rstrip("/")
        if "://" not in place:
            return place
        without_user(place)
        scheme, _, rest = place.partition("://")
        if scheme not in {"https", "http"} or "?" in place or rest.count("/") < 2:  # noqa: PLR2004
            raise ValueError(
                f"{value.partition('?')[0]!r} names no export; write "
                f"https://ACCOUNT.blob.core.windows.net/container/root/export-name, without a "
                f"signature, or a folder"
            )
        return _over_tls(place)

    @field_validator("query_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        return _over_tls(value)

    @field_validator("query_scope")
    @classmethod
    def _is_scope(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("/subscriptions/", "/providers/")):
            raise ValueError(f"{value!r} is no scope; write it as /subscriptions/GUID")
        return value


def _over_tls(url: str) -> str:
    if url.startswith("http://") and urlsplit(url).hostname not in _THIS_MACHINE:
        raise ValueError(f"{url!r} would send the credential in the clear; write https://")
    return url


class _Export(Protocol):
    """Where an export is kept. Paths are relative to it; a missing one raises `Gone`."""

    url: str

    def names(self) -> list[str]: ...

    def read(self, path: str) -> tuple[bytes, Stored]: ...

    def download(self, path: str, to: Path) -> Stored: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """The runs of an export that are about some months, and which of them count for each."""

    runs: tuple[Run, ...]
    chosen: Mapping[str, Run]
    has_files: bool


class Azure:
    """The bill of one Azure scope, as its export delivers it."""

    NAME: ClassVar[str] = "azure"
    NEEDS: ClassVar[str] = "an Azure FOCUS export, and read access to its blobs"
    LOOKBACK_DAYS: ClassVar[int] = 10
    settings_model: ClassVar[type[Settings]] = AzureSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, AzureSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._base = base

    def probes(self) -> Mapping[str, Probe]:
        """List the export, read its newest manifest and a file it names; ask Query if configured."""
        found: dict[str, Probe] = {
            f"{self._settings.export} can be listed": self._list,
            "its newest manifest can be read": self._newest,
            "a file of it can be downloaded": self._download_one,
        }
        if self._settings.query_scope:
            found["Cost Management tells totals"] = self._query_one
        return found

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Keep the newest run of every month the window touches: its manifest and its files.

        A month that no run covers is not delivered yet and not in scope. Raises `Terminal` for a
        missing export, permission or credential and for a manifest of another kind, `Transient`
        for a busy service and for an export that Azure keeps replacing while it is read.
        """
        with self._opened() as export:
            found, kept = self._kept(export, window.periods(), store)
        stated, issues = self._held_against_query(found, kept, store)
        partial = azure_runs.partial_months(found.runs, window.periods(), found.chosen)
        return Delivery(
            self.NAME,
            self._source,
            Scope(periods=frozenset(found.chosen)),
            tuple(each for of_run in kept.values() for each in of_run),
            stated=(*_row_counts(found, kept), *stated),
            issues=(*issues, *(self._partial(month) for month in partial)),
        )

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read the kept files as FOCUS rows, with Azure's gaps cured and with GPU facts.

        Raises `DataError` for a file that is no FOCUS export.
        """
        for kept in delivery.objects:
            if kept.receipt.get("kind") != _DATA:
                continue
            rows = azure_focus.cured(tabular.scan(path(kept), kept.name), kept.name)
            months, elsewhere = (_months(kept, fact) for fact in ("months", "taken_elsewhere"))
            yield billing_months.placed(Bill(kept, rows), months, elsewhere)

    def _opened(self) -> AbstractContextManager[_Export]:
        # Azure's clients are slow to import, and a command that only lists providers needs none.
        from providers.azure_blob import BlobExport, FolderExport

        settings = self._settings
        if "://" not in settings.export:
            return FolderExport(self._base / settings.export).opened()
        secret = None
        if settings.credential_env:
            needed_for = f"sources.{self._source}.credential_env"
            secret = credentials.read(settings.credential_env, needed_for, _IDENTITY_ADVICE)
        return BlobExport(settings.export, secret).opened()

    def _found(self, export: _Export, months: Sequence[str]) -> _Found:
        """Read the manifests of `months`; the export is listed again when it shows none of them."""
        names = export.names()
        paths = azure_runs.manifests(names, months)
        if not paths:
            names = export.names()
            paths = azure_runs.manifests(names, months)
        read = [azure_runs.read(*export.read(path), path) for path in paths]
        runs = tuple(run for run in read if run is not None)
        exports = sorted({run.export.lower() for run in runs})
        if len(exports) > 1:
            raise Terminal(
                f"{export.url}: holds several exports ({', '.join(exports)}), which may bill the "
                f"same charges; name one of them in sources.{self._source}.export"
            )
        return _Found(runs, azure_runs.newest(runs, months), bool(names))

    def _kept(
        self, export: _Export, months: Sequence[str], store: RawStore
    ) -> tuple[_Found, dict[str, tuple[RawObject, ...]]]:
        """Keep the chosen runs whole; start again when one of them is replaced meanwhile."""
        gone = ""
        for _ in range(_ATTEMPTS):
            try:
                found = self._found(export, months)
                self._demand_files(found, export)
                chosen = {run.stored.uri: run for run in found.chosen.values()}
                kept = {
                    uri: self._run(export, run, found.chosen, store) for uri, run in chosen.items()
                }
            except Gone as fault:
                gone = str(fault)
            else:
                return found, kept
        raise Transient(
            f"{export.url}: Azure replaced the export while it was read, {_ATTEMPTS} times "
            f"({gone}); nothing was taken, try again in a quarter of an hour"
        )

    def _demand_files(self, found: _Found, export: _Export) -> None:
        if not found.has_files:
            raise Terminal(
                f"sources.{self._source}.export: {export.url} holds nothing, so it is no export or "
                f"Azure has not delivered yet (the first takes up to a day); write the container, "
                f"the folder and the name as in the export's settings"
            )

    def _run(
        self, export: _Export, run: Run, chosen: Mapping[str, Run], store: RawStore
    ) -> tuple[RawObject, ...]:
        elsewhere = ",".join(azure_runs.taken_elsewhere(run, chosen))
        months = ",".join(run.months)
        about = {"runId": run.id, "months": months, "taken_elsewhere": elsewhere}
        manifest = store.keep(run.content, run.stored.uri, _receipt(_MANIFEST, run.stored, about))
        kept = [manifest]
        with tempfile.TemporaryDirectory(prefix="finops-azure-") as folder:
            target = Path(folder) / "download"
            for part in run.parts:
                stored = _downloaded(export, part, target)
                kept.append(store.keep(target, stored.uri, _receipt(_DATA, stored, about)))
        return tuple(kept)

    def _held_against_query(
        self, found: _Found, kept: Mapping[str, tuple[RawObject, ...]], store: RawStore
    ) -> tuple[tuple[Stated, ...], tuple[Issue, ...]]:
        """Ask Query for the months' totals; without them the export still counts."""
        settings = self._settings
        whole = {
            month: run
            for month, run in found.chosen.items()
            if run.first >= Window.of_period(month).start and run.last < Window.of_period(month).end
        }
        if settings.query_scope is None or not whole:
            return (), ()
        from providers import azure_query

        today = datetime.now(UTC).date()
        name = f"azure-query/{self._source}"
        purse = Purse(store.warehouse, name, today, settings.queries_per_day)
        query = azure_query.Query(settings.query_scope, settings.query_url, purse.take)
        try:
            totals = query.totals(_until_today(whole, today))
        except azure_query.AllowanceSpent:
            said = f"the day's {settings.queries_per_day} requests to Cost Management are made"
            return (), (Issue(self._source, f"{said}; not reconciled", Severity.INFO),)
        except FinopsError as error:
            return (), (Issue(self._source, f"not reconciled: {error}", Severity.WARNING),)
        place = f"Cost Management {settings.query_scope} {_until_today(whole, today)}"
        store.keep(azure_query.verbatim(totals), place, {"kind": _QUERY})
        stated = [
            self._stated(month, run, totals.months[month], kept[run.stored.uri])
            for month, run in whole.items()
            if month in totals.months
        ]
        untold = [self._untold(month) for month in whole if month not in totals.months]
        return tuple(stated), tuple(untold)

    def _stated(
        self,
        month: str,
        run: Run,
        amounts: Mapping[str, Decimal],
        kept: Sequence[RawObject],
    ) -> Stated:
        share = self._settings.query_tolerance_percent / 100
        largest = max(map(abs, amounts.values()), default=Decimal(0))
        return Stated(
            f"Cost Management for {month}",
            frozenset(each.sha256 for each in kept if each.receipt["kind"] == _DATA),
            billed=amounts,
            tolerance=_ROUNDING if _is_closed(month, run) else max(_ROUNDING, largest * share),
        )

    def _untold(self, month: str) -> Issue:
        return Issue(
            f"{self._source}: {month}",
            "not reconciled: Cost Management states no cost for it; check that query_scope is the "
            "scope of the export",
            Severity.WARNING,
        )

    def _partial(self, month: str) -> Issue:
        return Issue(
            f"{self._source}: {month}",
            "the export has runs of parts of the month only, which were not taken; schedule it as "
            "'Daily export of month-to-date costs'",
            Severity.WARNING,
        )

    def _list(self) -> None:
        with self._opened() as export:
            self._demand_files(_Found((), {}, bool(export.names())), export)

    def _newest(self) -> Run:
        with self._opened() as export:
            return self._newest_of(export)

    def _newest_of(self, export: _Export) -> Run:
        paths = [path for path in export.names() if path.endswith("/manifest.json")]
        for path in sorted(paths, reverse=True):
            run = azure_runs.read(*export.read(path), path)
            if run is not None:
                return run
        raise Terminal(
            f"{export.url}: there is no manifest that names a file; Azure writes it last, so wait "
            f"for the first run to end, or start one with 'Run now'"
        )

    def _download_one(self) -> None:
        with self._opened() as export, tempfile.TemporaryDirectory(prefix="finops-") as folder:
            run = self._newest_of(export)
            try:
                _downloaded(export, run.parts[0], Path(folder) / "download")
            except Gone as gone:
                raise Transient(
                    f"{export.url}/{gone}: is named by the manifest but gone; Azure is replacing "
                    f"the export, try again in a quarter of an hour"
                ) from None

    def _query_one(self) -> None:
        from providers import azure_query

        settings = self._settings
        assert settings.query_scope is not None, "this probe is for sources with a scope"
        month = Window.of_period(f"{datetime.now(UTC):%Y-%m}")
        azure_query.Query(settings.query_scope, settings.query_url, lambda: True).totals(month)


def _downloaded(export: _Export, part: Part, target: Path) -> Stored:
    """Download a file and hold its size against the manifest's."""
    stored = export.download(part.path, target)
    size = target.stat().st_size
    if part.size_bytes is not None and size != part.size_bytes:
        raise Gone(f"{part.path} has {size} bytes, its manifest says {part.size_bytes}")
    return stored


def _receipt(kind: str, stored: Stored, about: Mapping[str, str]) -> dict[str, str]:
    facts = {
        "kind": kind,
        "endpoint": stored.uri,
        "etag": stored.etag,
        "fetched_at": stored.modified_at,
        **about,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _row_counts(found: _Found, kept: Mapping[str, Sequence[RawObject]]) -> Iterator[Stated]:
    """State each run's own row count, unless some of its rows are taken from a newer run."""
    for run in {run.stored.uri: run for run in found.chosen.values()}.values():
        if run.rows is not None and not azure_runs.taken_elsewhere(run, found.chosen):
            parts = [each for each in kept[run.stored.uri] if each.receipt["kind"] == _DATA]
            yield Stated(run.stored.uri, frozenset(each.sha256 for each in parts), rows=run.rows)


def _months(kept: RawObject, fact: str) -> list[str]:
    told = kept.receipt.get(fact, "")
    return told.split(",") if told else []


def _until_today(months: Mapping[str, Run], today: date) -> Window:
    """Span `months`, but not into the future, of which Query knows nothing."""
    start, end = Window.of_period(min(months)).start, Window.of_period(max(months)).end
    return Window(start, max(start + _DAY, min(end, today + _DAY)))


def _is_closed(month: str, run: Run) -> bool:
    """Tell a run made when Azure adds no charges to its month any more."""
    settled: date = Window.of_period(month).end + _MAY_STILL_MOVE
    return run.made_at is not None and run.made_at.date() >= settled
