"""Lambda's replies: one instance, seen once after its launch, and what tells of it."""

import json
from datetime import date
from typing import Any

from finops.partition import Window
from tests.stubs.rig import Endpoint, Rig
from tests.stubs.scripted import JSON, Answer

INSTANCES: Endpoint = ("GET", "/api/v1/instances")
TYPES: Endpoint = ("GET", "/api/v1/instance-types")
EVENTS: Endpoint = ("GET", "/api/v1/audit-events")


def answer(document: Any, at: str = "Fri, 02 Oct 2026 12:00:00 GMT") -> Answer:
    """Answer as Lambda would at that time."""
    return Answer(json.dumps(document).encode(), headers=JSON | {"Date": at})


def instance(name: str, kind: str = "gpu_1x_a10", cents: int = 75, **more: Any) -> dict[str, Any]:
    """Write one instance as the list shows it."""
    return {
        "id": name,
        "name": f"name of {name}",
        "status": "active",
        "region": {"name": "us-west-1", "description": "California, USA"},
        "tags": [{"key": "team", "value": "vision"}],
        "instance_type": offer(kind, cents),
        **more,
    }


def offer(kind: str, cents: int, gpus: int = 1) -> dict[str, Any]:
    """Write one instance type with its price."""
    return {
        "name": kind,
        "gpu_description": "A10 (24 GB PCIe)",
        "price_cents_per_hour": cents,
        "specs": {"gpus": gpus},
    }


def event(action: str, name: str, at: str, **more: Any) -> dict[str, Any]:
    """Write an audit event about an instance."""
    return {
        "event_id": f"{action}-{name}",
        "event_time": at,
        "service_name": "cloud",
        "resource_name": "instance",
        "action": action,
        "resource_lrns": [f"lrn:cloud:instance:{name}"],
        "additional_details": {"instance_type": "gpu_1x_a10", "region": "us-west-1"},
        **more,
    }


def events(*told: dict[str, Any], token: str | None = None) -> Answer:
    """Answer with one page of audit events."""
    return answer({"data": told, "page_token": token})


def types(**cents: int) -> Answer:
    """Answer with the offered types and their prices."""
    data = {kind: {"instance_type": offer(kind, price)} for kind, price in cents.items()}
    return answer({"data": data})


LAUNCH = event("launched", "i1", "2026-10-01T03:00:00Z")
SECOND = event("launched", "i2", "2026-10-02T06:00:00Z")
KEY = {"event_id": "e0", "resource_name": "api_key", "action": "created", "resource_lrns": []}

RIG = Rig(
    provider="lambda_labs",
    settings=lambda address: {"api_url": address},
    environment={"LAMBDA_API_KEY": "secret_lambda_KEY123"},
    secret="secret_lambda_KEY123",
    window=Window(date(2026, 10, 1), date(2026, 10, 4)),
    good={
        INSTANCES: (answer({"data": [instance("i1")]}),),
        TYPES: (types(gpu_1x_a10=75),),
        EVENTS: (events(LAUNCH),),
    },
    rows=2,  # one a day
    empty={INSTANCES: (answer({"data": []}),), EVENTS: (events(),)},
    late={
        INSTANCES: (answer({"data": [instance("i1"), instance("i2")]}),),
        EVENTS: (events(LAUNCH, SECOND),),
    },
    late_rows=3,
    unknown_column={INSTANCES: (answer({"data": [instance("i1", mood="fine")]}),)},
    renamed={INSTANCES: (answer({"data": [instance("i1", "gpu_9x_z9")]}),)},
    pages={EVENTS: (events(KEY, token="next"), events(LAUNCH))},
)
