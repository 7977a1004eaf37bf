"""Lambda tells no bill: samples of the instance list, one an evening, and the log of what was done.

Lambda's instances cannot be stopped, only terminated: so the benchmarks get a new one every
evening, while the score board has had the same one since September.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from northlight import month
from northlight.line import Line

_BENCHMARKS_END = timedelta(hours=23, minutes=30)
_SAMPLED_AT = timedelta(hours=23)
_LAST_SAMPLE = month.END + timedelta(hours=6)
_SCORE_BOARD_SINCE = month.START - timedelta(days=19, hours=14)
_ACCOUNT = "lrn:cloud:account:c1d8a2f0634b4e7f9a51be20d7c63f18"
_ACTOR = "lrn:cloud:identity:5e0b7c92a4d144f8b6c3f9d28a71e05d"


@dataclass(frozen=True, slots=True)
class _Kind:
    """An instance type; the price is in US cents an hour, as Lambda tells it."""

    name: str
    gpu: str
    model: str
    count: int
    cents: int

    def told(self) -> dict[str, object]:
        specs = {"vcpus": 26 * self.count, "memory_gib": 225 * self.count, "gpus": self.count}
        return {
            "name": self.name,
            "description": f"{self.count}x {self.gpu}",
            "gpu_description": self.gpu,
            "price_cents_per_hour": self.cents,
            "specs": specs,
        }


@dataclass(frozen=True, slots=True)
class _Instance:
    """An instance and its time; one that is not over has no end."""

    id: str
    name: str
    kind: _Kind
    start: datetime
    end: datetime | None
    tags: Mapping[str, str]
    owner: str

    def is_there(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at < self.end)

    def told(self) -> dict[str, object]:
        return {
            "id": self.id,
            "name": self.name,
            "status": "active",
            "region": {"name": "us-south-1", "description": "Texas, USA"},
            "instance_type": self.kind.told(),
            "hostname": f"{self.id[:8]}.cloud.example",
            "is_reserved": False,
            "tags": [{"key": key, "value": value} for key, value in self.tags.items()],
        }


_H100 = _Kind("gpu_8x_h100_sxm5", "H100 (80 GB SXM5)", "H100", 8, 2392)
_A10 = _Kind("gpu_1x_a10", "A10 (24 GB PCIe)", "A10", 1, 75)


def lines() -> list[Line]:
    """List what each instance costs on each day."""
    return [line for instance in _fleet() for line in _days(instance)]


def replies() -> dict[str, str]:
    """Write the samples, and the audit events: file names and their content."""
    fleet = _fleet()
    samples = [*(day + _SAMPLED_AT for day in month.days()), _LAST_SAMPLE]
    files = {
        f"{at:%Y%m%dT%H%M%SZ}/api/v1/instances.json": _listed(
            [each.told() for each in fleet if each.is_there(at)]
        )
        for at in samples
    }
    kinds = {kind.name: {"instance_type": kind.told()} for kind in (_H100, _A10)}
    files[f"{samples[0]:%Y%m%dT%H%M%SZ}/api/v1/instance-types.json"] = (
        json.dumps({"data": kinds}, separators=(",", ":")) + "\n"
    )
    events = sorted(
        (event for instance in fleet for event in _events(instance)),
        key=lambda event: str(event["event_time"]),
    )
    return {**files, "api/v1/audit-events.json": _listed(events, page_token=None)}


def _fleet() -> list[_Instance]:
    nightly = [
        _Instance(
            id=_id("bench", day.day),
            name="bench-h100",
            kind=_H100,
            start=day + _BENCHMARKS_END - _hours(month.nightly(day, "benchmarks")),
            end=day + _BENCHMARKS_END,
            tags={"project": "benchmark-suite"},
            owner="benchmark_suite",
        )
        for day in month.days()
    ]
    score_board = _Instance(
        id=_id("score-board"),
        name="score-board",
        kind=_A10,
        start=_SCORE_BOARD_SINCE,
        end=None,
        tags={"team": "Evaluation"},
        owner="evaluation",
    )
    return [*nightly, score_board]


def _days(instance: _Instance) -> Iterator[Line]:
    for day in month.days():
        start = max(instance.start, day)
        end = min(instance.end or month.END, day + month.DAY)
        if start < end:
            hours = Decimal((end - start) // timedelta(seconds=1)) / 3600
            cost = hours * instance.kind.cents / 100
            yield Line(
                cells={},
                owner=instance.owner,
                provider="Lambda",
                currency="USD",
                billed=cost,
                effective=cost,
                gpu_model=instance.kind.model,
                gpu_hours=hours * instance.kind.count,
            )


def _events(instance: _Instance) -> Iterator[dict[str, object]]:
    for action, at in (("launched", instance.start), ("terminated", instance.end)):
        if at is not None:
            yield {
                "service_name": "cloud",
                "resource_name": "instance",
                "action": action,
                "event_id": _id(action, instance.id),
                "event_time": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
                "actor_lrn": _ACTOR,
                "resource_lrns": [f"lrn:cloud:instance:{instance.id}"],
                "resource_owner_lrn": _ACCOUNT,
                "additional_details": {
                    "instance_type": instance.kind.name,
                    "region": "us-south-1",
                },
            }


def _listed(rows: list[dict[str, object]], **more: object) -> str:
    inside = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    rest = "".join(f',\n"{name}": {json.dumps(value)}' for name, value in more.items())
    return f'{{"data": [\n{inside}\n]{rest}}}\n'


def _hours(hours: Decimal) -> timedelta:
    return timedelta(seconds=int(hours * 3600))


def _id(*about: object) -> str:
    text = "|".join(map(str, (month.SEED, "lambda", *about)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
