"""Google Cloud: the detailed billing export, or the FOCUS export (preview), in BigQuery.

Google only ever adds rows to an export: corrections and late usage are rows of their own, for any
day, in the current invoice month. So each run first asks, for every usage day and invoice month,
how many rows there are and when the last one was exported. A day of which exactly these rows were
read before is taken from what was kept then; the others are read whole, and all are replaced whole.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator, model_validator

from finops import credentials, known
from finops.errors import ConfigError, DataError, Terminal
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from providers import gcp_detailed, gcp_focus, gcp_rows
from providers.base import Address, Bill, Probe, Settings
from providers.gcp_days import Days, day_name
from providers.gcp_queries import DAY, MONTH, Kind, Query, Table, columns, rows, totals
from providers.gcp_spool import DayFile, Spool

if TYPE_CHECKING:
    from providers.gcp_bigquery import Answer, Warehouse

_LOOPBACK = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")
_KEY_ADVICE = "it holds the JSON key of a service account that may read the billing export"
_ROWS, _TOTALS = "rows", "totals"
_ADD_UP = "BigQuery's own total of the export"


class GcpSettings(Settings):
    """`[sources.NAME]` of a Google Cloud billing account.

    `table` is the export, `project.dataset.table`; `project` runs and pays the queries.
    `credential_env` names the variable that holds a service account's JSON key; without it Google's
    usual login is used. `recorded` is a file or folder of rows exported from the table: with it
    neither network nor credentials are used.
    """

    table: str | None = None
    project: str | None = None
    location: str | None = None
    credential_env: str | None = None
    max_bytes_billed: int = Field(default=20 << 30, ge=10 << 20)
    reuse_unchanged: bool = True
    partition_slack_days: int = Field(default=2, ge=1, le=60)
    api_url: Address | None = None
    recorded: Path | None = None

    @field_validator("table")
    @classmethod
    def _is_full_name(cls, value: str | None) -> str | None:
        parts = value.split(".") if value else []
        if value and (len(parts) != len(("project", "dataset", "table")) or "`" in value):
            raise ValueError(f"{value!r} is no table; write it as project.dataset.table")
        return value

    @field_validator("api_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value and not value.startswith(("https://", *_LOOPBACK)):
            raise ValueError(
                f"{value!r} is neither https:// nor a local http:// address; the token would be "
                f"sent in the open"
            )
        return value

    @model_validator(mode="after")
    def _says_where(self) -> "GcpSettings":
        if self.table is None and self.recorded is None:
            raise ValueError(
                "says neither table nor recorded; add table = "
                '"project.dataset.gcp_billing_export_resource_v1_…"'
            )
        return self


class Gcp:
    """The bill of one Google Cloud billing account."""

    NAME: ClassVar[str] = "gcp"
    NEEDS: ClassVar[str] = "a billing export to BigQuery, and roles to query it"
    LOOKBACK_DAYS: ClassVar[int] = 15
    settings_model: ClassVar[type[Settings]] = GcpSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, GcpSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._recorded = base / settings.recorded if settings.recorded else None
        self._slack = timedelta(days=settings.partition_slack_days)

    def probes(self) -> Mapping[str, Probe]:
        """Look for credentials, for the export, and whether it may be queried."""
        if self._recorded is not None:
            return {"the recorded rows are a billing export": self._demand_recorded}
        name = self._settings.table
        return {
            "there are Google credentials": self._look_for_credentials,
            f"{name} is a billing export": self._describe,
            f"it may be queried in project {self._project}": self._ask_for_nothing,
        }

    def _look_for_credentials(self) -> None:
        with self._connect():
            pass

    def _describe(self) -> None:
        with self._connect() as warehouse:
            warehouse.table()

    def _ask_for_nothing(self) -> None:
        with self._connect() as warehouse:
            table = warehouse.table()
            list(warehouse.ask(_nothing(table), table.location).pages)

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Keep the rows of every day in `window`, and of every invoice month that it touches.

        An empty export is asked for twice. Raises `Terminal` for a missing table, permission or
        credentials and for a query that would cost more than allowed, `Transient` for a busy
        BigQuery and for rows that were cut off.
        """
        scope = Scope(frozenset(window.periods()), window)
        if self._recorded is not None:
            kept = tuple(self._from_folder(store))
            return Delivery(self.NAME, self._source, scope, kept, is_empty_for_sure=False)
        with self._connect() as warehouse:
            table = warehouse.table()
            days, stated = self._days(warehouse, table, window, store)
            objects = self._kept_days(warehouse, table, days, store)
        return Delivery(
            self.NAME,
            self._source,
            scope,
            (stated, *objects),
            stated=days.stated(_ADD_UP, frozenset(kept.sha256 for kept in objects)),
            is_empty_for_sure=True,
        )

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read the kept days as FOCUS rows; raises `DataError` for what is no billing export."""
        for kept in delivery.objects:
            if kept.receipt.get("kind") == _ROWS:
                flat, kind = gcp_rows.scan(path(kept), kept.name)
                made = gcp_focus if kind is Kind.FOCUS else gcp_detailed
                yield Bill(kept, made.to_focus(flat))

    @property
    def _project(self) -> str:
        """Name the project that pays: the table's own unless the settings say another."""
        return self._settings.project or str(self._settings.table).partition(".")[0]

    def _connect(self) -> "Warehouse":
        # Google's libraries take most of a second to import: only those who ask BigQuery pay.
        from providers import gcp_bigquery
        from providers.gcp_faults import Place

        settings, key = self._settings, None
        if settings.credential_env and not (settings.api_url or "").startswith("http://"):
            key = credentials.read(settings.credential_env, f"sources.{self._source}", _KEY_ADVICE)
        place = Place(str(settings.table), self._project, settings.max_bytes_billed)
        try:
            return gcp_bigquery.connect(place, settings.api_url, key, settings.location)
        except ConfigError as error:
            raise ConfigError(f"sources.{self._source}: {error}") from None

    def _days(
        self, warehouse: "Warehouse", table: Table, window: Window, store: RawStore
    ) -> tuple[Days, RawObject]:
        """Ask what there is; twice when there is nothing, since a table just made is empty too."""
        query = totals(table, window, self._slack)
        for _ in range(2):
            answer = warehouse.ask(query, table.location)
            days = Days.read(answer, table.name)
            if days.all:
                break
        receipt = _receipt(_TOTALS, table, query, answer)
        return days, store.keep(days.as_json(), f"{table.name}/totals/{window}", receipt)

    def _kept_days(
        self, warehouse: "Warehouse", table: Table, days: Days, store: RawStore
    ) -> list[RawObject]:
        """Take the days that did not change from what was kept, and read the others."""
        selected = columns(table)
        names = {day.key: day_name(table.name, day, selected) for day in days.all}
        unchanged = {
            key: kept
            for key, name in names.items()
            if self._settings.reuse_unchanged and (kept := known.find(store, name)) is not None
        }
        wanted = [day.key for day in days.all if day.key not in unchanged]
        read = dict(unchanged)
        if wanted:
            query = rows(table, wanted, days.until, self._slack)
            answer = warehouse.ask(query, table.location)
            receipt = _receipt(_ROWS, table, query, answer)
            for file in _parted(answer, [DAY, MONTH, *(name for name, _ in selected)], table.name):
                read[file.day, file.month] = _keep_day(store, file, days, names, receipt)
        return [read[key] for key in sorted(read)]

    def _from_folder(self, store: RawStore) -> Iterator[RawObject]:
        """Keep each file; the same one twice would count twice."""
        seen: dict[str, str] = {}
        for file, name in self._files():
            kept = store.keep(file, name, {"kind": _ROWS, "endpoint": name})
            first = seen.setdefault(kept.sha256, name)
            if first != name:
                raise Terminal(f"{first} and {name} are the same rows; take one of them away")
            yield kept

    def _files(self) -> list[tuple[Path, str]]:
        place = self._recorded
        assert place is not None, "only asked for with recorded rows"
        if place.is_file():
            return [(place, place.name)]
        found = sorted(
            file
            for file in place.rglob("*")
            if file.suffix in gcp_rows.SUFFIXES and not file.name.startswith(".")
        )
        if not found:
            raise Terminal(
                f"sources.{self._source}.recorded: {place} holds no rows of a billing export; "
                f"export some there as Parquet or JSON lines, or remove 'recorded' to ask BigQuery"
            )
        return [(file, file.relative_to(place).as_posix()) for file in found]

    def _demand_recorded(self) -> None:
        for file, name in self._files():
            gcp_rows.scan(file, name)


