"""What Jenkins' replies say: items, builds, pipeline stages and nodes.

`builtOn` is the node of a build, empty for the controller, and absent for pipelines: those run on
several. The stage API names a node only where a plugin marks the step with one, which hardly any
does, so what each node's executors were busy with when we looked is read too.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from finops.errors import DataError
from providers import rows, shapes

Parsed = TypeVar("Parsed")

CONTROLLER = "built-in"
"""The node of a build on the controller, unless the list of nodes has a name for it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JOB_PATH = re.compile(r"/job/.*?/\d+(?=/|$)")
_NO_TIME = frozenset({"NOT_EXECUTED", "SKIPPED"})
_UNDER_WAY = frozenset({"IN_PROGRESS", "PAUSED_PENDING_INPUT"})


@dataclass(frozen=True, slots=True)
class Item:
    """A folder or a job, by its full name such as `team/detector`."""

    name: str
    is_folder: bool

    @property
    def path(self) -> str:
        return "".join(f"/job/{quote(part, safe='')}" for part in self.name.split("/"))


@dataclass(frozen=True, slots=True)
class Build:
    """One build; `path` is its address below Jenkins', `row` its place in the reply."""

    number: int
    path: str
    result: str | None
    start: datetime
    took: timedelta
    is_running: bool
    is_pipeline: bool
    node: str | None
    queue_id: int | None
    parameters: Mapping[str, str]
    row: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline that took time; `paused` is the part it waited for somebody."""

    id: str
    name: str
    status: str
    start: datetime
    took: timedelta
    paused: timedelta
    node: str | None
    row: int

    @property
    def is_running(self) -> bool:
        return self.status in _UNDER_WAY


@dataclass(frozen=True, slots=True)
class Run:
    """A pipeline build as its stages tell it; `paused` is of the whole."""

    stages: tuple[Stage, ...]
    paused: timedelta


@dataclass(frozen=True, slots=True)
class Nodes:
    """The labels of each node, and the paths of the builds that each was busy with."""

    labels: Mapping[str, tuple[str, ...]]
    busy: Mapping[str, frozenset[str]]
    controller: str


def items(document: Any, name: str, parent: str) -> list[Item]:
    """Read what a folder holds (`parent` is its full name); raises `DataError` otherwise."""
    prefix = f"{parent}/" if parent else ""
    return _read(
        lambda: [Item(f"{prefix}{row['name']}", "jobs" in row) for row in document["jobs"]], name
    )


def builds(document: Any, name: str) -> list[Build]:
    """Read one page of a job's builds, newest first; raises `DataError` for any other shape."""
    return _read(
        lambda: [_build(row, place) for place, row in enumerate(document["allBuilds"])], name
    )


def run(document: Any, name: str) -> Run:
    """Read the stages of a pipeline build; raises `DataError` for any other shape."""
    return _read(
        lambda: Run(
            tuple(
                _stage(row, place)
                for place, row in enumerate(document["stages"])
                if row["status"] not in _NO_TIME
            ),
            _ms(document.get("pauseDurationMillis")),
        ),
        name,
    )


def nodes(document: Any, name: str) -> Nodes:
    """Read the list of nodes; raises `DataError` for any other shape."""
    return _read(lambda: _nodes(document["computer"]), name)


def _read(parse: Callable[[], Parsed], name: str) -> Parsed:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is no reply of Jenkins' as it is known ({type(error).__name__}: {error}); "
            f"nothing of it was taken"
        ) from None


def _build(row: Mapping[str, Any], place: int) -> Build:
    queue_id = row.get("queueId")
    return Build(
        number=shapes.whole(row["number"]),
        path=_path(row["url"]),
        result=shapes.optional_text(row.get("result")),
        start=_EPOCH + _ms(row["timestamp"]),
        took=_ms(row["duration"]),
        is_running=bool(row.get("building")),
        is_pipeline=str(row.get("_class", "")).endswith("WorkflowRun"),
        node=shapes.optional_text(row.get("builtOn")),
        queue_id=None if queue_id is None else shapes.whole(queue_id),
        parameters=rows.tags(_parameters(row.get("actions") or ())) or {},
        row=place,
    )


def _parameters(actions: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, object]]:
    for action in actions:
        for each in action.get("parameters") or ():
            yield shapes.text(each["name"]), each.get("value")


def _stage(row: Mapping[str, Any], place: int) -> Stage:
    return Stage(
        id=str(row["id"]),
        name=shapes.text(row["name"]),
        status=shapes.text(row["status"]),
        start=_EPOCH + _ms(row["startTimeMillis"]),
        took=_ms(row["durationMillis"]),
        paused=_ms(row.get("pauseDurationMillis")),
        node=shapes.optional_text(row.get("execNode")) or None,
        row=place,
    )


def _nodes(computers: Iterable[Mapping[str, Any]]) -> Nodes:
    labels, busy, controller = {}, {}, CONTROLLER
    for computer in computers:
        name = shapes.text(computer["displayName"])
        labels[name] = tuple(
            sorted(
                shapes.text(each["name"]) for each in computer.get("assignedLabels") or () if each
            )
        )
        running = [each.get("currentExecutable") or {} for each in computer.get("executors") or ()]
        busy[name] = frozenset(_path(each["url"]) for each in running if each.get("url"))
        if str(computer.get("_class", "")).endswith("MasterComputer"):
            controller = name
    return Nodes(labels, busy, controller)


def _path(url: str) -> str:
    """Take the address of a build below Jenkins', whatever name Jenkins believes to have."""
    found = _JOB_PATH.search(url)
    return found[0] if found else url


def _ms(value: Any) -> timedelta:
    return max(timedelta(milliseconds=shapes.whole(value or 0)), timedelta())
