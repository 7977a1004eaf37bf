"""The README: what there is to find in the bills, with the figures that come out."""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

from northlight import aws_focus, orion, runpod
from northlight.line import SPLIT, Line
from northlight.work import Work

Bills = Mapping[str, Sequence[Line]]
Sums = dict[tuple[str, str], Fraction]
"""Effective cost by (cost center, currency), without what is below."""

_CLUSTER = f"{SPLIT}orion"
_CENT = Decimal("0.01")
_TENTH = Decimal("0.1")
_PRICE_QUANTUM = Decimal("0.001")
_FORMATS = {
    "aws-main": "FOCUS 1.2 data export, Parquet, by day",
    "aws-research": "CUR 2.0 data export, csv.gz, by hour",
    "azure": "FOCUS 1.2-preview export, csv.gz, by day",
    "gcp": "detailed billing export, Parquet, by hour and day",
    "runpod": "recorded replies of the v2 API, by hour",
    "coreweave": "recorded billing export × rate card, by hour",
    "lambda": "samples and audit events × price seen, by day",
    "github": "recorded billing usage, by day",
    "harbor": "CSV that a colleague types, by day",
}
_WORK_FORMATS = {
    "orion": ("recorded OpenCost and DCGM replies, by day", "pod"),
    "jenkins": ("recorded replies of the JSON and stage APIs", "build"),
    "github": ("recorded jobs", "job"),
    "training": ("`finops-event/1` files of two scripts", "run"),
}

@dataclass(frozen=True, slots=True)
class _Company:
    """What the story needs of `organization.toml`."""

    centers: Mapping[str, Mapping[str, Any]]
    splits: Mapping[str, Mapping[str, Any]]

    def carriers(self, owner: str) -> dict[str, Fraction]:
        """Give the cost centers that carry a line of `owner`, and their shares."""
        if not owner.startswith(SPLIT):
            return {owner: Fraction(1)}
        split = self.splits[owner.removeprefix(SPLIT)]
        if "among" in split:
            return {center: Fraction(1, len(split["among"])) for center in split["among"]}
        return {center: Fraction(share) for center, share in split["shares"].items()}

    def is_below(self, center: str, top: str) -> bool:
        current: str | None = center
        while current is not None and current != top:
            current = self.centers[current].get("parent")
        return current == top


def told(
    template: str,
    organization: str,
    bills: Bills,
    restated: Sequence[Line],
    work: Sequence[Work],
) -> str:
    """Fill the template's `{names}` with figures computed from the bills."""
    table = tomllib.loads(organization, parse_float=Decimal)
    company = _Company(table["cost_centers"], table["splits"])
    lines = [line for each in bills.values() for line in each]
    sums = _by_center(company, lines)
    return template.format_map(
        {
            **_restatement(bills["aws-main"], restated),
            **_unallocated(lines),
            **_commitment(lines),
            **_workloads(work),
            "rows": f"{len(lines):,}",
            "billed_usd": _plain(_billed(lines, "USD")),
            "billed_eur": _plain(_billed(lines, "EUR")),
            "sources": _sources(bills),
            "budgets": _budgets(company, sums),
            "coverage": _coverage(lines),
            "cluster": _cluster(company, lines),
            "h100": _gpu_prices(lines, "H100"),
            "quarantine": _quarantine(bills),
            "credits_usd": _credits(lines, "USD"),
            "credits_eur": _credits(lines, "EUR"),
            "spike": _spike(bills),
        }
    )


def _by_center(company: _Company, lines: Iterable[Line]) -> Sums:
    sums: Sums = {}
    for line in lines:
        for center, share in _carriers(company, line).items() if line.owner else ():
            key = (center, line.currency)
            sums[key] = sums.get(key, Fraction(0)) + Fraction(line.effective) * share
    return sums


def _budgets(company: _Company, sums: Sums) -> str:
    found = []
    for id_, center in company.centers.items():
        if "budget" not in center:
            continue
        amount, currency = center["budget"]["amount"], center["budget"].get("currency", "USD")
        spent = sum(
            (
                spent
                for (below, of), spent in sums.items()
                if of == currency and company.is_below(below, id_)
            ),
            Fraction(0),
        )
        percent = _rounded(spent * 100 / Fraction(amount), _CENT, down=True)
        cells = (center["name"], center["type"].replace("_", " "), currency)
        money = (f"{amount:,}", _plain(spent), f"{percent} %")
        found.append((-percent, _row(*cells, *money)))
    return "\n".join(row for _, row in sorted(found))


