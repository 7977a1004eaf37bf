"""Jenkins' replies, recorded: builds on the machines of the Motion Planner, which AWS bills.

A label of each node names the instance that it is. The regression is a simple job on one node; a
release is a pipeline whose stages run where there is room.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from northlight import month
from northlight.work import Documents, Work

SOURCE = "jenkins"
_URL = "https://ci.northlight.example"
_NODES = {f"planner-ci-{place}": f"i-0motion-{place}" for place in (1, 2, 3)}
_REGRESSION, _RELEASE = "planner/regression", "planner/release"
_RELEASE_WEEKDAY = 2
_STAGES = (("Build", "planner-ci-1", 24), ("Simulate", "planner-ci-2", 190), ("Package", "planner-ci-1", 11))


@dataclass(frozen=True, slots=True)
class _Build:
    """A build of one of the two jobs, in whole seconds."""

    job: str
    number: int
    node: str | None
    start: datetime
    took: timedelta
    stages: tuple[tuple[str, str, datetime, timedelta], ...] = ()

    def works(self) -> Iterator[Work]:
        if not self.stages:
            yield Work(SOURCE, "build", f"{self.job}#{self.number}", _seconds(self.took))
        for place, (_, _, _, took) in enumerate(self.stages):
            id_ = f"{self.job}#{self.number}/{_stage_id(place)}"
            yield Work(SOURCE, "stage", id_, _seconds(took))


def work() -> list[Work]:
    """List the builds, and the stages of pipelines."""
    return [one for build in (*_regressions(), *_releases()) for one in build.works()]


def documents() -> Documents:
    """Write the list of nodes, the tree of jobs, their builds, and the stages of each release."""
    return {
        "computer/api/json.json": _nodes(),
        "api/json.json": _pretty(
            {"jobs": [{"name": "planner", "jobs": [{"name": "regression"}, {"name": "release"}]}]}
        ),
        "job/planner/api/json.json": _pretty(
            {"jobs": [{"name": "regression"}, {"name": "release"}]}
        ),
        "job/planner/job/regression/api/json.json": _builds(_regressions()),
        "job/planner/job/release/api/json.json": _builds(_releases()),
        **{
            f"job/planner/job/release/{build.number}/wfapi/describe.json": _described(build)
            for build in _releases()
        },
    }


def _regressions() -> list[_Build]:
    """List the builds: at night, and for each change that was merged on a weekday."""
    found: list[_Build] = []
    for day in month.days():
        hours = (1,) if month.is_weekend(day) else (1, 10, 15)
        for place, hour in enumerate(hours):
            about = ("regression", day.day, hour)
            usual = Decimal(210 if hour == 1 else 75)
            start = day + timedelta(hours=hour, seconds=int(month.noise(*about, "late") * 900))
            took = timedelta(seconds=int(month.around(usual, *about, percent=20) * 60))
            node = f"planner-ci-{1 + (day.day + place) % len(_NODES)}"
            found.append(_Build(_REGRESSION, 1204 + len(found), node, start, took))
    return found


def _releases() -> list[_Build]:
    """List the pipelines: one a week."""
    days = [day for day in month.days() if day.weekday() == _RELEASE_WEEKDAY]
    return [_release(day, 88 + place) for place, day in enumerate(days)]


def _release(day: datetime, number: int) -> _Build:
    begun = at = day + timedelta(hours=13)
    stages = []
    for name, node, minutes in _STAGES:
        usual = month.around(Decimal(minutes), name, day.day, percent=15)
        took = timedelta(seconds=int(usual * 60))
        stages.append((name, node, at, took))
        at += took
    return _Build(_RELEASE, number, None, begun, at - begun, tuple(stages))


def _nodes() -> str:
    built_in = {
        "_class": "hudson.model.Hudson$MasterComputer",
        "displayName": "Built-In Node",
        "assignedLabels": [{"name": "built-in"}],
        "executors": [{}],
    }
    agents = [
        {
            "_class": "hudson.slaves.SlaveComputer",
            "displayName": name,
            "assignedLabels": [{"name": "planner"}, {"name": instance}],
            "executors": [{}],
        }
        for name, instance in _NODES.items()
    ]
    return _pretty({"computer": [built_in, *agents]})


def _builds(builds: list[_Build]) -> str:
    rows = ",\n".join(json.dumps(_listed(build)) for build in reversed(builds))
    return f'{{"allBuilds": [\n{rows}\n]}}\n'


def _listed(build: _Build) -> dict[str, object]:
    path = "/".join(f"job/{part}" for part in build.job.split("/"))
    told = {
        "_class": "hudson.model.FreeStyleBuild" if build.node else _PIPELINE,
        "number": build.number,
        "url": f"{_URL}/{path}/{build.number}/",
        "result": "SUCCESS",
        "timestamp": _ms(build.start),
        "duration": _ms_of(build.took),
        "building": False,
        "queueId": 50000 + build.number,
    }
    return told | ({"builtOn": build.node} if build.node else {})


_PIPELINE = "org.jenkinsci.plugins.workflow.job.WorkflowRun"


def _described(build: _Build) -> str:
    stages = [
        {
            "id": _stage_id(place),
            "name": name,
            "execNode": node,
            "status": "SUCCESS",
            "startTimeMillis": _ms(start),
            "durationMillis": _ms_of(took),
            "pauseDurationMillis": 0,
        }
        for place, (name, node, start, took) in enumerate(build.stages)
    ]
    return _pretty({"id": str(build.number), "pauseDurationMillis": 0, "stages": stages})


def _stage_id(place: int) -> str:
    return str(6 + 10 * place)


def _seconds(took: timedelta) -> Decimal:
    return Decimal(took // timedelta(seconds=1))


def _ms(time: datetime) -> int:
    return int(time.timestamp()) * 1000


def _ms_of(took: timedelta) -> int:
    return took // timedelta(milliseconds=1)


def _pretty(document: dict[str, object]) -> str:
    return json.dumps(document, indent=1) + "\n"
