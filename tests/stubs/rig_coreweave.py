"""CoreWeave's replies: a cluster's hours by location, priced by the fixtures' rate card."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from finops.partition import Window
from tests.stubs.rig import Endpoint, Rig
from tests.stubs.scripted import Answer

USAGE: Endpoint = ("GET", "/v1/billing/focus")
RATES = Path(__file__).parent.parent / "fixtures" / "coreweave" / "rates.csv"


def _hour(hour: int, **more: Any) -> dict[str, Any]:
    return {
        "ChargePeriodStart": f"2026-10-01T{hour:02}:00:00Z",
        "ChargePeriodEnd": f"2026-10-01T{hour + 1:02}:00:00Z",
        "PricingQuantity": 16,
        "PricingUnit": "Instance-Hour",
        "ServiceName": "GPU Compute",
        "SkuId": "gd-8xh100ib-i128",
        "RegionId": "US-EAST-04A",
        "x_ProductFamily": "GPU Compute",
        "x_ClusterId": "c-1",
        "x_ClusterName": "train",
        "x_CapacityPlan": None,
        **more,
    }


def page(*records: dict[str, Any], token: str | None = None) -> Answer:
    document = {
        "data": records,
        "next_page_token": token,
        "data_as_of": "2026-10-02T00:00:00Z",
    }
    return Answer(json.dumps(document).encode())


RIG = Rig(
    provider="coreweave",
    settings=lambda address: {"api_url": address, "rate_card": str(RATES)},
    environment={"COREWEAVE_API_TOKEN": "CW-SECRET-TOKEN-123"},
    secret="CW-SECRET-TOKEN-123",
    window=Window(date(2026, 10, 1), date(2026, 10, 3)),
    good={USAGE: (page(_hour(3), _hour(4)),)},
    rows=2,
    empty={USAGE: (page(),)},
    late={USAGE: (page(_hour(3), _hour(4), _hour(5)),)},
    late_rows=3,
    unknown_column={USAGE: (page(_hour(3, x_Rack="r7", x_Flags=[1, True]), _hour(4)),)},
    renamed={USAGE: (page(_hour(3, SkuId="gd-8xz9-unheard-of"), _hour(4)),)},
    pages={USAGE: (page(_hour(3), token="t2"), page(_hour(4)))},
)
