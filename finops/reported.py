"""Workloads that processes report themselves: the event format, and what events add up to.

Each event is one line of JSON in the format `finops-event/1` (docs/event-format.md). Events of one
workload may come doubled, out of order and from several files: the same set of events gives the
same workload, always.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from finops import money

FORMAT = "finops-event/1"
LONGEST_TEXT = 1000
AHEAD = timedelta(minutes=5)
"""How far a reporting machine's clock may run ahead of ours."""

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_LARGEST = Decimal(10) ** 12
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class What(StrEnum):
    """What an event says of its workload: it began, it is alive, it is over."""

    START = "start"
    HEARTBEAT = "heartbeat"
    END = "end"


class NoEvent(ValueError):
    """A line is no event that can be taken; the message says why."""


class Personal(NoEvent):
    """A line holds what looks like a person's e-mail address: it must not be kept at all."""


@dataclass(frozen=True, slots=True)
class Event:
    """One report. `id` names the event: the same id again is the same event, sent twice.

    `at` is UTC. `user` is a pseudonym. `cost_per_hour` is what the reporter believes, in
    `currency`: it is kept, and never billed. `more` holds fields that the format does not know.
    """

    id: str
    event: What
    workload_id: str
    at: datetime
    kind: str | None = None
    name: str | None = None
    resource_id: str | None = None
    cluster: str | None = None
    node: str | None = None
    gpu_model: str | None = None
    gpu_count: Decimal | None = None
    gpu_utilization: Decimal | None = None
    weight: Decimal | None = None
    cost_per_hour: Decimal | None = None
    currency: str | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    more: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        _demand_sound(self)

    def line(self) -> str:
        """Write the event as a line of JSON, with its line feed."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "more"}
        cells = {name: _cell(value) for name, value in given.items() if value is not None}
        if not self.tags:
            del cells["tags"]
        document = {**self.more, **cells, "format": FORMAT}
        return json.dumps(document, sort_keys=True, ensure_ascii=False) + "\n"


_TEXTS = ("kind", "name", "resource_id", "cluster", "node", "gpu_model", "currency", "user")
_NUMBERS = ("gpu_count", "gpu_utilization", "weight", "cost_per_hour")
_KNOWN = {one.name for one in fields(Event)} - {"more"} | {"format"}


def parse(line: str) -> Event:
    """Read one line; raises `NoEvent` for anything else, `Personal` for an e-mail address."""
    try:
        document = json.loads(line, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NoEvent("is no JSON") from None
    if not isinstance(document, dict):
        raise NoEvent("is no JSON object")
    if document.get("format") != FORMAT:
        raise NoEvent(f"is of the format {document.get('format')!r}; this version reads {FORMAT}")
    given: dict[str, Any] = {
        **{name: _text(document[name], name) for name in _TEXTS if document.get(name) is not None},
        **{name: _number(document[name], name) for name in _NUMBERS if name in document},
    }
    return Event(
        id=_demanded(document, "id"),
        event=_what(_demanded(document, "event")),
        workload_id=_demanded(document, "workload_id"),
        at=_time(_demanded(document, "at")),
        tags=_tags(document.get("tags")),
        more=_more(document),
        **given,
    )


def looks_personal(text: str) -> bool:
    """Tell whether there is something like an e-mail address in `text`."""
    return _EMAIL.search(text) is not None


@dataclass(frozen=True, slots=True)
class Heard:
    """An event and where it was read: the `row`-th line (0-based) of the object `raw_id`."""

    event: Event
    raw_id: str
    row: int


@dataclass(frozen=True, slots=True)
class Folded:
    """Workloads as rows of `finops.workloads.SCHEMA`, and what was odd about their events."""

    rows: list[dict[str, object]]
    oddities: list[str]


def fold(heard: Iterable[Heard], grace: timedelta, seen_at: datetime) -> Folded:
    """Make one row of each workload, by workload id.

    A workload without end is running while its last sign of life is at most `grace` before
    `seen_at`; after that it ended `grace` after that sign.
    """
    oddities: list[str] = []
    by_workload: dict[str, list[Heard]] = {}
    for one in _distinct(heard, oddities):
        if one.event.at > seen_at + AHEAD:
            oddities.append(
                f"the event {one.event.id!r} of {one.event.at:%Y-%m-%dT%H:%M:%SZ} lies in the "
                f"future and was left out; set that machine's clock"
            )
            continue
        by_workload.setdefault(one.event.workload_id, []).append(one)
    rows = [
        _workload(by_workload[workload_id], grace, seen_at, oddities)
        for workload_id in sorted(by_workload)
    ]
    return Folded(rows, oddities)


def _distinct(heard: Iterable[Heard], oddities: list[str]) -> list[Heard]:
    """Take each id once, in the order of time; of different contents the earliest counts."""
    by_id: dict[str, list[Heard]] = {}
    for one in heard:
        by_id.setdefault(one.event.id, []).append(one)
    oddities += [
        f"the event id {each!r} came with different contents; the earliest counts, give each "
        f"event an id of its own"
        for each in sorted(by_id)
        if any(one.event != by_id[each][0].event for one in by_id[each])
    ]
    chosen = [same[0] if len(same) == 1 else min(same, key=_first) for same in by_id.values()]
    return sorted(chosen, key=lambda one: (one.event.at, one.event.id))


def _first(one: Heard) -> tuple[datetime, str, str, int]:
    return one.event.at, one.event.line(), one.raw_id, one.row


def _workload(
    heard: list[Heard], grace: timedelta, seen_at: datetime, oddities: list[str]
) -> dict[str, object]:
    events = [one.event for one in heard]
    started, ended, is_running = _span(events, grace, seen_at, oddities)
    facts = _facts(events)
    extra = {"user": facts.user, "currency": facts.currency}
    if facts.cost_per_hour is not None:
        extra["cost_per_hour"] = money.text(facts.cost_per_hour)
    return {
        "workload_id": facts.workload_id,
        "kind": facts.kind or "run",
        "name": facts.name,
        "started_at": started,
        "ended_at": ended,
        "is_running": is_running,
        "resource_id": facts.resource_id,
        "cluster": facts.cluster,
        "node": facts.node,
        "gpu_model": facts.gpu_model,
        "gpu_count": facts.gpu_count,
        "gpu_utilization": _mean([each.gpu_utilization for each in events]),
        "weight": facts.weight,
        "tags": _json(facts.tags),
        "attributes": _json({**facts.more, **{k: v for k, v in extra.items() if v}}),
        "raw_id": heard[0].raw_id,
        "raw_row": heard[0].row,
    }


def _span(
    events: list[Event], grace: timedelta, seen_at: datetime, oddities: list[str]
) -> tuple[datetime, datetime, bool]:
    """Tell from when to when: from its start, else its first sign of life, to its last."""
    starts = [each.at for each in events if each.event is What.START]
    started = min(starts) if starts else events[0].at
    last = max(started, *(each.at for each in events))
    ends = [each.at for each in events if each.event is What.END]
    if ends:
        if max(ends) < started == last:
            oddities.append(
                f"the workload {events[0].workload_id!r} ends before it starts, so it took no "
                f"time; set the clocks of the machines that report it"
            )
        return started, last, False
    if last + grace > seen_at:
        return started, max(last, seen_at), True
    return started, last + grace, False


def _facts(events: list[Event]) -> Event:
    """Gather what the events say, a later one over an earlier; tags are joined one by one."""
    given: dict[str, Any] = {}
    tags: dict[str, str] = {}
    more: dict[str, str] = {}
    for event in events:
        for one in fields(event):
            value = getattr(event, one.name)
            if value is not None:
                given[one.name] = value
        tags |= event.tags
        more |= event.more
    return Event(**{**given, "tags": tags, "more": more})


def _mean(values: list[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    with localcontext(money.CONTEXT):
        return (money.exact_sum(known) / len(known)).quantize(money.QUANTUM)


def _json(pairs: Mapping[str, str]) -> str | None:
    return json.dumps(dict(pairs), sort_keys=True, ensure_ascii=False) if pairs else None


def _cell(value: object) -> object:
    match value:
        case Decimal():
            return money.text(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return dict(value)
        case _:
            return str(value)


def _demand_sound(event: Event) -> None:
    """Refuse an event that says nothing, too much, or who somebody is."""
    for name in ("id", "workload_id"):
        if not getattr(event, name).strip():
            raise NoEvent(f"has an empty {name!r}")
    if event.at.tzinfo is None:
        raise NoEvent("has a time without zone; write it in UTC, such as 2026-10-01T08:00:00Z")
    if event.at < _EARLIEST:
        raise NoEvent(f"has a time before {_EARLIEST:%Y}; set that machine's clock")
    texts = [event.id, event.workload_id, *(getattr(event, name) or "" for name in _TEXTS)]
    pairs = [*event.tags.items(), *event.more.items()]
    if any(
        len(text) > LONGEST_TEXT for text in (*texts, *(text for pair in pairs for text in pair))
    ):
        raise NoEvent(f"holds a text of more than {LONGEST_TEXT} characters")
    for name, value in (("user", event.user or ""), ("name", event.name or ""), *pairs):
        if looks_personal(value):
            raise Personal(f"holds an e-mail address in {name!r}; report a pseudonym instead")
    _demand_sound_numbers(event)


def _demand_sound_numbers(event: Event) -> None:
    for name in _NUMBERS:
        value: Decimal | None = getattr(event, name)
        if value is None:
            continue
        if not value.is_finite() or not 0 <= value < _LARGEST:
            raise NoEvent(f"has a {name!r} that is no number from 0 to 10^12")
        if value != value.quantize(money.QUANTUM, context=money.CONTEXT):
            raise NoEvent(f"has a {name!r} of more than {money.SCALE} decimals")
    if event.gpu_utilization is not None and event.gpu_utilization > 1:
        raise NoEvent("has a 'gpu_utilization' above 1; write a share, such as 0.85")


def _demanded(document: Mapping[str, Any], name: str) -> str:
    if name not in document:
        raise NoEvent(f"has no {name!r}")
    return _text(document[name], name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise NoEvent(f"has a {name!r} that is no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NoEvent(f"has a {name!r} that is no Unicode text") from None
    return value


def _number(value: Any, name: str) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | Decimal):
        raise NoEvent(f"has a {name!r} that is no number")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise NoEvent(f"has a {name!r} that is no number") from None


def _what(text: str) -> What:
    try:
        return What(text)
    except ValueError:
        raise NoEvent(f"has the event {text!r}; write start, heartbeat or end") from None


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoEvent(f"has the time {text!r}; write it as 2026-10-01T08:00:00Z") from None


def _tags(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NoEvent("has 'tags' that are no JSON object")
    return {
        _text(name, "tags"): _text(text, "tags") for name, text in value.items() if text is not None
    }


def _more(document: Mapping[str, Any]) -> dict[str, str]:
    """Keep what the format does not know: texts as they are, anything else as JSON."""
    unknown = {
        _text(name, "name"): value
        for name, value in document.items()
        if name not in _KNOWN and value is not None
    }
    try:
        return {
            name: _text(value, name) if isinstance(value, str) else json.dumps(value, default=str)
            for name, value in unknown.items()
        }
    except RecursionError:
        raise NoEvent("is nested too deeply") from None


def _refuse(name: str) -> None:
    raise ValueError(name)
