"""What two training scripts on RunPod's pods report of themselves: files of `finops-event/1`."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from northlight import month, runpod
from northlight.runpod import Pod
from northlight.work import Documents, Work

SOURCE = "training"
_EVERY = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run on a pod, all of whose GPUs it holds."""

    pod: Pod
    name: str
    start: datetime
    end: datetime
    tags: dict[str, str]

    @property
    def id(self) -> str:
        return f"{self.name}-{self.start:%m%d}"

    @property
    def heartbeats(self) -> list[datetime]:
        count = (self.end - self.start) // _EVERY
        return [self.start + _EVERY * place for place in range(1, count + 1)]


def work() -> list[Work]:
    """List the runs; the utilization of one is the mean of what it reported."""
    found = []
    for run in _runs():
        told = [_busy(run, at) for at in run.heartbeats]
        mean = sum(told, Decimal(0)) / len(told)
        found.append(Work(SOURCE, "run", run.id, Decimal(0), mean))
    return found


def documents() -> Documents:
    """Write a file for each pod."""
    files: Documents = {}
    for run in _runs():
        name = f"{month.PERIOD}-{run.pod.id}.jsonl"
        files[name] = files.get(name, "") + "".join(_events(run))
    return files


def _runs() -> list[_Run]:
    """List the runs: night vision trains every working day, the tuning in four long runs."""
    by_name = {pod.name: pod for pod in runpod.PODS}
    vision, tuning = by_name["night-vision-train"], by_name["instruct-sft"]
    days = sorted({hour.replace(hour=0) for hour in vision.hours()})
    daily = [
        _Run(
            vision,
            "night-vision",
            day + timedelta(hours=7, minutes=40),
            day + timedelta(hours=20, minutes=30),
            {"team": "perception", "project": "night-vision", "workload_type": "training"},
        )
        for day in days
    ]
    long = [
        _Run(
            tuning,
            "instruct-sft",
            month.on(first, 8),
            month.on(first + 5, 2),
            {"project": "instruction-tuning", "workload_type": "fine-tuning"},
        )
        for first in (3, 9, 15, 21)
    ]
    return [*daily, *long]


def _events(run: _Run) -> Iterator[str]:
    start = {
        "kind": "run",
        "name": run.name,
        "resource_id": run.pod.id,
        "gpu_model": run.pod.gpu_model,
        "gpu_count": str(run.pod.gpu_count),
        "user": "u-" + hashlib.sha256(run.name.encode()).hexdigest()[:6],
        "tags": run.tags,
    }
    yield _event(run, "start", run.start, start)
    for at in run.heartbeats:
        yield _event(run, "heartbeat", at, {"gpu_utilization": str(_busy(run, at))})
    yield _event(run, "end", run.end, {})


def _event(run: _Run, what: str, at: datetime, more: dict[str, object]) -> str:
    name = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    told = {
        "format": "finops-event/1",
        "id": hashlib.sha256(f"{run.id}|{what}|{name}".encode()).hexdigest()[:16],
        "event": what,
        "workload_id": run.id,
        "at": name,
        **more,
    }
    return json.dumps(told) + "\n"


def _busy(run: _Run, at: datetime) -> Decimal:
    return month.around(Decimal("0.82"), run.id, at, percent=9).quantize(Decimal("0.01"))
