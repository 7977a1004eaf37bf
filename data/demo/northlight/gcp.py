"""Google's bill for simulation and evaluation: FOCUS from BigQuery, machines by the hour.

Costs are NUMERIC with nine decimals. BigQuery's FOCUS table has labels but no tags: the query
that exports it writes them as JSON text into `Tags`, and knows the machines' GPUs.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from northlight import month, resources
from northlight.line import (
    Cells,
    Line,
    Price,
    charge_period,
    costs,
    focus_line,
    gpu_columns,
    quantities,
)
from northlight.resources import Resource

OUR_COLUMNS = ("x_GpuModel", "x_GpuCount", "x_GpuHours", "x_ServiceId")

_PROVIDER = "Google Cloud"
_PROMOTION = Decimal("-650.00")
_SERVICE_IDS = {
    "BigQuery": "24E6-581D-38E5",
    "Cloud Storage": "95FF-2EF5-5EA1",
    "Compute Engine": "6F81-5844-456A",
    "Kubernetes Engine": "CCD8-9BF1-090E",
}


def lines() -> list[Line]:
    """List the month's lines."""
    fleet = resources.load("gcp")
    return [
        *(line for day in month.days() for each in fleet for line in _of_day(each, day)),
        _promotion(fleet[1]),
    ]


def _of_day(resource: Resource, day: datetime) -> Iterator[Line]:
    if not resource.exists(day):
        return
    if resource.pattern.startswith("night "):
        for hour in resource.night_hours(day):
            yield _usage(resource, hour, hour + month.HOUR, Decimal(1))
    else:
        yield _usage(resource, day, day + month.DAY, resource.quantity(day))


def _usage(resource: Resource, start: datetime, end: datetime, quantity: Decimal) -> Line:
    is_spot = resource.meter.endswith("Spot")
    cells = {
        **_common(resource, start, end),
        **costs(_PROVIDER, resource.price, quantity),
        **quantities(resource.price, quantity, resource.unit),
        **gpu_columns(resource.gpus, quantity),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{resource.meter} running in Americas",
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Dynamic" if is_spot else "Standard",
        "ResourceId": f"//{resource.account_id}/us-central1/{resource.id}",
        "ResourceName": resource.id,
        "SkuMeter": resource.meter,
        "Tags": json.dumps(resources.tags(resource.tags)) if resource.tags else None,
    }
    return focus_line(cells, resource.owner, resource.gpus)


def _promotion(resource: Resource) -> Line:
    """Give a promotional credit, which Google adds as a line of its own."""
    amount = Price(_PROMOTION, _PROMOTION, _PROMOTION, _PROMOTION)
    cells = {
        **_common(resource, month.on(9), month.on(10)),
        **costs(_PROVIDER, amount, Decimal(1)),
        "ChargeCategory": "Credit",
        "ChargeDescription": "Promotion: A3 launch offer",
        "ChargeFrequency": "One-Time",
    }
    return focus_line(cells, "simulation")


def _common(resource: Resource, start: datetime, end: datetime) -> Cells:
    return {
        **charge_period(start, end),
        "BillingAccountId": "01A2B3-C4D5E6-F70819",
        "BillingAccountName": "Northlight Robotics",
        "BillingAccountType": "Billing Account",
        "BillingCurrency": "USD",
        "InvoiceIssuerName": "Google Cloud",
        "PricingCurrency": "USD",
        "ProviderName": _PROVIDER,
        "PublisherName": "Google",
        "RegionId": "us-central1",
        "RegionName": "Iowa",
        "ServiceCategory": resource.category,
        "ServiceName": resource.service,
        "ServiceSubcategory": resource.subcategory,
        "SubAccountId": resource.account_id,
        "SubAccountName": resource.account,
        "SubAccountType": "Project",
        "x_ServiceId": _SERVICE_IDS[resource.service],
    }
