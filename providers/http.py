"""Asking a provider's HTTP API: retries, waiting as told, and faults in plain words.

A reply is kept as the bytes that came. A credential is only ever put into the request header:
it appears in no message, name or receipt.
"""

import base64
import json
import math
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from finops.errors import DataError, Terminal, Transient

ATTEMPTS = 5
LONGEST_WAIT_SECONDS = 120.0
_FIRST_WAIT_SECONDS = 1.0
_JITTER = 0.25
_EXCERPT_CHARACTERS = 200
_EPOCH_FROM = 1_000_000_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BUSY = frozenset({408, 425, 429})
_DENIED = frozenset({401, 403})
_DEFAULT_HEADERS = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: the bytes as they came, the status, headers in lower case, what was asked."""

    endpoint: str
    parameters: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """Give the endpoint with its parameters, such as `/v2/pods?limit=5`."""
        query = urlencode(sorted(self.parameters.items()), safe=":")
        return f"{self.endpoint}?{query}" if query else self.endpoint

    @property
    def sent_at(self) -> datetime | None:
        """Read the server's `Date` header; `None` when there is none that can be read."""
        return _http_date(self.headers.get("date"))

    def receipt(self) -> dict[str, str]:
        """Say how the reply was got: endpoint, parameters, status, time and ETag."""
        sent_at = self.sent_at
        facts = {
            "endpoint": self.endpoint,
            "parameters": json.dumps(dict(self.parameters), sort_keys=True),
            "status": str(self.status),
            "fetched_at": sent_at.isoformat() if sent_at else "",
            "etag": self.headers.get("etag", ""),
        }
        return {key: value for key, value in facts.items() if value}

    def json(self) -> Any:
        """Read the body, numbers as `Decimal`; raises `Transient` for HTML or half a document."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and not kind.endswith("json"):
            raise Transient(
                f"{self.name}: answered with {kind} instead of JSON; a proxy or login page may "
                f"stand in between, or the address in the settings is wrong"
            )
        return parse_json(self.body, self.name)


def parse_json(body: bytes, name: str) -> Any:
    """Read JSON with its numbers as `Decimal`; raises `Transient` when it is not complete.

    Raises `DataError` for text with half a surrogate pair: nothing can store it.
    """
    try:
        document = json.loads(
            body, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Transient(
            f"{name}: the reply of {len(body)} bytes is not a complete JSON document ({error}); "
            f"it was probably cut off on the way, so try again"
        ) from None
    if _SURROGATE.search(body):
        try:
            json.dumps(document, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{name}: holds text with half a surrogate pair, which is no character; correct "
                f"the name or tag at the provider, nothing of it was taken"
            ) from None
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


@dataclass(frozen=True, slots=True)
class Credential:
    """What to put into the `Authorization` header, and what of it must never be shown."""

    authorization: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


ANONYMOUS = Credential()


def bearer(key: str) -> Credential:
    """Make the credential of an API that wants `Bearer key`; raises `Terminal` for no such key."""
    return Credential(f"Bearer {_sendable(key)}", (key,))


def basic(user: str, token: str) -> Credential:
    """Make the credential of an API that wants HTTP Basic (RFC 7617)."""
    pair = base64.b64encode(f"{_sendable(user)}:{_sendable(token)}".encode()).decode()
    return Credential(f"Basic {pair}", (token, pair))


def _sendable(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise Terminal(
            "the key holds characters that no key has, such as a line break; copy it again"
        )
    return key


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for an answer, and how to wait between tries.

    `rest` keeps to a provider's limit when nothing is wrong: it waits between two good requests.
    """

    timeout_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    rest: Callable[[float], None] = time.sleep


PACE = Pace()


