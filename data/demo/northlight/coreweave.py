"""CoreWeave's billing export, recorded: hours of machines and of stored GiB, without any price.

The prices are on a rate card beside it, as a customer would copy them from the contract.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from northlight import month
from northlight.line import Cells, Line
from northlight.month import HOUR

RATE_CARD = """\
sku_id,unit,price,currency,list_price,valid_from,valid_to
gd-8xh100ib-i128,Instance-Hour,46.80,USD,49.24,,
shared-fs,GiB-Hour,0.000094,USD,0.000096,,2026-10-16
shared-fs,GiB-Hour,0.000089,USD,0.000096,2026-10-16,
"""

_MACHINE_PRICE = Decimal("46.80")
_STORAGE_PRICES = (Decimal("0.000094"), Decimal("0.000089"))
_CHEAPER_FROM = month.on(16)
_GPUS = 8
# Vega is rented by the month; from the 12th to the 19th a second machine joins for Polaris 70B.
_BURST = (month.on(12), month.on(19))
_STORED_GIB = Decimal(150000)
_COMPLETE_UNTIL = "2026-11-02T03:00:00Z"


@dataclass(frozen=True, slots=True)
class _Cluster:
    id: str
    name: str
    owner: str


_VEGA = _Cluster("c-vega", "vega-train", "polaris_70b")
_LYRA = _Cluster("c-lyra", "lyra-sim", "warehouse_sim")


def lines() -> list[Line]:
    """List the export's rows, hour by hour."""
    return [line for hour in month.hours() for line in _of_hour(hour)]


def reply(lines: Sequence[Line]) -> str:
    """Write the reply of `/v1/billing/focus?group_by=location`."""
    rows = ",\n".join(json.dumps(line.cells, separators=(",", ":")) for line in lines)
    facts = json.dumps({"data_as_of": _COMPLETE_UNTIL, "next_page_token": None})
    return f'{{"data": [\n{rows}\n],\n{facts[1:]}\n'


def _of_hour(hour: datetime) -> Iterator[Line]:
    is_burst = _BURST[0] <= hour < _BURST[1]
    yield _machines(hour, 1 + is_burst, _VEGA)
    # The simulation cluster sleeps at night and at weekends.
    if not month.is_weekend(hour) and hour.hour in range(6, 22):
        yield _machines(hour, 2, _LYRA)
    yield _storage(hour)


def _machines(hour: datetime, count: int, cluster: _Cluster) -> Line:
    cells = _cells(hour, cluster, "GPU Compute", "gd-8xh100ib-i128")
    cells |= {"PricingQuantity": count, "PricingUnit": "Instance-Hour"}
    return _line(cells, _MACHINE_PRICE * count, cluster.owner, "H100", Decimal(count * _GPUS))


def _storage(hour: datetime) -> Line:
    cells = _cells(hour, _VEGA, "Storage", "shared-fs")
    cells |= {"PricingQuantity": int(_STORED_GIB), "PricingUnit": "GiB-Hour"}
    price = _STORAGE_PRICES[hour >= _CHEAPER_FROM]
    return _line(cells, price * _STORED_GIB, _VEGA.owner)


def _cells(hour: datetime, cluster: _Cluster, family: str, sku: str) -> Cells:
    return {
        "BillingAccountId": "northlight",
        "ChargePeriodStart": f"{hour:%Y-%m-%dT%H:%M:%SZ}",
        "ChargePeriodEnd": f"{hour + HOUR:%Y-%m-%dT%H:%M:%SZ}",
        "ChargeCategory": "Usage",
        "ServiceName": family,
        "SkuId": sku,
        "RegionId": "US-EAST-04A",
        "x_ProductFamily": family,
        "x_ClusterId": cluster.id,
        "x_ClusterName": cluster.name,
    }


def _line(
    cells: Cells,
    cost: Decimal,
    owner: str,
    gpu_model: str | None = None,
    gpu_hours: Decimal = Decimal(0),
) -> Line:
    return Line(cells, owner, "CoreWeave", "USD", cost, cost, gpu_model, gpu_hours)
