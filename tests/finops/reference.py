"""Attribution once more, slow and obvious: one charge at a time, fractions, plain Python.

It shares no code with the engine but the parsing of the organization and `money.split`, which has
tests of its own. Charges and workloads are dictionaries; amounts are Decimals, times datetimes.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from finops import money
from finops.identity import slug
from finops.organization import Organization
from finops.splits import NOTHING, Basis

Row = Mapping[str, Any]
Decision = tuple[str | None, str | None, str | None, str | None]
"""Cost center, split, rule, and why there is neither."""
Part = tuple[str | None, str, str | None, str]
"""Cost center, step, rule, and who held it."""
FINEST = 10**18
MICROSECOND = timedelta(microseconds=1)
ROUNDING = 10**9


def allocate(
    charges: Sequence[Row],
    workloads: Sequence[Row],
    org: Organization,
    day: date,
    basis: Basis = NOTHING,
) -> Iterator[tuple[str, str | None, str, str | None, str, Fraction, Decimal]]:
    """Yield charge, cost center, step, rule, who held it (None: by rules), share and cost."""
    for charge in charges:
        parts: dict[Part, Fraction] = defaultdict(Fraction)
        for holder, amount in holders(charge, charges, workloads):
            center, split, rule, why = decide(charge, holder, org, day, basis)
            for member, weight in members(center, split, org, day, basis):
                parts[member, step_of(holder, split, why), rule, who(holder)] += amount * weight
        shares = whole_numbers(parts)
        order = sorted(shares, key=lambda key: ["~" if word is None else word for word in key])
        costs = money.split(charge["BilledCost"], [shares[key] for key in order])
        for key, cost in zip(order, costs, strict=True):
            yield charge["x_ChargeId"], *key, Fraction(shares[key], sum(shares.values())), cost


def whole_numbers(parts: Mapping[Part, Fraction]) -> dict[Part, int]:
    """Bring fractions to whole numbers; those that add up to more than 10¹⁸ lose their last digits."""
    scale = math.lcm(*(share.denominator for share in parts.values()))
    numbers = {key: int(share * scale) for key, share in parts.items()}
    common = math.gcd(*numbers.values())
    cut = common * -(-sum(numbers.values()) // common // FINEST)
    return {key: number // cut for key, number in numbers.items() if number // cut}


def who(holder: Row) -> str:
    """Name a holder; idle comes last in every order."""
    if holder == {}:
        return ""
    return "~idle" if holder["kind"] == "idle" else f"{holder['kind']} {holder['name']}"


def step_of(holder: Row, split: str | None, why: str | None) -> str:
    if why is not None:
        return "unallocated"
    if holder == {}:
        return "split" if split else "rule"
    return "idle" if holder["kind"] == "idle" else "workload"


def holders(
    charge: Row, charges: Sequence[Row], workloads: Sequence[Row]
) -> list[tuple[Row, Fraction]]:
    """List who held how much of a charge, idle among them; `{}` when workloads do not explain it."""
    start, end = charge["ChargePeriodStart"], charge["ChargePeriodEnd"]
    linked = best_links(charge, workloads)
    if not linked or end <= start:
        return [({}, Fraction(1))]
    by_work = linked[0][0] == 0
    near = [one for _, one in linked if first_of(start) < one["ended_at"] and starts(one, end)]
    over = [one for one in near if overlap(one, start, end)]
    bought, gpus = capacity(charge, charges)
    people = [one for one in over if one["kind"] != "idle"]
    weighed = all(one["weight"] is not None for one in people)
    weighed = weighed and sum(one["weight"] or 0 for one in over) > 0
    counted = any((one["gpu_count"] or 0) > 0 for one in people)
    tells_idle = any(one["kind"] == "idle" and (one["weight"] or 0) > 0 for one in over)
    if weighed and (
        by_work or (tells_idle and not (counted and bought)) or not (counted or bought)
    ):
        parts = [(one, by_weight(one, start, end)) for one in over if one["weight"]]
    else:
        whole = gpus or (bought / seconds(start, end) if bought else Fraction(1))
        parts = [
            (one, gpus_of(one, whole, counted=counted) * overlap(one, start, end)) for one in people
        ]
        idle = bought - sum(amount for _, amount in parts)
        if idle > bought / ROUNDING and (over or (near and not by_work)):
            parts.append(({"kind": "idle", "name": "", "tags": None}, idle))
    parts = [(named(one), amount) for one, amount in parts if amount > 0]
    return parts or [({}, Fraction(1))]


def named(workload: Row) -> Row:
    return {**workload, "name": "", "tags": None} if workload["kind"] == "idle" else workload


def first_of(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def starts(workload: Row, end: datetime) -> bool:
    return bool(workload["started_at"] < first_of(end - MICROSECOND) + timedelta(days=1))


def seconds(start: datetime, end: datetime) -> Fraction:
    return Fraction((end - start) // MICROSECOND, 10**6)


def overlap(workload: Row, start: datetime, end: datetime) -> Fraction:
    begun, over = max(start, workload["started_at"]), min(end, workload["ended_at"])
    return seconds(begun, over) if begun < over else Fraction(0)


def by_weight(workload: Row, start: datetime, end: datetime) -> Fraction:
    interval = seconds(workload["started_at"], workload["ended_at"])
    weight = int(workload["weight"] * 10**12)
    return Fraction(math.floor(weight * overlap(workload, start, end) / interval))


def gpus_of(workload: Row, whole: Fraction, *, counted: bool) -> Fraction:
    if workload["gpu_count"] is None:
        return Fraction(0) if counted and workload["weight"] is not None else whole
    return meant(workload["gpu_count"])


def meant(count: Decimal) -> Fraction:
    """Read 0.142857 as a seventh: what is told to six decimals may be k/5040."""
    slice_ = Fraction(round(Fraction(count) * 5040), 5040)
    return slice_ if abs(slice_ - Fraction(count)) <= Fraction(5, 10**7) else Fraction(count)


def capacity(charge: Row, charges: Iterable[Row]) -> tuple[Fraction, Fraction]:
    """Give the GPU-seconds that were bought of the resource in this time, and its GPUs."""
    keys = ["ResourceId", "ChargePeriodStart", "ChargePeriodEnd"]
    if charge["ResourceId"] is None:
        keys += ["ResourceName", "SkuId", "Tags"]
    lines = [one for one in charges if [one[key] for key in keys] == [charge[key] for key in keys]]
    billed = sum((Fraction(one["x_GpuHours"] or 0) for one in lines), Fraction(0)) * 3600
    gpus = max((meant(Decimal(one["x_GpuCount"] or 0)) for one in lines), default=Fraction(0))
    full = gpus * seconds(charge["ChargePeriodStart"], charge["ChargePeriodEnd"])
    known = [amount for amount in (billed, full) if amount > 0]
    return min(known, default=Fraction(0)), gpus


def best_links(charge: Row, workloads: Iterable[Row]) -> list[tuple[int, Row]]:
    """List the workloads that name the charge in the best way that any of them does."""
    links = [(rank, one) for one in workloads if (rank := link(charge, one)) is not None]
    best = min((rank for rank, _ in links), default=None)
    return [(rank, one) for rank, one in links if rank == best]


def link(charge: Row, workload: Row) -> int | None:
    sku = json.loads(workload["attributes"] or "{}").get("sku")
    if workload["ended_at"] <= workload["started_at"] or sku not in {None, charge["SkuId"]}:
        return None
    resource = charge["ResourceId"]
    if resource is not None and workload["resource_id"] == resource:
        return 1 if sku is None else 0
    tags = json.loads(charge["Tags"] or "{}")
    names = {charge["ResourceName"], tags.get("node"), resource and resource.rpartition("/")[2]}
    names -= {None, ""}
    return 2 if names & {workload["resource_id"], workload["node"]} else None


def decide(charge: Row, holder: Row, org: Organization, day: date, basis: Basis) -> Decision:
    tags = json.loads(charge["Tags"] or "{}") | json.loads(holder.get("tags") or "{}")
    facts = {f"Tags.{key}": value for key, value in tags.items()} | dict(charge)
    if holder and holder["kind"] != "idle":
        facts |= {f"Workload.{key}": holder[key] for key in ("kind", "name")}
    center, split, rule = by_rules(facts, org)
    if holder and holder["kind"] == "idle":
        name, policy = org.idle.policy(org.lineage(center) if center else ())
        if policy.cost_center or policy.split:
            center, split, rule = policy.cost_center, policy.split, name
    if center is not None and not org.cost_centers[center].valid_on(day):
        return None, None, rule, f"cost center {center} is not valid on {day}"
    if split is not None and not members(None, split, org, day, basis):
        return None, None, rule, f"no cost center of split {split} is valid on {day}"
    return center, split, rule, None if center or split else "nobody"


def by_rules(facts: Row, org: Organization) -> tuple[str | None, str | None, str | None]:
    for rule in org.rules:
        if all(meets(condition, facts.get(name)) for name, condition in rule.match.items()):
            if rule.cost_center_from is None:
                return rule.cost_center, rule.split, rule.id
            if found := org.by_name.get(slug(facts.get(rule.cost_center_from) or "")):
                return found, None, rule.id
    return None, None, None


def meets(condition: object, value: str | None) -> bool:
    return (value is not None) is condition if isinstance(condition, bool) else value == condition


def members(
    center: str | None, split: str | None, org: Organization, day: date, basis: Basis
) -> list[tuple[str | None, Fraction]]:
    if split is None:
        return [(center, Fraction(1))]
    left: list[tuple[Fraction, list[tuple[str | None, Fraction]]]] = []
    chosen = org.splits[split]
    has = {name: Fraction(amount) for name, amount in basis.get(split, {}).items() if amount > 0}
    for name, share in (has if chosen.is_measured else chosen.weighted({})).items():
        if name.startswith("splits."):
            left.append((share, members(None, name.removeprefix("splits."), org, day, basis)))
        elif org.cost_centers[name].valid_on(day):
            left.append((share, [(name, Fraction(1))]))
    left = [(share, inner) for share, inner in left if inner]
    whole = sum(share for share, _ in left)
    found: dict[str | None, Fraction] = {}
    for share, inner in left:
        for member, part in inner:
            found[member] = found.get(member, Fraction(0)) + share / whole * part
    return sorted(found.items(), key=lambda each: each[0] or "")
