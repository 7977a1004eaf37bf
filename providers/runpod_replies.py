"""What RunPod sells, and what its replies say, whichever generation of the API spelled them.

v2 splits the amount but knows neither GPU nor billed time; v1 knows the billed time, and writes
its times without zone. The list of pods has the same facts in different places.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from finops import money
from finops.errors import DataError
from providers import rows as cells

_MOST_GPUS = 1_000_000
_HOUR = timedelta(hours=1)
_MS_PER_HOUR = Decimal(3_600_000)
_US_PER_HOUR = Decimal(3_600_000_000)
# The price of a pod is rounded to cents or less, so a full hour may seem a little longer.
_HOUR_TOLERANCE = Decimal("1.01")


@dataclass(frozen=True, slots=True)
class Product:
    """Something RunPod bills: where each API generation tells, and what FOCUS calls it.

    `id_key` is the field that names the resource in a billing row; v1 groups by `v1_id_key`. What
    v1 does not tell, or has no resource, is `None`.
    """

    v2_path: str
    v1_path: str | None
    id_key: str | None
    v1_id_key: str | None
    service: str
    category: str
    subcategory: str
    resource_type: str


PRODUCTS = {
    "pods": Product(
        v2_path="/v2/billing/pods",
        v1_path="/v1/billing/pods",
        id_key="podId",
        v1_id_key="podId",
        service="Pods",
        category="Compute",
        subcategory="Containers",
        resource_type="Pod",
    ),
    "serverless": Product(
        v2_path="/v2/billing/serverless",
        v1_path="/v1/billing/endpoints",
        id_key="serverlessId",
        v1_id_key="endpointId",
        service="Serverless",
        category="Compute",
        subcategory="Serverless Compute",
        resource_type="Endpoint",
    ),
    "network_volumes": Product(
        v2_path="/v2/billing/network-volumes",
        v1_path="/v1/billing/networkvolumes",
        id_key="networkVolumeId",
        v1_id_key="networkVolumeId",
        service="Network Volumes",
        category="Storage",
        subcategory="File Storage",
        resource_type="Network Volume",
    ),
    "clusters": Product(
        v2_path="/v2/billing/clusters",
        v1_path=None,
        id_key="clusterId",
        v1_id_key=None,
        service="Instant Clusters",
        category="Compute",
        subcategory="Containers",
        resource_type="Cluster",
    ),
    # In v1 this path's last word means serverless; in v2 it is what RunPod hosts for everybody.
    "public_endpoints": Product(
        v2_path="/v2/billing/endpoints",
        v1_path=None,
        id_key=None,
        v1_id_key=None,
        service="Public Endpoints",
        category="AI and Machine Learning",
        subcategory="Generative AI",
        resource_type="Public Endpoint",
    ),
}

PARTS = {
    "gpuAmount": "x_GpuCost",
    "cpuAmount": "x_CpuCost",
    "diskAmount": "x_DiskCost",
    "feeAmount": "x_FeeCost",
    "standardAmount": "x_StandardStorageCost",
    "highPerformanceAmount": "x_HighPerformanceStorageCost",
    "networkingAmount": "x_NetworkingCost",
}
"""What v2 splits an amount into, and the column each part goes to."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What is known of a pod: GPU id and count, where it runs, what an hour costs, its tags."""

    name: str | None
    gpu_id: str | None
    gpu_count: int | None
    data_center: str | None
    price_per_hour: Decimal | None
    tags: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """One billing row in either generation's spelling; costs in US dollars, `end` not part.

    `parts` are the keys of `PARTS` that the row has.
    """

    resource_id: str | None
    start: datetime
    end: datetime
    amount: Decimal
    parts: Mapping[str, Decimal]
    billed_hours: Decimal | None


_POD_FACTS = ("id", "name", "gpuCount", "dataCenterId", "adjustedCostPerHr", "costPerHr")

UNKNOWN_POD = Pod(None, None, None, None, None, None)


def usages(document: Any, name: str, product: Product) -> list[Usage]:
    """Read the rows of either generation; raises `DataError` for any other shape."""
    try:
        if isinstance(document, list) and product.v1_id_key is not None:
            return [_usage_v1(row, product.v1_id_key) for row in document]
        return [_usage_v2(row, product.id_key) for row in document["records"]]
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is not RunPod billing as it is known ({type(error).__name__}: {error}); "
            f"nothing of it was taken"
        ) from None


def _usage_v2(row: Mapping[str, Any], id_key: str | None) -> Usage:
    return Usage(
        resource_id=None if id_key is None else cells.text(row[id_key]),
        start=_time(row["startTime"]),
        end=_time(row["endTime"]),
        amount=cells.number(row["totalAmount"]),
        parts={part: cells.number(row[part]) for part in PARTS if row.get(part) is not None},
        billed_hours=None,
    )


