"""RunPod's replies, recorded: billing by the hour, and the pods of today.

Billing knows pod ids and amounts only. GPU, price and tags (from the environment TEAM and PROJECT)
are in the list of pods, and a pod that was terminated is no longer in it.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from northlight import month
from northlight.line import Line
from northlight.month import HOUR

UNTAGGED_POD = "x4k8untagged2b7"
TERMINATED_POD = "q7m2terminated9x"

_H100 = "NVIDIA H100 80GB HBM3"
_4090 = "NVIDIA GeForce RTX 4090"
_QUANTUM = Decimal("0.00001")
_SHORTEST_HOUR = Decimal("0.25")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod and the days and hours in which it runs; `owner` None is unallocated."""

    id: str
    name: str
    gpu: str
    gpu_model: str
    gpu_count: int
    gpu_price: Decimal
    disk_an_hour: Decimal
    first: datetime
    end: datetime
    hours_of_day: range
    on_weekends: bool
    environment: dict[str, str]
    owner: str | None

    @property
    def price(self) -> Decimal:
        """Give what an hour of the pod's GPUs costs, in US dollars."""
        return self.gpu_price * self.gpu_count

    def hours(self) -> list[datetime]:
        """List the hours in which the pod runs."""
        return [
            hour
            for hour in month.hours(self.first, self.end)
            if hour.hour in self.hours_of_day and (self.on_weekends or not month.is_weekend(hour))
        ]


PODS = (
    Pod(
        "n1g7nightvision", "night-vision-train", _H100, "H100", 8, Decimal("2.69"), Decimal("0.14"),
        month.on(5), month.on(29), range(7, 21), on_weekends=False, owner="night_vision",
        environment={"TEAM": "perception", "PROJECT": "night-vision", "HF_HOME": "/workspace/hf"},
    ),
    Pod(
        "i5t2instruct01", "instruct-sft", _H100, "H100", 4, Decimal("2.69"), Decimal("0.07"),
        month.on(3), month.on(27), range(24), on_weekends=True, owner="instruction_tuning",
        environment={"PROJECT": "instruction-tuning"},
    ),
    Pod(
        UNTAGGED_POD, "jupyter-tmp-3", _H100, "H100", 2, Decimal("2.69"), Decimal("0.02"),
        month.on(9, 16), month.END, range(24), on_weekends=True, owner=None,
        environment={"JUPYTER_PORT": "8888"},
    ),
    Pod(
        TERMINATED_POD, "", _H100, "H100", 4, Decimal("2.69"), Decimal("0.05"),
        month.on(2, 10), month.on(6, 19), range(24), on_weekends=True, owner="depth_anywhere",
        environment={},
    ),
    Pod(
        "b8s3simviewer4", "sim-viewer", _4090, "RTX 4090", 2, Decimal("0.69"), Decimal("0.01"),
        month.START, month.END, range(8, 18), on_weekends=False, owner="simulation",
        environment={"TEAM": "sim"},
    ),
)  # fmt: skip


def lines() -> list[Line]:
    """List the billing records, in RunPod's order: by hour, then by pod."""
    by_id = {pod.id: pod for pod in PODS}
    billed = sorted((hour, pod.id) for pod in PODS for hour in pod.hours())
    return [_line(by_id[id_], hour) for hour, id_ in billed]


def billing(recorded: list[Line]) -> str:
    """Write the reply of `/v2/billing/pods`."""
    keys = ("totalAmount", "gpuAmount", "cpuAmount", "diskAmount")
    records = [
        {name: float(cell) if isinstance(cell, Decimal) else cell for name, cell in each.items()}
        for each in (line.cells for line in recorded)
    ]
    totals = {key: float(sum(_amount(line, key) for line in recorded)) for key in keys}
    rows = ",\n".join(json.dumps(record) for record in records)
    metadata = json.dumps({"bucketSize": "hour", "totals": totals})
    return f'{{"records": [\n{rows}\n],\n"metadata": {metadata}}}\n'


def pods() -> str:
    """Write the reply of `/v2/pods`: what has not been terminated."""
    listed = [
        {
            "id": pod.id,
            "name": pod.name,
            "status": "RUNNING" if pod.end == month.END else "EXITED",
            "gpu": {"id": pod.gpu, "count": pod.gpu_count},
            "dataCenterId": "US-KS-2",
            "costPerHr": float(pod.price),
            "createdAt": f"{pod.first:%Y-%m-%dT%H:%M:%SZ}",
            "env": pod.environment,
        }
        for pod in PODS
        if pod.id != TERMINATED_POD
    ]
    return json.dumps({"pods": listed}, indent=1) + "\n"


def _line(pod: Pod, hour: datetime) -> Line:
    fraction = Decimal(1)
    if hour in {pod.hours()[0], pod.hours()[-1]}:
        # A pod starts and stops within the hour.
        fraction = _SHORTEST_HOUR + month.noise(pod.id, hour) / 2
    gpu = (pod.price * fraction).quantize(_QUANTUM)
    disk = (pod.disk_an_hour * fraction).quantize(_QUANTUM)
    is_known = pod.id != TERMINATED_POD
    return Line(
        cells={
            "startTime": f"{hour:%Y-%m-%dT%H:%M:%SZ}",
            "endTime": f"{hour + HOUR:%Y-%m-%dT%H:%M:%SZ}",
            "podId": pod.id,
            "totalAmount": gpu + disk,
            "gpuAmount": gpu,
            "cpuAmount": Decimal(0),
            "diskAmount": disk,
        },
        owner=pod.owner,
        provider="RunPod",
        currency="USD",
        billed=gpu + disk,
        effective=gpu + disk,
        gpu_model=pod.gpu_model if is_known else None,
        gpu_hours=fraction * pod.gpu_count if is_known else Decimal(0),
    )


def _amount(line: Line, key: str) -> Decimal:
    amount = line.cells[key]
    assert isinstance(amount, Decimal), f"{key} is an amount"
    return amount
