"""Workloads that users report themselves: files of events, one line each, left in a folder.

Every file is read every time: a workload may start in one file and end in another. A half-written
last line is left for the next run, and a line with an e-mail address in it is never kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import Field

from finops import reported, workloads
from finops.errors import DataError, Issue, Severity, Terminal
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.reported import Event, Folded, Heard, NoEvent, Personal
from finops.workloads import Told
from providers import sdk_files
from providers.base import Probe, Settings

_READ_AT = "read_at"
_MOST_NAMED = 5


class SdkSettings(Settings):
    """`path`: a folder (relative to finops.toml) or `s3://bucket/prefix` of event files.

    A workload without end is over `grace_minutes` after its last sign of life.
    """

    path: str
    grace_minutes: int = Field(default=15, ge=0, le=24 * 60)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one file holds: the lines that may be kept, the events, and what is wrong with it."""

    content: bytes
    events: list[Event]
    issues: list[Issue]


class Sdk:
    """The workloads reported into one folder."""

    NAME: ClassVar[str] = "sdk"
    NEEDS: ClassVar[str] = "path: a folder or s3:// prefix of *.jsonl files"
    LOOKBACK_DAYS: ClassVar[int] = 3
    settings_model: ClassVar[type[Settings]] = SdkSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, SdkSettings), "the registry validates settings"
        self._source = source
        self._path = settings.path
        self._base = base
        self._grace = timedelta(minutes=settings.grace_minutes)

    def probes(self) -> Mapping[str, Probe]:
        """Look for the files, and read every line as a run would."""
        return {
            f"{self._path} holds event files": self._names,
            "every line of them is an event": self._demand_events,
        }

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Keep every file; raises `Terminal` when there is none or it may not be read."""
        receipt = {_READ_AT: datetime.now(UTC).isoformat()}
        kept: dict[str, RawObject] = {}
        issues: list[Issue] = []
        for name, found in self._read():
            issues += found.issues
            if found.content:
                raw = store.keep(found.content, f"sdk/{name}", receipt)
                kept.setdefault(raw.sha256, raw)
        objects = tuple(kept.values())
        folded = self._folded(objects, store.path)
        issues += [Issue(self._source, each, Severity.WARNING) for each in folded.oddities]
        return Delivery(self.NAME, self._source, Scope(days=window), objects, issues=tuple(issues))

    def workloads(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Told]:
        """Make one row of each workload, whatever the order of its events."""
        by_raw: dict[str, list[dict[str, object]]] = {}
        for row in self._folded(delivery.objects, path).rows:
            by_raw.setdefault(str(row["raw_id"]), []).append(row)
        for raw in delivery.objects:
            rows = by_raw.get(raw.sha256, [])
            if rows:
                schema = {name: workloads.SCHEMA[name] for name in rows[0]}
                yield Told(raw, pl.LazyFrame(rows, schema=schema))

    def reported(self, now: datetime) -> Folded:
        """Read what is reported up to `now`, as `workloads` would, and keep nothing of it."""
        heard = [
            Heard(event, name, row)
            for name, found in self._read()
            for row, event in enumerate(found.events)
        ]
        return reported.fold(heard, self._grace, now)

    def _folded(self, objects: Iterable[RawObject], path: Callable[[RawObject], Path]) -> Folded:
        heard: list[Heard] = []
        seen_at = datetime.min.replace(tzinfo=UTC)
        for raw in objects:
            seen_at = max(seen_at, datetime.fromisoformat(raw.receipt[_READ_AT]))
            for row, line in enumerate(path(raw).read_bytes().split(b"\n")):
                event = _heard(line)
                if isinstance(event, Event):
                    heard.append(Heard(event, raw.sha256, row))
        return reported.fold(heard, self._grace, seen_at)

    def _read(self) -> Iterator[tuple[str, _Read]]:
        files = sdk_files.opened(self._base, self._path)
        for name in self._names():
            yield name, _read(files.read(name), name, f"{self._source}: {name}")

    def _names(self) -> list[str]:
        names = sdk_files.opened(self._base, self._path).names()
        if not names:
            raise Terminal(
                f"{self._source}: {self._path} holds no file that ends in "
                f"{' or '.join(sdk_files.SUFFIXES)}; report a workload, or correct 'path'"
            )
        return names

    def _demand_events(self) -> None:
        issues = [issue for _, found in self._read() for issue in found.issues]
        bad = [issue for issue in issues if issue.severity is not Severity.INFO]
        if bad:
            raise DataError.of(bad)


def _read(content: bytes, name: str, where: str) -> _Read:
    """Take the whole lines of a file, without those that hold an e-mail address."""
    text, is_whole = sdk_files.plain(name, content)
    whole, line_feed, half = text.rpartition(b"\n")
    lines = whole.split(b"\n") if line_feed else []
    events = [_heard(line) for line in lines]
    personal = {row for row, found in enumerate(events) if isinstance(found, Personal)}
    kept = b"".join(line + b"\n" for row, line in enumerate(lines) if row not in personal)
    issues = [*_bad_lines(events, where)]
    if half:
        issues.append(
            Issue(
                where,
                f"its last line ({len(half)} bytes) has no line feed yet and was left for the next "
                f"run",
                Severity.INFO,
            )
        )
    if not is_whole:
        issues.append(
            Issue(where, "its gzip data break off; what came before was read", Severity.INFO)
        )
    return _Read(kept, [found for found in events if isinstance(found, Event)], issues)


def _bad_lines(events: Sequence[Event | NoEvent | None], where: str) -> Iterator[Issue]:
    bad = [(row + 1, found) for row, found in enumerate(events) if isinstance(found, NoEvent)]
    if bad:
        named = "; ".join(f"line {line} {found}" for line, found in bad[:_MOST_NAMED])
        more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
        count = "one line was" if len(bad) == 1 else f"{len(bad)} lines were"
        yield Issue(where, f"{count} left out: {named}{more}", Severity.WARNING)


def _heard(line: bytes) -> Event | NoEvent | None:
    """Read a line: an event, why it is none, or nothing where nothing is."""
    if not line.strip():
        return None
    text = line.decode(errors="replace")
    try:
        return reported.parse(text)
    except NoEvent as fault:
        return Personal(str(fault)) if reported.looks_personal(text) else fault