def _usage_v1(row: Mapping[str, Any], id_key: str) -> Usage:
    start = _time(row["time"])
    billed_ms = _decimal(row.get("timeBilledMs"))
    return Usage(
        resource_id=cells.text(row[id_key]),
        start=start,
        end=start + _HOUR,
        amount=cells.number(row["amount"]),
        parts={},
        billed_hours=None if billed_ms is None else _divided(billed_ms, _MS_PER_HOUR),
    )


def _time(text: str) -> datetime:
    """Read RFC 3339, or v1's `2026-10-01 03:00:00`, which is UTC."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def pods(document: Any, name: str, tag_env: Sequence[str]) -> dict[str, Pod]:
    """Read the list of pods by id; raises `DataError` for any other shape.

    `tag_env` names the environment variables that become tags.
    """
    try:
        return {row["id"]: _pod(row, tag_env) for row in _rows(document)}
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is not a list of RunPod pods as it is known "
            f"({type(error).__name__}: {error}); nothing of it was taken"
        ) from None


def billing_facts(document: Any, tag_env: Sequence[str]) -> dict[str, Any]:
    """Take of a list of pods, as `pods` reads it, only what `pods` uses.

    A pod's environment, start command and registry login may hold its owner's secrets.
    """
    return {"pods": [_billing_facts(row, tag_env) for row in _rows(document)]}


def _billing_facts(row: Mapping[str, Any], tag_env: Sequence[str]) -> dict[str, Any]:
    env = _env(row.get("env"))
    return {
        **_some(row, _POD_FACTS),
        "gpu": _some(row.get("gpu") or {}, ("id", "count")),
        "machine": _some(row.get("machine") or {}, ("gpuTypeId", "dataCenterId")),
        "env": {name: str(env[name]) for name in tag_env if env.get(name)},
    }


def _some(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, str | Decimal]:
    return {name: row[name] for name in names if isinstance(row.get(name), str | Decimal)}


def _rows(document: Any) -> Any:
    if isinstance(document, dict):
        return next((value for value in document.values() if isinstance(value, list)), None)
    return document


def _pod(row: Mapping[str, Any], tag_env: Sequence[str]) -> Pod:
    gpu = row.get("gpu") or {}
    machine = row.get("machine") or {}
    count = gpu.get("count") or row.get("gpuCount")
    return Pod(
        name=cells.text(row.get("name")),
        gpu_id=cells.text(gpu.get("id") or machine.get("gpuTypeId")),
        gpu_count=_count(count) if count else None,
        data_center=cells.text(row.get("dataCenterId") or machine.get("dataCenterId")),
        price_per_hour=_decimal(row.get("adjustedCostPerHr") or row.get("costPerHr")),
        tags=_tags(row.get("env"), tag_env),
    )


def _tags(env: Any, tag_env: Sequence[str]) -> str | None:
    """Pick the variables that are tags: only those, since others may hold secrets."""
    pairs = _env(env)
    tags = {name.lower(): str(pairs[name]) for name in tag_env if pairs.get(name)}
    return cells.text(json.dumps(tags, sort_keys=True, ensure_ascii=False)) if tags else None


def _env(env: Any) -> Mapping[str, Any]:
    return env if isinstance(env, dict) else {each["key"]: each["value"] for each in env or ()}


def billed_hours(usage: Usage, pod: Pod) -> Decimal | None:
    """Tell how long the pod was billed in the bucket: v1 says so, v2's GPU amount implies it.

    A pod's price is today's; where it makes the bucket hold more time than there is, the price
    was another one then and the hours are unknown.
    """
    if usage.billed_hours is not None:
        return usage.billed_hours
    gpu_amount = usage.parts.get("gpuAmount")
    if gpu_amount is None or not pod.price_per_hour:
        return None
    bucket = Decimal((usage.end - usage.start) // timedelta(microseconds=1)) / _US_PER_HOUR
    if not 0 <= gpu_amount / pod.price_per_hour <= bucket * _HOUR_TOLERANCE:
        return None
    return min(_divided(gpu_amount, pod.price_per_hour), bucket)


def _divided(dividend: Decimal, divisor: Decimal) -> Decimal:
    with localcontext(money.CONTEXT):
        return (dividend / divisor).quantize(money.QUANTUM)


def _count(value: Any) -> int:
    count = int(cells.number(value))
    if not 0 <= count <= _MOST_GPUS:
        raise ValueError("is no count of GPUs")
    return count


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else cells.number(value)
