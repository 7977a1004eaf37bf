"""OpenCost's and Prometheus' replies: one node's pod and idle time, and the use of its GPUs."""

import json
from datetime import UTC, date, datetime
from typing import Any

from finops.partition import Window
from tests.stubs.rig import Endpoint, Rig
from tests.stubs.scripted import Answer

ALLOCATION: Endpoint = ("GET", "/allocation/compute")
METRICS: Endpoint = ("GET", "/api/v1/query_range")


def _allocated(hour: int, name: str, gpu_cost: float, **properties: Any) -> dict[str, Any]:
    start, end = f"2026-10-01T{hour:02}:00:00Z", f"2026-10-01T{hour + 1:02}:00:00Z"
    return {
        "name": name,
        "properties": {"cluster": "prod", "node": "n1", "providerID": "i-0abc", **properties},
        "window": {"start": start, "end": end},
        "start": start,
        "end": end,
        "gpuCount": 4,
        "gpuCost": gpu_cost,
        "totalCost": gpu_cost,
    }


def _step(hour: int, **more: Any) -> dict[str, Any]:
    pod = _allocated(hour, "prod/n1/ml/job-0/main", 40.0, namespace="ml", pod="job-0", **more)
    return {each["name"]: each for each in (pod, _allocated(hour, "prod/n1/__idle__", 48.0))}


def answered(*steps: dict[str, Any]) -> tuple[Answer]:
    return (Answer(json.dumps({"code": 200, "status": "success", "data": steps}).encode()),)


def _readings(value: str) -> tuple[Answer]:
    at = datetime(2026, 10, 1, 3, 59, 30, tzinfo=UTC).timestamp()
    series = {"metric": {"namespace": "ml", "pod": "job-0"}, "values": [[at, value]]}
    document = {"status": "success", "data": {"resultType": "matrix", "result": [series]}}
    return (Answer(json.dumps(document).encode()),)


RIG = Rig(
    provider="kubernetes",
    settings=lambda address: {
        "url": address,
        "token_env": "OPENCOST_TOKEN",
        "prometheus_url": address,
    },
    environment={"OPENCOST_TOKEN": "oc-SECRET-TOKEN"},
    secret="oc-SECRET-TOKEN",
    window=Window(date(2026, 10, 1), date(2026, 10, 2)),
    good={ALLOCATION: answered(_step(3), _step(4)), METRICS: _readings("0.5")},
    rows=4,
    empty={ALLOCATION: answered()},
    late={ALLOCATION: answered(_step(3), _step(4), _step(5))},
    late_rows=6,
    unknown_column={ALLOCATION: answered(_step(3, rack="r7"), _step(4))},
    renamed={ALLOCATION: answered(_step(3, labels={"unheard_of": "z9"}), _step(4))},
)
