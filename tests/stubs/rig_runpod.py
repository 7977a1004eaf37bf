"""RunPod's replies: one pod's hours of billing v2, and the list of pods."""

import json
from datetime import date
from typing import Any

from finops.partition import Window
from tests.stubs.rig import Endpoint, Rig
from tests.stubs.scripted import Answer

BILLING: Endpoint = ("GET", "/v2/billing/pods")
PODS: Endpoint = ("GET", "/v2/pods")


def _hour(hour: int, **more: Any) -> dict[str, Any]:
    return {
        "startTime": f"2026-10-01T{hour:02}:00:00Z",
        "endTime": f"2026-10-01T{hour + 1:02}:00:00Z",
        "podId": "p1",
        "totalAmount": 2.43,
        "gpuAmount": 2.39,
        "cpuAmount": 0,
        "diskAmount": 0.04,
        **more,
    }


def _billing(*records: dict[str, Any]) -> tuple[Answer]:
    total = round(sum(record["totalAmount"] for record in records), 2)
    document = {"records": records, "metadata": {"totals": {"totalAmount": total}}}
    return (Answer(json.dumps(document).encode()),)


def _pods(gpu: str) -> tuple[Answer]:
    pod = {"id": "p1", "name": "train", "gpu": {"id": gpu, "count": 1}, "costPerHr": 2.39}
    return (Answer(json.dumps({"pods": [pod]}).encode()),)


RIG = Rig(
    provider="runpod",
    settings=lambda address: {"api_url": address, "v1_url": address, "products": ["pods"]},
    environment={"RUNPOD_API_KEY": "rpa_SECRETKEY123"},
    secret="rpa_SECRETKEY123",
    window=Window(date(2026, 10, 1), date(2026, 10, 3)),
    good={
        BILLING: _billing(_hour(3), _hour(4)),
        PODS: _pods("NVIDIA H100 80GB HBM3"),
        ("GET", "/v1/billing/pods"): (Answer(b"{}", 404),),
    },
    rows=2,
    empty={BILLING: _billing()},
    late={BILLING: _billing(_hour(3), _hour(4), _hour(5))},
    late_rows=3,
    unknown_column={BILLING: _billing(_hour(3, tpuAmount=1), _hour(4))},
    renamed={PODS: _pods("NVIDIA Z9 unheard of")},
    survives={BILLING: frozenset({403, 404})},  # it asks the first generation then
)
