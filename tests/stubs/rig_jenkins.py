"""Jenkins' replies: a freestyle job, and a pipeline of two stages in a folder."""

import json
from datetime import UTC, date, datetime
from typing import Any

from finops.partition import Window
from tests.stubs.rig import Endpoint, Rig
from tests.stubs.scripted import JSON, Answer

NODES: Endpoint = ("GET", "/computer/api/json")
ROOT: Endpoint = ("GET", "/api/json")
TEAM: Endpoint = ("GET", "/job/team/api/json")
NIGHTLY: Endpoint = ("GET", "/job/nightly/api/json")
DETECTOR: Endpoint = ("GET", "/job/team/job/detector/api/json")
STAGES: Endpoint = ("GET", "/job/team/job/detector/7/wfapi/describe")

NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)
HOUR = 3_600_000


def ms(hour: float) -> int:
    """Tell the epoch milliseconds of so many hours after noon of October 2."""
    return int(NOON.timestamp() * 1000 + hour * HOUR)


def answer(document: Any, at: str = "Fri, 02 Oct 2026 18:00:00 GMT") -> Answer:
    """Answer as Jenkins would at that time."""
    return Answer(json.dumps(document).encode(), headers=JSON | {"Date": at})


def build(job: str, number: int, hour: float, hours: float = 1, **more: Any) -> dict[str, Any]:
    """Write a build that began `hour` hours after noon."""
    path = "/".join(f"job/{part}" for part in job.split("/"))
    return {
        "_class": "hudson.model.FreeStyleBuild",
        "number": number,
        "url": f"https://ci.acme.example/{path}/{number}/",
        "result": "SUCCESS",
        "timestamp": ms(hour),
        "duration": int(hours * HOUR),
        "building": False,
        "builtOn": "gpu-1",
        "queueId": 100 + number,
        **more,
    }


def pipeline(job: str, number: int, hour: float, hours: float = 1, **more: Any) -> dict[str, Any]:
    """Write a pipeline build: it has no node of its own."""
    made = build(job, number, hour, hours, **more)
    del made["builtOn"]
    return {**made, "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun"}


def stage(number: int, name: str, hour: float, hours: float = 1, **more: Any) -> dict[str, Any]:
    """Write a stage of a pipeline build."""
    return {
        "id": str(number),
        "name": name,
        "execNode": "",
        "status": "SUCCESS",
        "startTimeMillis": ms(hour),
        "durationMillis": int(hours * HOUR),
        "pauseDurationMillis": 0,
        **more,
    }


def builds(*listed: dict[str, Any]) -> Answer:
    """Answer with a page of builds."""
    return answer({"_class": "x", "allBuilds": listed})


def stages(*listed: dict[str, Any]) -> Answer:
    """Answer with the stages of a build."""
    return answer({"id": "7", "pauseDurationMillis": 0, "stages": listed})


def nodes(*labels: str, running: str | None = None) -> Answer:
    """Answer with the controller and `gpu-1`, which has these labels and runs that build."""
    url = {"url": f"https://ci.acme.example/{running}/"} if running else None
    return answer(
        {
            "computer": [
                {
                    "_class": "hudson.model.Hudson$MasterComputer",
                    "displayName": "Built-In Node",
                    "assignedLabels": [{"name": "built-in"}],
                    "executors": [{}],
                },
                {
                    "_class": "hudson.slaves.SlaveComputer",
                    "displayName": "gpu-1",
                    "assignedLabels": [{"name": label} for label in labels],
                    "executors": [{"currentExecutable": url}],
                },
            ]
        }
    )


FOLDERS = {"jobs": [{"name": "nightly"}, {"name": "team", "jobs": [{"name": "detector"}]}]}
OLDER = tuple(build("nightly", number, -90) for number in range(40, -59, -1))

RIG = Rig(
    provider="jenkins",
    settings=lambda address: {"url": address},
    environment={"JENKINS_USER": "finops", "JENKINS_TOKEN": "11secretTOKEN99"},
    secret="11secretTOKEN99",
    window=Window(date(2026, 10, 1), date(2026, 10, 4)),
    good={
        NODES: (nodes("gpu", "i-0abc"),),
        ROOT: (answer(FOLDERS),),
        TEAM: (answer({"jobs": [{"name": "detector"}]}),),
        NIGHTLY: (builds(build("nightly", 41, 0)),),
        DETECTOR: (builds(pipeline("team/detector", 7, 0, 2)),),
        STAGES: (stages(stage(6, "Build", 0), stage(11, "Train", 1)),),
    },
    rows=3,
    empty={NIGHTLY: (builds(),), DETECTOR: (builds(),)},
    late={NIGHTLY: (builds(build("nightly", 42, 3), build("nightly", 41, 0)),)},
    late_rows=4,
    unknown_column={NIGHTLY: (builds(build("nightly", 41, 0, mood="fine")),)},
    renamed={NIGHTLY: (builds(build("nightly", 41, 0, builtOn="nobody-knows")),)},
    pages={
        NIGHTLY: (
            builds(build("nightly", 41, 0), *OLDER),
            builds(build("nightly", -60, -900)),
        )
    },
    survives={STAGES: frozenset({404})},  # the plugin that tells of stages may be missing
)
