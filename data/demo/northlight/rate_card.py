"""Two bills that a colleague writes with a rate card, since the providers send no costs.

CoreWeave exports hourly quantities by cluster and SKU, Lambda has no billing at all: its instance
hours come from the audit log. Being written by hand, both have a slip in them.
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
from northlight.month import DAY, HOUR

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
    "ServiceName",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "RegionId",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "SkuId",
    "Tags",
    "x_CostSource",
    "x_GpuModel",
    "x_GpuCount",
    "x_GpuHours",
    "x_ClusterId",
    "x_ClusterName",
)
WRONG_CURRENCY = "US$"
WRONG_CATEGORY = "Usages"
WRONG_CURRENCY_DAYS = (12, 13)
WRONG_CATEGORY_DAY = 27

_H100 = Gpus("H100", 8)
_COREWEAVE_H100 = Price.of("49.24")
_COREWEAVE_STORAGE = Price.of("0.07")
# Vega is rented by the month; from the 12th to the 19th a third machine joins for Polaris 70B.
_VEGA_MACHINES = 1
_VEGA_BURST = (month.on(12), month.on(19))
_STORED_GIGABYTES = Decimal(150000)


@dataclass(frozen=True, slots=True)
class _Instance:
    """An instance of Lambda's, with its price an hour."""

    id: str
    name: str
    kind: str
    price: Price
    gpus: Gpus
    tags: dict[str, str]
    owner: str


_BENCHMARKS = _Instance(
    id="0920582c7ff041399e34823a0be62549",
    name="bench-h100",
    kind="gpu_8x_h100_sxm5",
    price=Price.of("23.92"),
    gpus=_H100,
    tags={"project": "benchmark-suite"},
    owner="benchmark_suite",
)
_SCORE_BOARD = _Instance(
    id="5bd1c9a8e06f4f5fb1e3a7d2c4909e17",
    name="score-board",
    kind="gpu_1x_a10",
    price=Price.of("0.75"),
    gpus=Gpus("A10", 1),
    tags={"team": "Evaluation"},
    owner="evaluation",
)


def coreweave() -> list[Line]:
    """List CoreWeave's lines: machines by the hour, storage by the day."""
    return [*_vega(), *_lyra(), *_storage()]


def lambda_labs() -> list[Line]:
    """List Lambda's lines: each instance's hours of a day."""
    return [*_benchmarks(), *_reports()]


def _vega() -> Iterator[Line]:
    for hour in month.hours():
        is_burst = _VEGA_BURST[0] <= hour < _VEGA_BURST[1]
        machines = Decimal(_VEGA_MACHINES + is_burst)
        yield _machines(hour, machines, "c-vega", "vega-train", "polaris_70b")


def _lyra() -> Iterator[Line]:
    """List the simulation cluster, which sleeps at night and at weekends."""
    for hour in month.hours():
        if not month.is_weekend(hour) and hour.hour in range(6, 22):
            yield _machines(hour, Decimal(2), "c-lyra", "lyra-sim", "warehouse_sim")


def _machines(hour: datetime, count: Decimal, cluster: str, name: str, owner: str) -> Line:
    cells = {
        **_common("CoreWeave", hour, hour + HOUR),
        **costs("CoreWeave", _COREWEAVE_H100, count),
        **quantities(_COREWEAVE_H100, count, "Instance-Hour"),
        **gpu_columns(_H100, count),
        "ChargeDescription": "gd-8xh100ib-i128, rate card of 2026-09",
        "RegionId": "US-EAST-04A",
        "ServiceName": "GPU Compute",
        "SkuId": "gd-8xh100ib-i128",
        "x_ClusterId": cluster,
        "x_ClusterName": name,
    }
    return focus_line(cells, owner, _H100)


def _storage() -> Iterator[Line]:
    for day in month.days():
        share = (_STORED_GIGABYTES / len(month.days())).quantize(Decimal("0.001"))
        is_wrong = day.day == WRONG_CATEGORY_DAY
        cells = {
            **_common("CoreWeave", day, day + DAY),
            **costs("CoreWeave", _COREWEAVE_STORAGE, share),
            **quantities(_COREWEAVE_STORAGE, share, "GB-Month"),
            "ChargeCategory": WRONG_CATEGORY if is_wrong else "Usage",
            "ChargeDescription": "Distributed file storage, rate card of 2026-09",
            "RegionId": "US-EAST-04A",
            "ServiceCategory": "Storage",
            "ServiceName": "Storage",
            "SkuId": "dfs-standard",
            "x_ClusterId": "c-vega",
            "x_ClusterName": "vega-train",
        }
        yield focus_line(cells, "polaris_70b")


def _benchmarks() -> Iterator[Line]:
    """List the machine that scores every checkpoint; its currency was mistyped for two days."""
    for day in month.days():
        currency = WRONG_CURRENCY if day.day in WRONG_CURRENCY_DAYS else "USD"
        yield _day_of(_BENCHMARKS, day, month.nightly(day, "benchmarks"), currency)


def _reports() -> Iterator[Line]:
    for day in month.days():
        yield _day_of(_SCORE_BOARD, day, Decimal(month.HOURS_A_DAY), "USD")


def _day_of(instance: _Instance, day: datetime, hours: Decimal, currency: str) -> Line:
    cells = {
        **_common("Lambda", day, day + DAY),
        **costs("Lambda", instance.price, hours),
        **quantities(instance.price, hours, "Hours"),
        **gpu_columns(instance.gpus, hours),
        "BillingCurrency": currency,
        "ChargeDescription": f"{instance.kind}, price seen in the instance list",
        "RegionId": "us-south-1",
        "ResourceId": instance.id,
        "ResourceName": instance.name,
        "ResourceType": "Instance",
        "ServiceName": "On-Demand Cloud",
        "SkuId": instance.kind,
        "Tags": json.dumps(instance.tags),
    }
    return focus_line(cells, instance.owner, instance.gpus)


def _common(provider: str, start: datetime, end: datetime) -> Cells:
    return {
        **charge_period(start, end),
        "BillingAccountId": "northlight",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": provider,
        "PricingCategory": "Standard",
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceCategory": "Compute",
        "x_CostSource": "rate_card",
    }
