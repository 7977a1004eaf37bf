"""Asking Prometheus, and anything that speaks its HTTP API: Thanos, Mimir, a managed Grafana.

A range is asked in pieces, since a server refuses more than 11,000 points of a series at a time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from finops import focus, money
from finops.errors import DataError, Terminal, Transient
from providers import shapes
from providers.http import Reply
from providers.recorded import Replies

QUERY = "/api/v1/query"
QUERY_RANGE = "/api/v1/query_range"
MOST_POINTS = 11_000
AT, VALUE = "at", "value"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# NVIDIA's exporter writes what it cannot read as the largest 64-bit integer, 9.22e18.
_NO_READING_FROM = 9.2e18
_PASSING = frozenset({"timeout", "canceled", "unavailable", "internal", "too_many_requests"})


@dataclass(frozen=True, slots=True)
class Range:
    """A PromQL expression, evaluated at `first`, then every `step` until `last` (part of it)."""

    expression: str
    first: datetime
    last: datetime
    step: timedelta

    def pieces(self) -> Iterator["Range"]:
        """Cut into ranges that a server answers."""
        first = self.first
        while first <= self.last:
            last = min(self.last, first + (MOST_POINTS - 1) * self.step)
            yield replace(self, first=first, last=last)
            first = last + self.step


def query(api: Replies, expression: str) -> Reply:
    """Evaluate an expression now; raises like `query_range`."""
    reply = api.get(QUERY, {"query": expression})
    _demand_success(reply.json(), reply.name)
    return reply


def query_range(api: Replies, asked: Range) -> list[Reply]:
    """Evaluate an expression over a time, in as many replies as it takes.

    Raises `Transient` for a server that is busy or knows only part of the answer, `Terminal` for
    an expression it refuses.
    """
    replies = [
        api.get(
            QUERY_RANGE,
            {
                "query": piece.expression,
                "start": f"{piece.first:%Y-%m-%dT%H:%M:%SZ}",
                "end": f"{piece.last:%Y-%m-%dT%H:%M:%SZ}",
                "step": f"{int(piece.step.total_seconds())}s",
            },
        )
        for piece in asked.pieces()
    ]
    for reply in replies:
        _demand_success(reply.json(), reply.name)
    return replies


def samples(document: Any, name: str, labels: Sequence[str]) -> pl.DataFrame:
    """Read a vector or matrix as a table: `labels` as text, `at`, and the exact `value`.

    A label that a series lacks is null. Samples that are no reading are left out: NaN, Inf, and
    the 9.22e18 of GPUs that cannot tell. Raises `DataError` for any other shape.
    """
    _demand_success(document, name)
    try:
        found = [
            ([_label(series, label) for label in labels], _time(at), shapes.text(text))
            for series in document["data"]["result"]
            for at, text in series.get("values") or [series["value"]]
            if _is_reading(text)
        ]
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is no vector or matrix as Prometheus answers "
            f"({type(error).__name__}: {error}); nothing of it was taken"
        ) from None
    columns = {label: [told[0][place] for told in found] for place, label in enumerate(labels)}
    schema = pl.Schema(
        {**dict.fromkeys(labels, pl.String()), AT: focus.TIME_DTYPE, VALUE: pl.String()}
    )
    table = pl.DataFrame(
        {**columns, AT: [told[1] for told in found], VALUE: [told[2] for told in found]}, schema
    )
    return table.with_columns(pl.col(VALUE).cast(money.DTYPE)).sort(*labels, AT)


def _label(series: Mapping[str, Any], label: str) -> str | None:
    return shapes.optional_text(series["metric"].get(label))


def _time(seconds: Any) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(seconds * 1000))


def _is_reading(text: str) -> bool:
    value = float(text)
    return math.isfinite(value) and abs(value) < _NO_READING_FROM


def _demand_success(document: Any, name: str) -> None:
    """Refuse an error that came with status 200, and an answer that says it is not whole."""
    if not isinstance(document, Mapping) or "status" not in document:
        raise Transient(
            f"{name}: is no answer of Prometheus; the address in the settings may be wrong"
        )
    if document["status"] != "success":
        kind, said = document.get("errorType"), document.get("error")
        if kind in _PASSING:
            raise Transient(f"{name}: answered with {kind} ({said}); wait for the next run")
        raise Terminal(f"{name}: answered with {kind} ({said}); correct the settings")
    if warnings := document.get("warnings"):
        raise Transient(
            f"{name}: warns that its answer may not be whole ({'; '.join(map(str, warnings))}); "
            f"nothing was taken, see that every store behind it is up"
        )