class Api:
    """A provider's HTTP API below one address, asked with one credential.

    `advice` says what to do about a status, such as which permission a 403 lacks. Between two
    requests it rests for `seconds_between`, where a provider allows so many a second only.
    """

    def __init__(
        self,
        base_url: str,
        credential: Credential,
        advice: Mapping[int, str],
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        pace: Pace | None = None,
        seconds_between: float = 0.0,
    ) -> None:
        self._seconds_between = seconds_between
        self._is_fresh = True
        self._secrets = credential.secrets
        self._advice = advice
        self._pace = pace or PACE
        self._client = httpx.Client(
            base_url=base_url,
            headers={**_DEFAULT_HEADERS, **headers, **_authorized(credential)},
            timeout=self._pace.timeout_seconds,
            verify=_trusted(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        tolerate: frozenset[int] = frozenset(),
    ) -> Reply:
        """Ask once, and again while the fault may pass, at most `ATTEMPTS` times.

        Statuses in `tolerate` are returned like a 200. Raises `Transient` for time-outs, lost
        connections, 429 and 5xx that do not pass, `Terminal` for every other status.
        """
        asked = dict(parameters or {})
        if self._seconds_between and not self._is_fresh:
            self._pace.rest(self._seconds_between)
        self._is_fresh = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reply = self._ask(path, asked)
            except httpx.UnsupportedProtocol:
                raise Terminal(
                    f"{self._client.base_url}: is not an http or https address; correct it"
                ) from None
            except (httpx.TransportError, httpx.DecodingError) as error:
                fault, asked_to_wait = self._lost(path, error, attempt), 0.0
            else:
                if reply.status == httpx.codes.OK or reply.status in tolerate:
                    return reply
                if not may_pass(reply):
                    raise Terminal(self._refusal(reply))
                fault, asked_to_wait = self._busy(reply, attempt), wait_seconds(reply)
            if attempt < ATTEMPTS:
                self._pace.sleep(pause_seconds(self._pace, attempt, asked_to_wait))
        raise fault

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Reply:
        answer = self._client.get(path, params=parameters)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(path, parameters, answer.status_code, headers, answer.content)

    def _lost(self, path: str, error: Exception, attempt: int) -> Transient:
        return Transient(
            f"{self._address(path)}: {type(error).__name__} "
            f"({self._redacted(str(error)) or 'no answer'}) in try {attempt} of {ATTEMPTS}; "
            f"check the network and the provider's status page, or wait for the next run"
        )

    def _busy(self, reply: Reply, attempt: int) -> Transient:
        return Transient(
            f"{self._where(reply)}: answered {reply.status} in try {attempt} of {ATTEMPTS}"
            f"{self._excerpt(reply)}; wait for the next run, or ask less often"
        )

    def _refusal(self, reply: Reply) -> str:
        default = (
            "the key was refused; check that it is valid and may read billing"
            if reply.status in _DENIED
            else "trying again would not help; check the settings of this source"
        )
        advice = self._advice.get(reply.status, default)
        return f"{self._where(reply)}: answered {reply.status}{self._excerpt(reply)}; {advice}"

    def _where(self, reply: Reply) -> str:
        return self._address(reply.name)

    def _address(self, name: str) -> str:
        """Say where a request goes: below the base address, which may have a path of its own."""
        return str(self._client.build_request("GET", name).url)

    def _excerpt(self, reply: Reply) -> str:
        text = " ".join(self._redacted(reply.body.decode("utf-8", "replace")).split())
        return f" ({text[:_EXCERPT_CHARACTERS]})" if text and not text.startswith("<") else ""

    def _redacted(self, text: str) -> str:
        for secret in filter(None, self._secrets):
            text = text.replace(secret, "[key]")
        return text


@cache
def _trusted() -> ssl.SSLContext:
    # Reading the authorities takes longer than a request: once is enough for all providers.
    return httpx.create_ssl_context()


def _authorized(credential: Credential) -> dict[str, str]:
    return {} if credential.authorization is None else {"Authorization": credential.authorization}


def pause_seconds(pace: Pace, attempt: int, asked_to_wait: float) -> float:
    """Tell how long to pause after try number `attempt`: longer each time, or as long as asked."""
    own: float = _FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
    spread = 1 + _JITTER * pace.jitter()
    return min(max(own, asked_to_wait) * spread, LONGEST_WAIT_SECONDS)


def wait_seconds(reply: Reply) -> float:
    """Tell how long a busy server asks to be left alone: the longest of what its headers say.

    Headers ending in `retry-after` hold seconds or an HTTP date; when a rate limit is reached the
    headers about its reset count too, in seconds or as Unix time. Dates are measured from the reply's
    own `Date`, never from our clock.
    """
    told = [
        _delay(value, reply.sent_at)
        for name, value in reply.headers.items()
        if name.endswith("retry-after")
        or (_is_limited(reply) and "ratelimit" in name.replace("-", "") and "reset" in name)
    ]
    return max(told, default=0.0)


def _delay(value: str, sent_at: datetime | None) -> float:
    try:
        seconds = float(value)
    except ValueError:
        until = _http_date(value)
        return max((until - sent_at).total_seconds(), 0.0) if until and sent_at else 0.0
    if math.isnan(seconds):
        return 0.0
    if seconds >= _EPOCH_FROM:
        seconds = seconds - sent_at.timestamp() if sent_at else 0.0
    return max(seconds, 0.0)


def _http_date(value: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except (ValueError, OverflowError):
        return None


def may_pass(reply: Reply) -> bool:
    """Tell whether the same question may be answered later."""
    is_fault = reply.status in _BUSY or reply.status >= httpx.codes.INTERNAL_SERVER_ERROR
    return is_fault or _is_limited(reply)


def _is_limited(reply: Reply) -> bool:
    """Tell a reached rate limit: a 429, or a 403 that says when to come back (as GitHub's does)."""
    if reply.status == httpx.codes.FORBIDDEN:
        return "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0"
    return reply.status == httpx.codes.TOO_MANY_REQUESTS
