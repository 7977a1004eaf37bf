"""Google's bill for simulation and evaluation: the detailed export, as BigQuery writes it to Parquet.

One machine is several SKUs, its GPUs, cores and memory, by the hour; the rest is by the day, and
Google's days begin at midnight Pacific time. A promotion is no row: it is a credit inside of rows.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pyarrow as pa

from northlight import month, resources
from northlight.line import Line
from northlight.resources import Resource

_ACCOUNT = "01A2B3-C4D5E6-F70819"
_COST_QUANTUM = Decimal("1e-6")
_MIDNIGHT_PACIFIC = timedelta(hours=7)
_EXPORTED_AFTER = timedelta(hours=6, minutes=11)
_PROMOTION_DAY = 9
_PROMOTED = ("a3-sim2real", Decimal("-65.00"))
"""What each GPU hour row of that day is credited."""

_SERVICE_IDS = {
    "BigQuery": "24E6-581D-38E5",
    "Cloud Storage": "95FF-2EF5-5EA1",
    "Compute Engine": "6F81-5844-456A",
    "Kubernetes Engine": "CCD8-9BF1-090E",
}
_MACHINE_TYPES = {
    "a3-eval": "a3-highgpu-8g",
    "a3-sim2real": "a3-highgpu-8g",
    "g2-render": "g2-standard-48",
}
_SEVERAL = pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))
_CREDITS = pa.list_(
    pa.struct(
        {
            "name": pa.string(),
            "amount": pa.float64(),
            "full_name": pa.string(),
            "id": pa.string(),
            "type": pa.string(),
        }
    )
)
_NUMERIC = pa.decimal128(38, 9)
_TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "billing_account_id": pa.string(),
        "service": pa.struct({"id": pa.string(), "description": pa.string()}),
        "sku": pa.struct({"id": pa.string(), "description": pa.string()}),
        "usage_start_time": _TIME,
        "usage_end_time": _TIME,
        "project": pa.struct(
            {"id": pa.string(), "number": pa.string(), "name": pa.string(), "labels": _SEVERAL}
        ),
        "labels": _SEVERAL,
        "system_labels": _SEVERAL,
        "location": pa.struct(
            {
                "location": pa.string(),
                "country": pa.string(),
                "region": pa.string(),
                "zone": pa.string(),
            }
        ),
        "transaction_type": pa.string(),
        "export_time": _TIME,
        "cost": pa.float64(),
        "currency": pa.string(),
        "currency_conversion_rate": pa.float64(),
        "usage": pa.struct(
            {
                "amount": pa.float64(),
                "unit": pa.string(),
                "amount_in_pricing_units": pa.float64(),
                "pricing_unit": pa.string(),
            }
        ),
        "credits": _CREDITS,
        "invoice": pa.struct({"month": pa.string()}),
        "cost_type": pa.string(),
        "resource": pa.struct({"name": pa.string(), "global_name": pa.string()}),
        "price": pa.struct({"effective_price": _NUMERIC, "list_price": _NUMERIC, "unit": pa.string()}),
        "cost_at_list": pa.float64(),
    }
)
"""The columns of the export that matter; Google's table has some more."""


def lines() -> list[Line]:
    """List the month's rows."""
    fleet = resources.load("gcp")
    return [line for day in month.days() for each in fleet for line in _of_day(each, day)]


def _of_day(resource: Resource, day: datetime) -> Iterator[Line]:
    if not resource.exists(day):
        return
    if resource.pattern.startswith("night "):
        for hour in resource.night_hours(day):
            yield _usage(resource, hour, hour + month.HOUR, Decimal(resource.units_an_hour))
    else:
        start = day + _MIDNIGHT_PACIFIC
        yield _usage(resource, start, start + month.DAY, resource.quantity(day))


def _usage(resource: Resource, start: datetime, end: datetime, quantity: Decimal) -> Line:
    cost = (resource.price.contracted * quantity).quantize(_COST_QUANTUM)
    credit = _promotion(resource, start)
    is_gpu = " GPU " in resource.meter
    cells = {
        **_identity(resource),
        "usage_start_time": start,
        "usage_end_time": end,
        "export_time": end + _EXPORTED_AFTER,
        "cost": float(cost),
        "cost_at_list": float(cost),
        "usage": _amounts(resource, quantity),
        "credits": [] if credit is None else [_credit(credit)],
    }
    billed = cost + (credit or Decimal(0))
    return Line(
        cells=cells,
        owner=resource.owner,
        provider="Google Cloud",
        currency="USD",
        billed=billed,
        effective=billed,
        gpu_model=resource.gpus.model if resource.gpus else None,
        gpu_hours=quantity if is_gpu else Decimal(0),
    )


def _identity(resource: Resource) -> dict[str, object]:
    machine = _MACHINE_TYPES.get(resource.id)
    tags = resources.tags(resource.tags)
    return {
        "billing_account_id": _ACCOUNT,
        "service": {"id": _SERVICE_IDS[resource.service], "description": resource.service},
        "sku": {"id": _code(resource.meter), "description": resource.meter},
        "project": {
            "id": resource.account_id,
            "number": _number(resource.account_id),
            "name": resource.account,
            "labels": [],
        },
        "labels": [{"key": key, "value": value} for key, value in tags.items()],
        "system_labels": [{"key": "compute.googleapis.com/machine_spec", "value": machine}]
        if machine
        else [],
        "location": {
            "location": "us-central1",
            "country": "US",
            "region": "us-central1",
            "zone": "us-central1-a" if machine else None,
        },
        "transaction_type": "GOOGLE",
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "invoice": {"month": month.PERIOD.replace("-", "")},
        "cost_type": "regular",
        "resource": {"name": resource.id, "global_name": _global_name(resource)},
        "price": {
            "effective_price": resource.price.contracted,
            "list_price": resource.price.listed,
            "unit": resource.unit,
        },
    }


def _amounts(resource: Resource, quantity: Decimal) -> dict[str, object]:
    """Give the amount of use, which is in seconds where the price is by the hour."""
    is_time = resource.unit == "hour"
    return {
        "amount": float(quantity * 3600 if is_time else quantity),
        "unit": "seconds" if is_time else resource.unit,
        "amount_in_pricing_units": float(quantity),
        "pricing_unit": resource.unit,
    }


def _promotion(resource: Resource, start: datetime) -> Decimal | None:
    promoted, amount = _PROMOTED
    is_promoted = resource.id == promoted and " GPU " in resource.meter
    return amount if is_promoted and start.day == _PROMOTION_DAY else None


def _credit(amount: Decimal) -> dict[str, object]:
    name = "A3 launch offer"
    return {
        "name": name,
        "amount": float(amount),
        "full_name": name,
        "id": name,
        "type": "PROMOTION",
    }


def _global_name(resource: Resource) -> str:
    project = f"projects/{_number(resource.account_id)}"
    match resource.service:
        case "Compute Engine":
            place = f"compute.googleapis.com/{project}/zones/us-central1-a/instances"
        case "Kubernetes Engine":
            place = f"container.googleapis.com/{project}/locations/us-central1/clusters"
        case "Cloud Storage":
            place = "storage.googleapis.com/projects/_/buckets"
        case _:
            place = f"bigquery.googleapis.com/{project}/datasets"
    return f"//{place}/{resource.id}"


def _number(project: str) -> str:
    return str(int(hashlib.sha256(project.encode()).hexdigest()[:10], 16))


def _code(meter: str) -> str:
    """Make up an id in the shape of Google's SKUs."""
    text = hashlib.sha256(meter.encode()).hexdigest().upper()
    return f"{text[:4]}-{text[4:8]}-{text[8:12]}"
