"""The runs of a Cost Management export: what their manifests say, and which of them count.

Each run writes its part files first and its manifest last, into a folder of its own:

    <export>/20261001-20261031/[202611020400/]<run-guid>/part_0_0001.snappy.parquet
    <export>/20261001-20261031/[202611020400/]<run-guid>/manifest.json

A month is exported again and again: every day from its first day on, once more when it is closed,
and whenever somebody asks for it. So for each month only the newest run that covers it counts, and
only the files that its manifest names. The dates of a run are inclusive at both ends.

https://learn.microsoft.com/azure/cost-management-billing/costs/tutorial-improved-exports
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from finops.errors import Terminal, Transient
from finops.partition import Window
from providers.http import parse_json

FOCUS = "FocusCost"
_MANIFEST = "manifest.json"
_RANGE = re.compile(r"(\d{8})-(\d{8})")
_MADE_AT = re.compile(r"\d{12}")
_NEVER = datetime.min.replace(tzinfo=UTC)
_DAY = timedelta(days=1)


class Gone(Exception):
    """The file is not there, or not any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says of a file: address, ETag, time of its last change (RFC 3339)."""

    uri: str
    etag: str = ""
    modified_at: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a run: its path below the export, and its size where the manifest says it."""

    path: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as its manifest tells it; `last` is the last day that is in it.

    `made_at` is when it was asked for, `None` when neither manifest nor folder says so. `rows` is
    how many rows all its parts have together.
    """

    content: bytes
    stored: Stored
    export: str
    id: str
    first: date
    last: date
    made_at: datetime | None
    rows: int | None
    parts: tuple[Part, ...]

    @property
    def age(self) -> tuple[datetime, str]:
        """Order runs from the oldest to the newest, in the same way each time."""
        return self.made_at or _NEVER, self.stored.uri

    @property
    def months(self) -> tuple[str, ...]:
        """Name the calendar months of its days, in order."""
        return Window(self.first, max(self.first, self.last) + _DAY).periods()

    def touches(self, month: str) -> bool:
        """Tell whether any day of `month` is in this run."""
        days = Window.of_period(month)
        return self.first < days.end and self.last >= days.start

    def covers(self, month: str) -> bool:
        """Tell whether this run holds all of `month`, or all there was when it was made."""
        days = Window.of_period(month)
        last_day = days.end - _DAY
        known = min(last_day, self.made_at.date() - _DAY) if self.made_at else last_day
        return self.first <= days.start and self.last >= max(known, days.start)


def manifests(names: Iterable[str], months: Sequence[str]) -> list[str]:
    """Pick the manifests out of an export's files, but for folders of other months.

    Older kinds of export write a `_manifest.json`: it is neither a manifest of these nor data.
    """
    found = [name for name in sorted(names) if PurePosixPath(name).name == _MANIFEST]
    return [name for name in found if _may_touch(name, months)]


def _may_touch(name: str, months: Sequence[str]) -> bool:
    told = _folder_range(name)
    if told is None:
        return True
    return any(
        told[0] < Window.of_period(month).end and told[1] >= Window.of_period(month).start
        for month in months
    )


def read(content: bytes, stored: Stored, path: str) -> Run | None:
    """Read a manifest that lies at `path` below the export; `None` when its run exported nothing.

    Raises `Transient` for one that is not whole and `Terminal` for another kind of file or export.
    """
    document = parse_json(content, stored.uri)
    if not isinstance(document, dict) or not isinstance(document.get("exportConfig"), dict):
        raise Terminal(
            f"{stored.uri}: is no manifest of a Cost Management export; point the source's "
            f"'export' at the folder of one export"
        )
    config, about = document["exportConfig"], _mapping(document.get("runInfo"))
    kind = config.get("type", FOCUS)
    if kind != FOCUS:
        raise Terminal(
            f"{stored.uri}: is of an export of type {kind}; create one of type 'Cost and usage "
            f"details (FOCUS)' and name it in the source's 'export'"
        )
    if not document.get("blobCount"):
        return None
    first, last = _dates(about, path, stored.uri)
    return Run(
        content=content,
        stored=stored,
        export=str(config.get("exportName", "")),
        id=str(about.get("runId", "")),
        first=first,
        last=last,
        made_at=_made_at(about, path),
        rows=_count(document.get("dataRowCount")),
        parts=tuple(_parts(document, path, stored.uri)),
    )


def _parts(document: Mapping[str, Any], path: str, uri: str) -> Iterator[Part]:
    """Find each part beside its manifest, so that a copied export works too."""
    folder = PurePosixPath(path).parent
    blobs = document.get("blobs")
    if not isinstance(blobs, list) or len(blobs) != document["blobCount"]:
        raise Transient(
            f"{uri}: counts {document['blobCount']} files but does not name as many; it may be in "
            f"the making, so try again"
        )
    for blob in blobs:
        named = PurePosixPath(str(_mapping(blob).get("blobName", "")))
        if not named.name or named.parent.name != folder.name:
            raise Terminal(
                f"{uri}: names {str(named)!r}, which is not in its own folder; copy the export "
                f"with its folders as they are"
            )
        yield Part((folder / named.name).as_posix(), _count(_mapping(blob).get("byteCount")))


def newest(runs: Iterable[Run], months: Sequence[str]) -> dict[str, Run]:
    """Choose for each month the newest run that covers it; months without one are left out."""
    chosen: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.age):
        chosen |= {month: run for month in months if run.covers(month)}
    return {month: chosen[month] for month in months if month in chosen}


def partial_months(
    runs: Iterable[Run], months: Sequence[str], chosen: Mapping[str, Run]
) -> list[str]:
    """Name the months of which there are only runs of a week, a day, or another part."""
    known = list(runs)
    return [
        month
        for month in months
        if month not in chosen and any(run.touches(month) for run in known)
    ]


def taken_elsewhere(run: Run, chosen: Mapping[str, Run]) -> list[str]:
    """Name the months that are in `run` too but are taken from a newer one."""
    return [month for month in chosen if chosen[month] is not run and run.touches(month)]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    try:
        return None if value is None else int(str(value))
    except ValueError:
        return None


def _dates(about: Mapping[str, Any], path: str, uri: str) -> tuple[date, date]:
    told = _date(about.get("startDate")), _date(about.get("endDate"))
    if told[0] and told[1]:
        return told[0], told[1]
    in_path = _folder_range(path)
    if in_path is None:
        raise Terminal(
            f"{uri}: neither it nor its folder says which days it covers (runInfo.startDate and "
            f"endDate); is it the manifest of a FOCUS export?"
        )
    return in_path


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)[: len("2026-10-01")])
    except ValueError:
        return None


def _folder_range(path: str) -> tuple[date, date] | None:
    for folder in PurePosixPath(path).parent.parts:
        if match := _RANGE.fullmatch(folder):
            try:
                return date.fromisoformat(match[1]), date.fromisoformat(match[2])
            except ValueError:
                return None
    return None


def _made_at(about: Mapping[str, Any], path: str) -> datetime | None:
    folders = PurePosixPath(path).parent.parts
    in_path = [f"{name[:8]}T{name[8:]}" for name in folders if _MADE_AT.fullmatch(name)]
    for told in (str(about.get("submittedTime")), *in_path):
        try:
            made_at = datetime.fromisoformat(told)
        except ValueError:
            continue
        return made_at.replace(tzinfo=UTC) if made_at.tzinfo is None else made_at.astimezone(UTC)
    return None