def _sources(bills: Bills) -> str:
    return "\n".join(
        _row(
            f"`{name}`",
            _FORMATS[name],
            f"{len(lines):,}",
            _plain(sum(line.billed for line in lines)),
            _currency(lines),
            f"{_rounded(Fraction(_gpu_hours(lines)), _TENTH):,}",
        )
        for name, lines in bills.items()
    )


def _gpu_hours(lines: Sequence[Line]) -> Decimal:
    return sum((line.gpu_hours for line in lines if not line.is_quarantined), Decimal(0))


def _coverage(lines: Sequence[Line]) -> str:
    rows = []
    for currency in ("USD", "EUR"):
        mine = [line for line in lines if line.currency == currency]
        billed = sum((line.billed for line in mine), Decimal(0))
        missing = _sum(mine, lambda line: line.owner is None and not line.is_quarantined)
        aside = _sum(mine, lambda line: line.is_quarantined)
        percent = _rounded(Fraction(billed - missing - aside) * 100 / Fraction(billed), _CENT)
        amounts = (_plain(each) for each in (billed, billed - missing - aside, missing, aside))
        rows.append(_row(currency, *amounts, f"{percent} %"))
    return "\n".join(rows)


def _unallocated(lines: Sequence[Line]) -> dict[str, str]:
    def of(column: str, *beginnings: str) -> list[Line]:
        return [line for line in lines if str(line.cells.get(column)).startswith(beginnings)]

    pod = of("podId", runpod.UNTAGGED_POD)
    typo = of("ResourceId", "i-0labelqa-")
    forgotten = of("ResourceId", "nat-", "vol-0forgotten")
    return {
        "pod": _plain(sum(line.billed for line in pod)),
        "pod_hours": str(len(pod)),
        "typo": _plain(sum(line.billed for line in typo)),
        "typo_rows": str(len(typo)),
        "forgotten": _plain(sum(line.billed for line in forgotten)),
    }


def _commitment(lines: Sequence[Line]) -> dict[str, str]:
    plan = [
        line for line in lines if line.cells.get("CommitmentDiscountType") == "Compute Savings Plan"
    ]
    bought = _sum(plan, lambda line: line.cells["ChargeCategory"] == "Purchase")
    unused = [line for line in plan if line.cells["CommitmentDiscountStatus"] == "Unused"]
    lost = sum((line.effective for line in unused), Decimal(0))
    return {"plan": _plain(bought), "plan_used": _plain(bought - lost), "plan_unused": _plain(lost)}


def _carriers(company: _Company, line: Line) -> dict[str, Fraction]:
    """Give who carries a line: pods that held a machine of the cluster, before anybody else."""
    held = _held(line)
    rest = 1 - sum(held.values(), Fraction(0))
    parts = dict(held)
    for center, share in company.carriers(line.owner or "").items():
        parts[center] = parts.get(center, Fraction(0)) + share * rest
    return parts


def _held(line: Line) -> dict[str, Fraction]:
    """Give the shares of a line that pods held; none when it is not for a machine of the cluster."""
    if line.owner != _CLUSTER or not line.gpu_hours:
        return {}
    day = line.cells["ChargePeriodStart"]
    held = orion.held_gpu_hours(str(line.cells["ResourceId"]), day)
    return {team: hours / Fraction(line.gpu_hours) for team, hours in held.items()}


def _cluster(company: _Company, lines: Sequence[Line]) -> str:
    """Tell for each team what its pods held, its agreed share of the rest, and both together."""
    mine = [line for line in lines if line.owner == _CLUSTER]
    held: dict[str, Fraction] = {}
    for line in mine:
        for team, share in _held(line).items():
            held[team] = held.get(team, Fraction(0)) + share * Fraction(line.effective)
    total = sum((Fraction(line.effective) for line in mine), Fraction(0))
    rest = total - sum(held.values(), Fraction(0))
    return "\n".join(
        _row(
            company.centers[center]["name"],
            _plain(held[center]),
            f"{share * 100} %",
            _plain(rest * share),
            _plain(held[center] + rest * share),
        )
        for center, share in sorted(company.carriers(_CLUSTER).items(), key=lambda pair: -pair[1])
    )


