"""The EKS cluster "orion", as OpenCost tells it day by day, and NVIDIA's exporter for its GPUs.

Its nodes are instances of the AWS bill. A pod holds some of a node's eight GPUs for some hours;
what no pod held is idle. Costs here are list prices: they only say in which proportion to split.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from northlight import month
from northlight.work import Documents, Work

SOURCE = "orion"
_GPUS = 8
_NODE_PRICE = Decimal("55.04")
_QUANTUM = Decimal("1e-5")
_READING_BEFORE_END = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Node:
    resource: str
    name: str


@dataclass(frozen=True, slots=True)
class _Load:
    """What runs on a node day after day; a job gets a pod of its own each day."""

    name: str
    namespace: str
    team: str
    gpus: int
    on_weekends: bool
    is_job: bool
    hours: int
    busy: str

    def pod(self, day: datetime) -> str:
        return f"{self.name}-{day:%m%d}" if self.is_job else f"{self.name}-0"


_RESERVED_1 = _Node("i-0orion-reserved-1", "ip-10-2-0-11.us-west-2.compute.internal")
_RESERVED_2 = _Node("i-0orion-reserved-2", "ip-10-2-0-12.us-west-2.compute.internal")
_BURST = _Node("i-0orion-burst", "ip-10-2-0-31.us-west-2.compute.internal")
_LOADS = {
    _RESERVED_1: (
        _Load("detector-train", "perception", "perception", 4, True, True, 22, "0.88"),
        _Load("lidar-sweep", "perception", "perception", 2, False, True, 15, "0.74"),
        _Load("behavior-rl", "planning", "planning", 2, True, True, 20, "0.69"),
    ),
    _RESERVED_2: (
        _Load("rollouts", "simulation", "sim", 4, True, True, 21, "0.81"),
        _Load("polaris-probe", "foundation", "foundation-models", 2, False, True, 18, "0.77"),
        _Load("notebook-planner", "planning", "planning", 1, True, False, 24, "0.04"),
    ),
    _BURST: (
        _Load("detector-sweep", "perception", "perception", 4, False, True, 9, "0.83"),
        _Load("eval-gate", "evaluation", "evaluation", 2, False, True, 6, "0.58"),
    ),
}
_COST_CENTERS = {"sim": "simulation", "foundation-models": "foundation_models"}
"""The cost centers of teams that the cluster's labels spell otherwise."""
IDLEST = "planning/notebook-planner-0"
"""The pod that holds a GPU all month and hardly uses it."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A pod's or nobody's part of a node on one day."""

    node: _Node
    day: datetime
    start: datetime
    hours: Decimal
    gpus: int
    cost: Decimal
    load: _Load | None

    def work(self) -> Work:
        if self.load is None:
            return Work(SOURCE, "idle", f"orion/{self.node.name}/__idle__", self.cost)
        pod = f"orion/{self.load.namespace}/{self.load.pod(self.day)}"
        return Work(SOURCE, "pod", pod, self.cost, self.busy())

    def busy(self) -> Decimal | None:
        if self.load is None:
            return None
        about = (self.load.name, "busy", self.day.day)
        return month.around(Decimal(self.load.busy), *about, percent=8).quantize(Decimal("1e-4"))


def work() -> list[Work]:
    """List what was held, and what was idle."""
    return [held.work() for held in _month()]


def held_gpu_hours(resource: str, day: datetime) -> dict[str, Fraction]:
    """Give the GPU-hours that the pods of each team held of a machine on a day."""
    held: dict[str, Fraction] = {}
    for node in _LOADS:
        for one in _of_node(node, day) if node.resource == resource else ():
            if one.load is not None:
                team = _COST_CENTERS.get(one.load.team, one.load.team)
                seconds = _duration(one.hours) // timedelta(seconds=1)
                held[team] = held.get(team, Fraction(0)) + Fraction(one.gpus * seconds, 3600)
    return held


def documents() -> Documents:
    """Write the replies of `/allocation/compute` and of Prometheus."""
    days: dict[datetime, list[_Held]] = {}
    for held in _month():
        days.setdefault(held.day, []).append(held)
    steps = ",\n".join(
        "{" + ",\n".join(f"{json.dumps(_name(one))}: {_told(one)}" for one in step) + "}"
        for step in days.values()
    )
    allocations = f'{{"code": 200, "status": "success", "data": [\n{steps}\n]}}\n'
    return {"allocation/compute.json": allocations, "api/v1/query_range.json": _readings()}


def _month() -> list[_Held]:
    return [
        held for day in month.days() for node in _LOADS for held in _of_node(node, day)
    ]


def _of_node(node: _Node, day: datetime) -> Iterator[_Held]:
    """Share out a node's day: the burst node is there in working hours, as AWS bills it."""
    start, there = day, Decimal(month.HOURS_A_DAY)
    if node is _BURST:
        start, there = day + timedelta(hours=7), month.office(day, _BURST.resource)
    rest = (_NODE_PRICE * there).quantize(_QUANTUM)
    for load in _LOADS[node]:
        if month.is_weekend(day) and not load.on_weekends:
            continue
        usual = month.around(Decimal(load.hours), load.name, day.day).quantize(Decimal("0.01"))
        hours = min(usual, there)
        cost = (_NODE_PRICE * hours * load.gpus / _GPUS).quantize(_QUANTUM)
        rest -= cost
        yield _Held(node, day, start, hours, load.gpus, cost, load)
    yield _Held(node, day, start, there, 0, rest, None)


def _name(held: _Held) -> str:
    if held.load is None:
        return f"orion/{held.node.name}/__idle__"
    pod = held.load.pod(held.day)
    return f"orion/{held.node.name}/{held.load.namespace}/{pod}/main"


def _told(held: _Held) -> str:
    window = {"start": _at(held.day), "end": _at(held.day + month.DAY)}
    # Nine tenths of such a node's price is its GPUs.
    gpu = (held.cost * 9 / 10).quantize(_QUANTUM)
    told = {
        "name": _name(held),
        "properties": {
            "cluster": "orion",
            "node": held.node.name,
            "providerID": f"aws:///us-west-2b/{held.node.resource}",
            **_labels(held),
        },
        "window": window,
        "start": _at(held.start),
        "end": _at(held.start + _duration(held.hours)),
        "gpuCount": held.gpus,
        "cpuCost": float(held.cost - gpu),
        "ramCost": 0,
        "gpuCost": float(gpu),
        "totalCost": float(held.cost),
    }
    return json.dumps(told, separators=(",", ":"))


def _labels(held: _Held) -> dict[str, object]:
    if held.load is None:
        return {}
    return {
        "namespace": held.load.namespace,
        "pod": held.load.pod(held.day),
        "container": "main",
        "controller": held.load.name,
        "controllerKind": "job" if held.load.is_job else "statefulset",
        "labels": {"team": held.load.team},
    }


def _readings() -> str:
    """Write one reading a day, at the end of its step."""
    values: dict[tuple[str, str], list[list[object]]] = {}
    for held in _month():
        if held.load is not None:
            key = held.load.namespace, held.load.pod(held.day)
            at = int((held.day + month.DAY - _READING_BEFORE_END).timestamp())
            values.setdefault(key, []).append([at, str(held.busy())])
    series = ",\n".join(
        json.dumps({"metric": {"namespace": namespace, "pod": pod}, "values": told})
        for (namespace, pod), told in values.items()
    )
    return f'{{"status": "success", "data": {{"resultType": "matrix", "result": [\n{series}\n]}}}}\n'


def _duration(hours: Decimal) -> timedelta:
    return timedelta(seconds=int(hours * 3600))


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