def _nothing(table: Table) -> Query:
    """Make a query that needs the right to query, and reads as little as BigQuery can."""
    return Query(f"SELECT 1 AS one FROM `{table.name}` LIMIT 0", ())  # noqa: S608 - a setting


def _parted(answer: "Answer", asked: Sequence[str], table: str) -> Iterator[DayFile]:
    """Part the rows by day; nothing is given before BigQuery sent all of them.

    Columns are called as they were `asked` for: to BigQuery upper and lower case are the same.
    """
    if [name.lower() for name in answer.columns] != [name.lower() for name in asked]:
        raise DataError(
            f"{table}: BigQuery sent other columns than it was asked for; nothing was taken, "
            f"report this with the library's version"
        )
    with (
        tempfile.TemporaryDirectory(prefix="finops-gcp-") as folder,
        Spool(Path(folder), asked) as spool,
    ):
        for page in answer.pages:
            spool.add(page)
        yield from spool.finished()


def _keep_day(
    store: RawStore,
    file: DayFile,
    days: Days,
    names: Mapping[tuple[str, str], str],
    receipt: Mapping[str, str],
) -> RawObject:
    """Keep a day, to be found again only if it is all that was told of it."""
    key = (file.day, file.month)
    told = {**receipt, "day": file.day, "month": file.month, "rows": str(file.rows)}
    if days.holds_all(file):
        return known.keep(store, file.path, names[key], told)
    return store.keep(file.path, names.get(key, "/".join(key)), told)


def _receipt(kind: str, table: Table, query: Query, answer: "Answer") -> dict[str, str]:
    return {
        "kind": kind,
        "endpoint": table.name,
        "export": table.kind.value,
        "query": query.text,
        "parameters": query.told(),
        "job_id": answer.job_id,
    }
