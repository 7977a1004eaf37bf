"""Asking BigQuery through Google's client: one table, two kinds of query, pages of rows.

Every call says its retry (none: `PacedSession` retries) and its time-out.
"""

import concurrent.futures
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import google.auth
from google.api_core import exceptions as google_errors
from google.api_core.client_options import ClientOptions
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2 import service_account

from finops.errors import ConfigError, DataError, Transient
from providers import gcp_faults, http, paging
from providers.gcp_faults import Place
from providers.gcp_queries import Query, Table, demand_export_time, kind_of
from providers.gcp_session import paced

Row = list[str | None]
"""The cells of a row as BigQuery sends them: text, times in microseconds since 1970."""

_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
_PAGE_ROWS = 20_000
_QUERY_SECONDS = 900
_SESSION_RETRIES: Any = None
_JOBS = {"finops": "billing-ingest"}
"""Labels of our query jobs, so that their cost can be found in the bill."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of one query, page by page, and how they were got."""

    job_id: str
    columns: tuple[str, ...]
    pages: Iterator[list[Row]]


class Warehouse:
    """One billing table in BigQuery."""

    def __init__(self, client: bigquery.Client, place: Place, location: str | None) -> None:
        self._client = client
        self._place = place
        self._location = location

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def table(self) -> Table:
        """Describe the table; raises `DataError` when it is no billing export."""
        with self._faults():
            found = self._client.get_table(
                self._place.table, retry=_SESSION_RETRIES, timeout=http.PACE.timeout_seconds
            ).to_api_repr()
        fields = tuple(found.get("schema", {}).get("fields", ()))
        partitioning = found.get("timePartitioning")
        table = Table(
            self._place.table,
            kind_of((str(entry["name"]) for entry in fields), self._place.table),
            fields,
            is_by_export_day=partitioning is not None and not partitioning.get("field"),
            location=self._location or found.get("location"),
        )
        demand_export_time(table)
        return table

    def ask(self, query: Query, location: str | None) -> Answer:
        """Run a query and wait for its end; its rows are read as they are taken."""
        config = bigquery.QueryJobConfig(
            query_parameters=[_parameter(*each) for each in query.parameters],
            maximum_bytes_billed=self._place.max_bytes_billed,
            labels=_JOBS,
        )
        with self._faults():
            job = self._client.query(
                query.text,
                job_config=config,
                location=location,
                retry=_SESSION_RETRIES,
                job_retry=None,
                timeout=http.PACE.timeout_seconds,
            )
            found = job.result(
                page_size=_PAGE_ROWS, retry=_SESSION_RETRIES, job_retry=None, timeout=_QUERY_SECONDS
            )
        names = tuple(field.name for field in found.schema)
        return Answer(str(job.job_id), names, self._pages(found))

    def _pages(self, found: Any) -> Iterator[list[Row]]:
        """Read to the end; raises `Transient` when there are fewer rows than BigQuery counted."""
        taken = 0
        raw_pages = found.pages

        def ask(_token: str | None) -> tuple[list[Row], str | None]:
            with self._faults():
                page = next(raw_pages, None)
            cells = [] if page is None else _cells(page.raw_page, self._place.table)
            return cells, found.next_page_token

        for cells in paging.pages(ask, self._place.table):
            taken += len(cells)
            yield cells
        if taken != found.total_rows:
            raise Transient(
                f"{self._place.table}: BigQuery counts {found.total_rows} rows but sent {taken}; "
                f"nothing was taken, try again"
            )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Say in our words what Google's client raises."""
        try:
            yield
        except google_errors.GoogleAPICallError as error:
            raise gcp_faults.explained(self._place, error) from None
        except (KeyError, TypeError, AttributeError):
            # Google's client takes the shape of every reply for granted.
            raise DataError(
                f"{self._place.table}: the reply is not what BigQuery answers; check api_url and "
                f"what stands between here and Google"
            ) from None
        except concurrent.futures.TimeoutError:
            raise Transient(
                f"{self._place.table}: the query did not end in {_QUERY_SECONDS} seconds; "
                f"wait for the next run, or ask for fewer days"
            ) from None


def connect(place: Place, api_url: str | None, key: str | None, location: str | None) -> Warehouse:
    """Make the client: with a service account's JSON `key`, else with the surroundings' login.

    An `api_url` that begins with `http://` is a local stand-in and gets no credential.
    """
    if api_url is not None and api_url.startswith("http://"):
        session = paced(
            AnonymousCredentials(),  # type: ignore[no-untyped-call]
            can_refresh=False,
        )
    else:
        session = paced(_from_key(key) if key else _from_surroundings(), can_refresh=True)
    options = ClientOptions(api_endpoint=api_url) if api_url else None
    client = bigquery.Client(
        project=place.project,
        credentials=session.credentials,
        client_options=options,
        location=location,
        _http=session,
    )
    return Warehouse(client, place, location)


def _from_key(key: str) -> Any:
    try:
        return service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            json.loads(key), scopes=_SCOPES
        )
    except (ValueError, auth.GoogleAuthError):
        raise ConfigError(
            "the service account's key is not the JSON document that Google gave; put the whole "
            "content of the key file into the variable"
        ) from None


def _from_surroundings() -> Any:
    try:
        return google.auth.default(scopes=_SCOPES)[0]
    except auth.GoogleAuthError:
        raise ConfigError(
            "there are no Google credentials: run gcloud auth application-default login, set "
            "GOOGLE_APPLICATION_CREDENTIALS, attach a service account to the machine, or name "
            "the variable with a service account's key in credential_env"
        ) from None


def _parameter(name: str, kind: str, value: Any) -> Any:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, kind, value)
    return bigquery.ScalarQueryParameter(name, kind, value)


def _cells(page: Mapping[str, Any], table: str) -> list[Row]:
    try:
        return [[cell["v"] for cell in row["f"]] for row in page.get("rows", ())]
    except (KeyError, TypeError):
        raise DataError(
            f"{table}: BigQuery sent rows of an unknown shape; report this with the library's "
            f"version"
        ) from None