def _gpu_prices(lines: Sequence[Line], model: str) -> str:
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.gpu_model == model and not line.is_quarantined:
            found.setdefault((line.provider, line.currency), []).append(line)
    rows = []
    for (provider, currency), mine in found.items():
        hours = sum((line.gpu_hours for line in mine), Decimal(0))
        cost = sum((line.effective for line in mine), Decimal(0))
        price = _rounded(Fraction(cost) / Fraction(hours), _PRICE_QUANTUM)
        row = _row(provider, f"{hours:,.0f}", _plain(cost), currency, f"{price}")
        rows.append(((currency != "USD", -price), row))
    return "\n".join(row for _, row in sorted(rows))


def _quarantine(bills: Bills) -> str:
    return "\n".join(
        _row(
            f"`{name}`",
            f"{line.cells['ChargePeriodStart']:%Y-%m-%d}",
            f"`{line.cells['BillingCurrency']}`",
            f"`{line.cells['ChargeCategory']}`",
            _plain(line.billed),
        )
        for name, lines in bills.items()
        for line in lines
        if line.is_quarantined
    )


def _restatement(first: Sequence[Line], second: Sequence[Line]) -> dict[str, str]:
    def of(lines: Sequence[Line], resource: str) -> list[Decimal]:
        day = aws_focus.RESTATED_DAY
        return [
            line.billed
            for line in lines
            if line.cells["ResourceId"] == resource and line.cells["ChargePeriodStart"] == day
        ]

    before, after = (of(lines, aws_focus.STALE_RESOURCE)[0] for lines in (first, second))
    whole = [sum(line.billed for line in lines) for lines in (first, second)]
    return {
        "stale": _plain(before),
        "corrected": _plain(after),
        "doubled": _plain(of(first, aws_focus.DOUBLED_RESOURCE)[0]),
        "outage_credit": _plain(aws_focus.OUTAGE_CREDIT),
        "restated": _plain(whole[1] - whole[0]),
    }


def _workloads(work: Sequence[Work]) -> dict[str, str]:
    """Count the work, each pod once, and give the idle part of the cluster's nodes."""
    rows = [
        _row(f"`{source}`", what, f"{len({one.id for one in work if one.kind == kind}):,} {kind}s")
        for source, (what, kind) in _WORK_FORMATS.items()
    ]
    nodes = [one for one in work if one.source == orion.SOURCE]
    whole = sum((one.weight for one in nodes), Decimal(0))
    idle = sum((one.weight for one in nodes if one.kind == "idle"), Decimal(0))
    readings = [
        one.utilization
        for one in nodes
        if one.id.endswith(orion.IDLEST) and one.utilization is not None
    ]
    busy = sum(readings, Decimal(0)) / len(readings)
    stages = len({one.id for one in work if one.kind == "stage"})
    return {
        "work": "\n".join(rows),
        "stages": str(stages),
        "idle": f"{_rounded(Fraction(idle) * 100 / Fraction(whole), _CENT)}",
        "idlest": orion.IDLEST.partition("/")[2],
        "idlest_busy": f"{_rounded(Fraction(busy) * 100, _TENTH)}",
    }


def _spike(bills: Bills) -> str:
    """Give the training run's cost: the lines of Polaris 70B on AWS."""
    return _plain(_sum(bills["aws-research"], lambda line: line.owner == "polaris_70b"))


def _billed(lines: Iterable[Line], currency: str) -> Decimal:
    return _sum(lines, lambda line: line.currency == currency)


def _sum(lines: Iterable[Line], is_meant: Callable[[Line], bool]) -> Decimal:
    return sum((line.billed for line in lines if is_meant(line)), Decimal(0))


def _credits(lines: Iterable[Line], currency: str) -> str:
    return _plain(_sum(lines, lambda line: line.billed < 0 and line.currency == currency))


def _currency(lines: Sequence[Line]) -> str:
    return " and ".join(sorted({line.currency for line in lines}))


def _rounded(value: Fraction, quantum: Decimal, *, down: bool = False) -> Decimal:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(quantum, ROUND_FLOOR) if down else exact.quantize(quantum)


def _plain(value: Decimal | Fraction | int) -> str:
    return f"{_rounded(Fraction(value), _CENT):,}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
