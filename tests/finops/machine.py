"""One machine of eight GPUs at 80 USD a day, and pods that held some of it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from finops import attribution, focus, holding, organization
from finops.attribution import MEASURES
from finops.organization import Organization
from finops.partition import Partition
from finops.workloads import SCHEMA

DAY = datetime(2026, 10, 3, tzinfo=UTC)
PARTITION = Partition("aws", "aws-main", "2026-10", DAY.date())
TOLD = {**SCHEMA, "source": pl.String()}
TEAMS = {name: {"type": "team", "name": name.title()} for name in ("ml", "web", "ops", "pool")}
BY_TAG = [
    {"id": "tag", "match": {"Tags.team": True}, "cost_center_from": "Tags.team"},
    {"id": "machine", "match": {"ResourceId": True}, "cost_center": "ops"},
]

Said = list[tuple[str | None, str, str]]


def company(**more: Any) -> Organization:
    return organization.parse("", {"cost_centers": TEAMS, "rules": BY_TAG, **more})


def machine(**columns: Any) -> dict[str, Any]:
    cost = columns.pop("cost", "80")
    return {
        "x_ChargeId": "c",
        "x_RawId": "ab",
        "x_RawRow": 0,
        "BillingCurrency": "USD",
        "ResourceId": "i-1",
        "ChargePeriodStart": DAY,
        "ChargePeriodEnd": DAY + timedelta(days=1),
        "x_GpuCount": 8,
        **dict.fromkeys(MEASURES.values(), Decimal(cost)),
        "x_GpuHours": Decimal(192),
        **columns,
    }


def pod(team: str, start: float, end: float, gpus: str | None, **more: Any) -> dict[str, Any]:
    return {
        "workload_id": team,
        "kind": "pod",
        "name": f"{team}/train",
        "started_at": DAY + timedelta(hours=start),
        "ended_at": DAY + timedelta(hours=end),
        "resource_id": "i-1",
        "gpu_count": None if gpus is None else Decimal(gpus),
        "tags": json.dumps({"team": team}),
        **more,
    }


def allocated(
    *told: dict[str, Any], bill: list[dict[str, Any]] | None = None, org: Organization | None = None
) -> pl.DataFrame:
    rows = bill or [machine()]
    absent = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in focus.SCHEMA.items()
        if name not in rows[0]
    ]
    schema = {name: focus.SCHEMA[name] for name in rows[0]}
    charges = pl.DataFrame(rows, schema=schema).lazy().with_columns(absent)
    workloads = pl.DataFrame([dict.fromkeys(TOLD) | one for one in told], schema=TOLD)
    found = attribution.allocate(
        charges, org or company(), PARTITION, holding.of(charges, workloads)
    ).collect()
    attribution.proven(charges, found.lazy(), "here")
    return found.sort("charge_id", "cost_center", "step", "reason", nulls_last=True)


def said(found: pl.DataFrame) -> Said:
    rows = found.select("cost_center", "step", "billed_cost").rows()
    return [(center, step, f"{cost.normalize():f}") for center, step, cost in rows]
