"""From when to when something was billed, as far as there is evidence, and at which rate.

What is seen in two samples ran in between: an instance cannot be stopped and started again. Before
the first and after the last sight only an audit event is evidence, so nothing is counted there
without one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from finops.partition import Window
from finops.raw import RawObject
from providers.lambda_labs_replies import Event, Thing

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sight:
    """One thing in one sample: what it was like, and its rate (cents an hour, or bytes).

    `row` is its 0-based place in the raw object. `is_billed` is false while it boots or goes.
    """

    at: datetime
    thing: Thing
    rate: Decimal | None
    is_billed: bool
    raw: RawObject
    row: int


@dataclass(frozen=True, slots=True)
class Life:
    """A half-open time of being billed, and what proves its ends; open when no event ended it."""

    start: datetime
    end: datetime
    start_evidence: str
    end_evidence: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a life in one UTC day, alike throughout; `sight` is a sample nearest to it."""

    start: datetime
    end: datetime
    sight: Sight


def life(
    sights: Sequence[Sight], launches: Sequence[Event], terminations: Sequence[Event]
) -> Life | None:
    """Tell when one thing was billed; `None` when there is no evidence of any time.

    `sights` are in order of time. An event that a sample contradicts is not believed: a
    "termination" before it was last seen running did not end it.
    """
    billed = [sight.at for sight in sights if sight.is_billed]
    first, last = (billed[0], billed[-1]) if billed else (None, None)
    launch = min(launches, key=lambda event: event.at, default=None)
    if launch and first and launch.at > first:
        launch = None
    since = first or (launch.at if launch else None)
    ended = [event for event in terminations if since and event.at >= (last or since)]
    end = min(ended, key=lambda event: event.at, default=None)
    if since is None or not (first or end):
        return None
    start, start_evidence = _start(sights, first, launch)
    until = end.at if end else last
    assert until is not None, "one of the two was demanded above"
    if until <= start:
        return None
    return Life(
        start,
        until,
        start_evidence,
        f"audit event {end.id}" if end else "last seen",
        is_open=end is None,
    )


def _start(
    sights: Sequence[Sight], first: datetime | None, launch: Event | None
) -> tuple[datetime, str]:
    """Start at the launch, but not while a later sample still saw it boot."""
    if launch is None:
        assert first is not None, "there is no life without launch or sight"
        return first, "first seen"
    booting = [sight.at for sight in sights if _boots(sight) and (not first or sight.at < first)]
    still_booting = max(booting, default=launch.at)
    if still_booting > launch.at:
        return still_booting, f"audit event {launch.id}, then seen booting"
    return launch.at, f"audit event {launch.id}"


def _boots(sight: Sight) -> bool:
    return sight.thing.status == "booting" and not sight.is_billed


def slices(one: Life, sights: Sequence[Sight], window: Window) -> Iterator[Slice]:
    """Cut a life at midnight, and half-way between two samples that differ in rate, name or tags.

    Only what lies in `window` is given. At any time the nearest sample tells what it was like, so
    `sights` must not be empty; they are in order of time.
    """
    start, end = max(one.start, window.start_at), min(one.end, window.end_at)
    growing: Slice | None = None
    for piece in _by_day(start, end, sights):
        if growing and growing.end == piece.start and _may_join(growing, piece):
            growing = replace(growing, end=piece.end)
            continue
        if growing:
            yield growing
        growing = piece
    if growing:
        yield growing


def _by_day(start: datetime, end: datetime, sights: Sequence[Sight]) -> Iterator[Slice]:
    turns = [a.at + (b.at - a.at) / 2 for a, b in pairwise(sights)]
    for sight, opens, closes in zip(sights, [start, *turns], [*turns, end], strict=True):
        at, until = max(opens, start), min(closes, end)
        while at < until:
            midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
            yield Slice(at, min(midnight, until), sight)
            at = min(midnight, until)


def _may_join(one: Slice, other: Slice) -> bool:
    return _alike(one.sight) == _alike(other.sight) and one.start.date() == other.start.date()


def _alike(sight: Sight) -> tuple[object, ...]:
    """Give what makes another charge: tags decide who pays for it."""
    return sight.rate, sight.thing.name, sight.thing.tags
