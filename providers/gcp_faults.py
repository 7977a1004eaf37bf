"""What BigQuery refuses, in plain words: what it was, and what to grant or to set."""

from dataclasses import dataclass

from google.api_core import exceptions as google

from finops.errors import ProviderError, Terminal, Transient
from providers.gcp_session import RATE_REASONS

_PASSING = frozenset(
    {
        *RATE_REASONS,
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "quotaExceeded",
        "stopped",
        "timeout",
    }
)
_TOO_BIG = frozenset({"resourcesExceeded", "responseTooLarge"})
_OVER_THE_CAP = "bytesBilledLimitExceeded"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_FAULT = 401, 403, 404, 429, 500
_EXCERPT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Place:
    """What is asked: the table, the project that pays, the cap on what one query may read."""

    table: str
    project: str
    max_bytes_billed: int

    @property
    def dataset(self) -> str:
        return self.table.rpartition(".")[0]


def explained(place: Place, error: google.GoogleAPICallError) -> ProviderError:
    """Turn an error of Google's client into one of ours."""
    code, why = int(error.code or 0), _reason(error)
    said = f"{place.table}: answered {code} ({_excerpt(error)})"
    if why in _PASSING or code == _TOO_MANY or (code >= _SERVER_FAULT and why != _OVER_THE_CAP):
        return Transient(f"{said}; wait for the next run, or ask less often")
    return Terminal(f"{said}; {_advice(place, code, why)}")


def _advice(place: Place, code: int, why: str) -> str:
    if why == _OVER_THE_CAP:
        return (
            f"the query would read more than max_bytes_billed allows ({place.max_bytes_billed:,} "
            f"bytes), so it was not run and costs nothing: raise max_bytes_billed in the source's "
            f"settings, or ask for fewer days"
        )
    if why in _TOO_BIG:
        return "the result is too big for BigQuery: ask for fewer days at a time"
    if code == _UNAUTHORIZED:
        return (
            "Google does not accept the credentials: log in again "
            "(gcloud auth application-default login) or make a new key"
        )
    if code == _FORBIDDEN:
        return (
            f"grant roles/bigquery.dataViewer on the dataset {place.dataset} and "
            f"roles/bigquery.jobUser on the project {place.project} to the credentials in use"
        )
    if code == _NOT_FOUND:
        return (
            f"correct table (write it as project.dataset.table), project ({place.project}) or "
            f"location; Google makes the table some hours after the export was enabled"
        )
    return "trying again would not help; check the settings of this source"


def _reason(error: google.GoogleAPICallError) -> str:
    """Name why: of a refused request, or of a query that failed while it ran."""
    errors = error.errors or [{}]
    return str(errors[0].get("reason", "")) if isinstance(errors[0], dict) else ""


def _excerpt(error: google.GoogleAPICallError) -> str:
    """Give the first line of what Google said, without the query that follows it."""
    text = str(error.message or type(error).__name__).strip().splitlines()[0]
    return text[:_EXCERPT_CHARACTERS]
