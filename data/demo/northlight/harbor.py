"""Harbor Colo's bill: a colleague copies it from a PDF into a CSV with FOCUS columns.

Being written by hand, it has two slips in it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from northlight import month
from northlight.line import (
    Cells,
    Gpus,
    Line,
    Price,
    charge_period,
    costs,
    focus_line,
    gpu_columns,
    quantities,
)

COLUMNS = (
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeFrequency",
    "ChargeDescription",
    "BilledCost",
    "EffectiveCost",
    "ContractedCost",
    "ListCost",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingCategory",
    "ServiceCategory",
    "ServiceSubcategory",
    "ServiceName",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "SkuId",
    "Tags",
    "x_GpuModel",
    "x_GpuCount",
    "x_GpuHours",
)
WRONG_CURRENCY = "US$"
WRONG_CATEGORY = "Usages"
WRONG_CURRENCY_DAYS = (12, 13)
WRONG_CATEGORY_DAY = 27

_PROVIDER = "Harbor Colo"


@dataclass(frozen=True, slots=True)
class _Rented:
    """What is rented, by the hour of the contract."""

    id: str
    name: str
    kind: str
    service: tuple[str, str, str]
    price: Price
    gpus: Gpus | None
    project: str
    owner: str


_NODE = _Rented(
    "hc-node-07",
    "atlas",
    "Server",
    ("Dedicated GPU servers", "Compute", "Virtual Machines"),
    Price.of("8.40", "7.98"),
    Gpus("A100", 8),
    "hd-maps",
    "hd_maps",
)
_SHELF = _Rented(
    "hc-shelf-02",
    "sensor-archive",
    "Storage shelf",
    ("Storage shelves", "Storage", "Other (Storage)"),
    Price.of("3.15"),
    None,
    "lakehouse",
    "lakehouse",
)


def lines() -> list[Line]:
    """List a server and a storage shelf, day by day."""
    return [line for day in month.days() for line in _of_day(day)]


def _of_day(day: datetime) -> Iterator[Line]:
    wrong_currency = {"BillingCurrency": WRONG_CURRENCY}
    wrong_category = {"ChargeCategory": WRONG_CATEGORY}
    yield _rent(_NODE, day, wrong_currency if day.day in WRONG_CURRENCY_DAYS else {})
    yield _rent(_SHELF, day, wrong_category if day.day == WRONG_CATEGORY_DAY else {})


def _rent(rented: _Rented, day: datetime, slip: dict[str, str]) -> Line:
    hours = Decimal(month.HOURS_A_DAY)
    service, category, subcategory = rented.service
    cells: Cells = {
        **charge_period(day, day + month.DAY),
        **costs(_PROVIDER, rented.price, hours),
        **quantities(rented.price, hours, "Hours"),
        **gpu_columns(rented.gpus, hours),
        "BillingAccountId": "HC-20417",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{rented.kind} {rented.id}, contract of 2026-03",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": _PROVIDER,
        "PricingCategory": "Standard",
        "ProviderName": _PROVIDER,
        "PublisherName": _PROVIDER,
        "RegionId": "oak-1",
        "RegionName": "Oakland",
        "ResourceId": rented.id,
        "ResourceName": rented.name,
        "ResourceType": rented.kind,
        "ServiceCategory": category,
        "ServiceName": service,
        "ServiceSubcategory": subcategory,
        "SkuId": rented.kind.lower().replace(" ", "-"),
        "Tags": json.dumps({"project": rented.project}),
        **slip,
    }
    return focus_line(cells, rented.owner, rented.gpus)
