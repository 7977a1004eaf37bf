"""Asking Azure through its own clients: credentials, patience, and faults in plain words.

Azure's clients retry and sleep by rules of their own, which know nothing of half a body, of the
headers of Cost Management's rate limits, or of our pace. `clients` gives them ours instead.

A shared access signature is part of every address, and the clients quote addresses in their
messages: so no message here repeats what a client said, but for codes and kinds of error.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential
from azure.storage.blob import LocationMode

from finops.errors import ProviderError, Terminal, Transient
from providers import http
from providers.http import ATTEMPTS, Reply, pause_seconds, wait_seconds

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_BUSY = frozenset({408, 429})
_SERVER_FAULT = 500
_REFUSED = 400
_FOR_THEIR_OWN_RETRIES = ("hosts", "location_mode", "retry_to_secondary")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_LOG_IN = (
    "run where a managed or workload identity is present, set AZURE_CLIENT_ID, AZURE_TENANT_ID and "
    "AZURE_CLIENT_SECRET, or log in with az login"
)


def is_loopback(url: str) -> bool:
    """Tell an address on this machine, the only kind that may be asked without TLS."""
    return urlsplit(url).hostname in _LOOPBACK


def identity() -> DefaultAzureCredential:
    """Find the identity to act as: environment, workload or managed identity, then `az login`."""
    return DefaultAzureCredential(exclude_interactive_browser_credential=True)


def clients(place: str) -> dict[str, Any]:
    """Give the arguments that make a client of Azure's patient; `place` is what messages call it."""
    return {
        "retry_policy": _Patience(place),
        "transport": _WholeReplies(
            connection_timeout=http.PACE.timeout_seconds, read_timeout=http.PACE.timeout_seconds
        ),
        "permit_redirects": False,
    }


class _WholeReplies(RequestsTransport):  # type: ignore[misc]
    """Reads each reply to its end at once, so that a broken one can be asked for again."""

    def send(self, request: Any, **options: Any) -> Any:
        return super().send(request, **{**options, "stream": False})


class _Patience(HTTPPolicy[Any, Any]):
    """Asks again while a fault may pass, at most `ATTEMPTS` times, and waits as told.

    How long is the longest of all headers that say so: Cost Management sends one for each of its
    limits (`x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after` and its kin).
    """

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send a request on; raises `Transient` for what did not pass, and for a web page."""
        for option in _FOR_THEIR_OWN_RETRIES:
            request.context.options.pop(option, None)
        for attempt in range(1, ATTEMPTS + 1):
            told = 0.0
            try:
                answer = self.next.send(request)
            except AzureError as error:
                if not _is_lost(error):
                    raise
                fault = self._fault(type(error).__name__, attempt)
            else:
                reply = _reply(self._place, answer)
                if not _is_busy(reply.status):
                    self._demand_no_page(reply)
                    # The blob client asks where an answer came from; there is one place only.
                    answer.http_response.location_mode = LocationMode.PRIMARY
                    return answer
                fault, told = self._fault(f"answered {reply.status}", attempt), wait_seconds(reply)
            if attempt < ATTEMPTS:
                http.PACE.sleep(pause_seconds(http.PACE, attempt, told))
        raise fault

    def _fault(self, what: str, attempt: int) -> Transient:
        return Transient(
            f"{self._place}: {what} in try {attempt} of {ATTEMPTS}; check the network and Azure's "
            f"status page, or wait for the next run"
        )

    def _demand_no_page(self, reply: Reply) -> None:
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if reply.status < _REFUSED and kind == "text/html":
            raise Transient(
                f"{self._place}: answered with text/html; a proxy or login page may stand in "
                f"between, or the address in the settings is wrong"
            )


def _is_lost(error: AzureError) -> bool:
    """Tell a broken connection from a refusal, such as of the identity."""
    if isinstance(error, ClientAuthenticationError):
        return False
    return not isinstance(error, HttpResponseError) or error.response is None


def _is_busy(status: int) -> bool:
    return status in _BUSY or status >= _SERVER_FAULT


def _reply(place: str, answer: PipelineResponse[Any, Any]) -> Reply:
    response = answer.http_response
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(place, {}, response.status_code, headers, b"")


def fault(place: str, error: Exception, advice: str) -> ProviderError:
    """Say what Azure refused, without repeating its message; `advice` is for a 403 or 404."""
    status = getattr(error, "status_code", None)
    code = _code(error)
    said = " ".join(filter(None, (str(status or ""), code))) or type(error).__name__
    if status is None and isinstance(error, ClientAuthenticationError):
        return Terminal(f"{place}: no usable Azure identity ({said}); {_LOG_IN}")
    if status == 401:  # noqa: PLR2004 - said in words below
        return Terminal(f"{place}: answered {said}; the credential is not accepted; {_LOG_IN}")
    if status in {403, 404}:
        return Terminal(f"{place}: answered {said}; {advice}")
    if status is not None and status >= 300:  # noqa: PLR2004 - a redirect is none of ours
        return Terminal(f"{place}: answered {said}; check the address in the source's settings")
    return Transient(
        f"{place}: the reply cannot be read ({said}); it is no complete document, so try again"
    )


def _code(error: Exception) -> str:
    """Find Azure's own code for an error, such as AuthorizationFailure; empty when there is none."""
    found = getattr(error, "error_code", None)
    found = found or getattr(getattr(error, "error", None), "code", None)
    text = getattr(found, "value", found)
    return text if isinstance(text, str) and _CODE.fullmatch(text) else ""
