"""What OpenCost and Kubecost tell of an hour: containers, gathered to pods, and what nobody held.

Costs are list prices, rounded to five decimals: they only say in which proportion a node's charge
is to be split, and never add to it. A number that is null there (NaN or Inf) is unknown here.
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from finops import gpus, money
from finops.errors import DataError, Terminal, Transient
from providers import shapes

IDLE, UNALLOCATED, UNMOUNTED = "__idle__", "__unallocated__", "__unmounted__"
_SPECIAL = (IDLE, UNALLOCATED, UNMOUNTED)
# Volumes, networks and load balancers are billed apart from the node, so they have no part in it.
_NODE_COSTS = (
    "cpuCost",
    "cpuCostAdjustment",
    "ramCost",
    "ramCostAdjustment",
    "gpuCost",
    "gpuCostAdjustment",
)
_NAMES = ("cluster", "node", "namespace", "pod", "container", "providerID")
_SERVER_FAULT = 500
_AWS_NODE = re.compile(r"aws://[^/]*/[^/]*/(?P<id>[^/]+)")
_GCE_NODE = re.compile(r"gce://[^/]*/[^/]*/(?P<id>[^/]+)")
_AZURE_NODE = re.compile(r"(?:azure://)?(?P<id>/subscriptions/.+?)(?:/virtualmachines/\d+)?")
_WORD = re.compile(r"[a-z0-9]+")

Utilization = Callable[[str, str, datetime], Decimal | None]
"""Gives the used share of a pod's GPU time, by namespace, pod and start of the step."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """One container, or what no container held, in one step of time.

    `place` is its 0-based place in the reply; `special` is one of the `__…__` names.
    """

    place: int
    special: str | None
    step_start: datetime
    step_end: datetime
    start: datetime
    end: datetime
    node_cost: Decimal | None
    total_cost: Decimal | None
    gpu_count: Decimal | None
    gpu_name: str | None
    properties: Mapping[str, Any]

    @property
    def pod(self) -> tuple[str, str, str, str]:
        """Give what makes a row of a step: cluster, node, namespace and pod."""
        told = self.properties
        if self.special:
            return told.get("cluster") or "", told.get("node") or "", self.special, ""
        return (
            told.get("cluster") or "",
            told.get("node") or "",
            told.get("namespace") or "",
            told.get("pod") or "",
        )


def allocations(document: Any, name: str) -> list[list[Allocation]]:
    """Read a reply step by step; raises `DataError` for any other shape.

    Raises `Transient` or `Terminal` when the reply carries an error in spite of status 200.
    """
    _demand_success(document, name)
    steps: list[list[Allocation]] = []
    place = 0
    try:
        for step in document["data"] or ():
            found = [
                _allocation(number, key, told)
                for number, (key, told) in enumerate((step or {}).items(), start=place)
            ]
            place += len(found)
            steps.append(found)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{name}: holds no allocations as OpenCost or Kubecost tells them "
            f"({type(error).__name__}: {error}); nothing of it was taken"
        ) from None
    return steps


def _demand_success(document: Any, name: str) -> None:
    if not isinstance(document, Mapping) or "data" not in document:
        raise DataError(
            f"{name}: is no answer of OpenCost or Kubecost; correct the address in the settings"
        )
    code = document.get("code", 200)
    if code != 200:  # noqa: PLR2004 - the answer's own status, as HTTP numbers them
        said = f"{name}: answered {code} within a 200 ({document.get('message')})"
        if isinstance(code, Decimal | int) and code >= _SERVER_FAULT:
            raise Transient(f"{said}; see that its Prometheus is up, or wait for the next run")
        raise Terminal(f"{said}; correct the settings of this source")


def _allocation(place: int, key: str, told: Mapping[str, Any]) -> Allocation:
    properties = _properties(told)
    parts = str(told.get("name") or key).split("/")
    gpu = shapes.mapping(told.get("gpuAllocation"))
    count = next(
        (
            counted
            for counted in (
                gpu.get("gpuRequestAverage"),
                told.get("gpuRequestAverage"),
                told.get("gpuCount"),
            )
            if counted is not None
        ),
        None,
    )
    return Allocation(
        place=place,
        special=next((special for special in _SPECIAL if special in parts), None),
        step_start=_time(told["window"]["start"]),
        step_end=_time(told["window"]["end"]),
        start=_time(told["start"]),
        end=_time(told["end"]),
        node_cost=_added(told.get(name, Decimal(0)) for name in _NODE_COSTS),
        total_cost=_added([told.get("totalCost")]),
        gpu_count=_added([count]),
        gpu_name=shapes.optional_text(gpu.get("gpuModel")) or None,
        properties=properties,
    )


def _properties(told: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = shapes.mapping(told.get("properties"))
    for name in _NAMES:
        shapes.optional_text(properties.get(name))
    for name in ("labels", "namespaceLabels"):
        shapes.mapping(properties.get(name))
    return properties


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _added(amounts: Iterable[Any]) -> Decimal | None:
    """Add up; one unknown part makes the sum unknown."""
    known = list(amounts)
    if any(amount is None for amount in known):
        return None
    return money.exact_sum(shapes.number(amount) for amount in known)


def workloads(
    step: Sequence[Allocation],
    cluster: str | None,
    seen_at: datetime | None,
    utilization: Utilization,
) -> Iterator[dict[str, object]]:
    """Make one row of each pod, and of what nobody held, in one step of time.

    `cluster` replaces the cluster's name as the allocations tell it. In a step that was not over
    at `seen_at` every pod may still run.
    """
    gathered: dict[tuple[str, str, str, str], list[Allocation]] = defaultdict(list)
    for allocation in sorted(step, key=lambda each: each.place):
        gathered[allocation.pod].append(allocation)
    nodes = _provider_ids(step)
    for (told_cluster, node, namespace, pod), parts in gathered.items():
        held = _held(parts, nodes, node) | {"cluster": cluster or told_cluster or None}
        where = cluster or told_cluster
        if parts[0].special:
            yield held | {
                "workload_id": "/".join(filter(None, (where, node, namespace))),
                "kind": "idle",
                "name": "/".join(filter(None, (namespace, node))),
            }
            continue
        yield held | {
            "workload_id": f"{where}/{namespace}/{pod}",
            "kind": "pod",
            "name": f"{namespace}/{pod}",
            "is_running": seen_at is not None and max(each.step_end for each in parts) > seen_at,
            "gpu_utilization": utilization(namespace, pod, parts[0].step_start),
        }


def _held(parts: Sequence[Allocation], nodes: Mapping[str, str], node: str) -> dict[str, object]:
    """Add up what the containers of a pod held of their node."""
    first = parts[0]
    provider_id = _provider_id(first, nodes)
    weight = _added(part.node_cost for part in parts)
    names = sorted({part.gpu_name for part in parts if part.gpu_name})
    counts = [part.gpu_count for part in parts if part.gpu_count is not None]
    count = money.exact_sum(counts) if counts and not first.special else None
    return {
        "started_at": min(part.start for part in parts),
        "ended_at": max(part.end for part in parts),
        "is_running": False,
        "resource_id": resource_id(provider_id) if provider_id else None,
        "node": node or None,
        "gpu_model": gpu_model(names[0]) if len(names) == 1 else None,
        "gpu_count": count,
        "gpu_utilization": None,
        # Costs of an overbooked node exceed it, which shows as idle below zero: nothing was idle.
        "weight": None if weight is None else max(weight, Decimal(0)),
        "tags": _tags(first.properties),
        "attributes": _attributes(parts, provider_id, names, weight),
        "raw_row": first.place,
    }


def _provider_ids(step: Iterable[Allocation]) -> dict[str, str]:
    """Gather what pods tell of their nodes."""
    return {
        str(each.properties["node"]): str(each.properties["providerID"])
        for each in step
        if each.special is None
        and each.properties.get("node")
        and each.properties.get("providerID")
    }


def _provider_id(allocation: Allocation, nodes: Mapping[str, str]) -> str | None:
    """Tell the machine; older releases give idle time the node's name for its provider id."""
    told, node = allocation.properties.get("providerID"), allocation.properties.get("node")
    if not told or told == node:
        return nodes.get(node or "", told) or None
    return str(told)


