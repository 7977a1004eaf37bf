"""The HTTP session under Google's client: the retries, pauses and time-outs of the house.

Google's client retries by itself for ten minutes without a word, and follows redirects with the
token. Here it is told not to retry, and every request goes through this session.
"""

from typing import Any

import requests
from google.auth import exceptions as auth
from google.auth.transport.requests import AuthorizedSession

from finops.errors import Terminal, Transient
from providers import http
from providers.http import Reply

RATE_REASONS = frozenset({"rateLimitExceeded", "jobRateLimitExceeded"})
_LOG_IN = "log in again (gcloud auth application-default login), or make a new key for the service account"


class PacedSession(AuthorizedSession):
    """Asks once, and again while the fault may pass, in the pace of `providers.http`.

    A status that does not pass is returned, for the client to read the reason from its body.
    Raises `Transient` for lost connections and replies that are no JSON, `Terminal` for
    credentials that Google does not accept.
    """

    def request(  # type: ignore[override]
        self, method: str, url: str, *_: Any, **options: Any
    ) -> requests.Response:
        """Send one request; the caller's time-out gives way to the pace's."""
        sent = {name: options.get(name) for name in ("data", "headers")}
        place = url.partition("?")[0]
        for attempt in range(1, http.ATTEMPTS + 1):
            try:
                answer = super().request(  # type: ignore[no-untyped-call]
                    method,
                    url,
                    timeout=http.PACE.timeout_seconds,
                    allow_redirects=False,
                    **sent,
                )
            except auth.RefreshError as error:
                raise _refused(place, error) from None
            except (requests.RequestException, auth.TransportError) as error:
                fault, asked_to_wait = _lost(place, error, attempt), 0.0
            else:
                reply = _reply(place, answer)
                if not _may_pass(answer, reply) or attempt == http.ATTEMPTS:
                    return _demand_json(answer, reply)
                asked_to_wait = http.wait_seconds(reply)
            if attempt < http.ATTEMPTS:
                http.PACE.sleep(http.pause_seconds(http.PACE, attempt, asked_to_wait))
        raise fault


def paced(credential: Any, *, can_refresh: bool) -> PacedSession:
    """Make a session; a credential that can be refreshed is, once, when Google answers 401."""
    codes = (requests.codes.unauthorized,) if can_refresh else ()
    return PacedSession(  # type: ignore[no-untyped-call]
        credential, refresh_status_codes=codes, max_refresh_attempts=1
    )


def reason(answer: requests.Response) -> str:
    """Read Google's reason of a refusal, such as `rateLimitExceeded`; empty when there is none."""
    try:
        return str(answer.json()["error"]["errors"][0]["reason"])
    except (ValueError, LookupError, TypeError):
        return ""


def _reply(place: str, answer: requests.Response) -> Reply:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(place, {}, answer.status_code, headers, answer.content)


def _may_pass(answer: requests.Response, reply: Reply) -> bool:
    return http.may_pass(reply) or (
        reply.status == requests.codes.forbidden and reason(answer) in RATE_REASONS
    )


def _demand_json(answer: requests.Response, reply: Reply) -> requests.Response:
    """Refuse a good status without a JSON document: a proxy's page, or half a reply."""
    if reply.status == requests.codes.ok:
        reply.json()
    return answer


def _lost(place: str, error: Exception, attempt: int) -> Transient:
    return Transient(
        f"{place}: {type(error).__name__} in try {attempt} of {http.ATTEMPTS}; check the network "
        f"and Google's status page, or wait for the next run"
    )


def _refused(place: str, error: auth.RefreshError) -> Transient | Terminal:
    if error.retryable:
        return Transient(f"{place}: Google's token service is busy; wait for the next run")
    return Terminal(f"{place}: Google does not accept the credentials; {_LOG_IN}")