def resource_id(provider_id: str) -> str:
    """Bring a node's `spec.providerID` to the ResourceId that its cloud's bill has.

    `aws:///zone/i-0abc` is `i-0abc`; `gce://project/zone/name` is the instance's `name`; Azure's
    is in lower case, and for a machine of a scale set it is the scale set, which is what Azure
    bills. Anything else stays as it is.
    """
    for pattern in (_AWS_NODE, _GCE_NODE):
        if found := pattern.fullmatch(provider_id):
            return found["id"]
    if found := _AZURE_NODE.fullmatch(provider_id.lower()):
        return found["id"]
    return provider_id


@functools.cache
def gpu_model(name: str) -> str | None:
    """Find the catalog's model in a driver's name: `NVIDIA-H100-80GB-HBM3` is an `H100`.

    The longest model counts: an `RTX A6000` is no `A6000`.
    """
    said = f" {' '.join(_WORD.findall(name.lower()))} "
    models = set(gpus.gpu_instances().get_column("gpu_model"))
    found = [model for model in models if f" {' '.join(_WORD.findall(model.lower()))} " in said]
    return max(found, key=lambda model: (len(model), model), default=None)


def _tags(properties: Mapping[str, Any]) -> str | None:
    """Take the labels as tags; a pod's own label wins over that of its namespace."""
    labels = {**(properties.get("namespaceLabels") or {}), **(properties.get("labels") or {})}
    return _json(labels) if labels else None


def _attributes(
    parts: Sequence[Allocation],
    provider_id: str | None,
    gpu_names: Sequence[str],
    weight: Decimal | None,
) -> str:
    first = parts[0].properties
    totals = _added(part.total_cost for part in parts)
    told = {
        "namespace": first.get("namespace"),
        "pod": first.get("pod"),
        "controller": first.get("controller"),
        "controller_kind": first.get("controllerKind"),
        "containers": sorted(filter(None, (part.properties.get("container") for part in parts))),
        "provider_id": provider_id,
        "gpu_name": ", ".join(gpu_names),
        "node_cost": weight,
        "total_cost": totals,
    }
    return _json({key: value for key, value in told.items() if value not in (None, "", [])})


def _json(told: Mapping[str, Any]) -> str:
    return json.dumps(
        told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    )


def _plain(value: object) -> str:
    return money.text(value) if isinstance(value, Decimal) else str(value)
