"""What CoreWeave counts: hours of a SKU, from the FOCUS export or from metrics, and their plans.

The export shows the same usage in two ways, by location and by capacity plan. They are never
added: the plans say in which proportion the usage of a location is shared among them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from finops import focus, gpus, money
from finops.errors import DataError, Issue, Severity
from finops.focus import Kind
from finops.rate_card import unit_key
from providers import prometheus, shapes
from providers.prometheus import AT, VALUE

PLAN = "x_CapacityPlan"
HOUR = timedelta(hours=1)
INSTANCE_HOUR = "Instance-Hour"
# Both views travel as doubles, so their sums may differ in the last digits.
_VIEW_TOLERANCE = Decimal("0.000001")
_CLUSTER, _ORGANIZATION = "cluster", "cluster_org"
_INSTANCE_TYPE = "label_node_kubernetes_io_instance_type"
_LABELS = (_ORGANIZATION, _CLUSTER, _INSTANCE_TYPE)
_SAMPLES_PER_HOUR = 60
_TOLD = ("RegionId", "ServiceName", "x_ClusterId", "x_ClusterName", "x_ProductFamily")
"""Text that charges are named and placed by."""
_TIMES = tuple(column.name for column in focus.BY_NAME.values() if column.kind is Kind.TIME)

INSTANCE_MINUTES = (
    f"sum by ({', '.join(_LABELS)}) "
    f"(sum_over_time(billing:instance:total[1h:{60 * 60 // _SAMPLES_PER_HOUR}s]))"
)
BEFORE_THE_HOUR_ENDS = timedelta(seconds=30)
"""When to evaluate `INSTANCE_MINUTES`: half a minute before the hour is over its range holds the
sixty full minutes of that hour, whether a server counts the left end of a range in or not."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a SKU was used from `start` to `end`, and what else the row says.

    `place` is the 0-based row of the raw object; `fields` are the columns as delivered.
    """

    place: int
    start: datetime
    end: datetime
    sku_id: str | None
    unit: str | None
    quantity: Decimal | None
    plan: str | None
    fields: Mapping[str, Any]

    @property
    def key(self) -> tuple[datetime, str | None, str]:
        """Give what both views agree on: hour, SKU and unit."""
        return self.start, self.sku_id, unit_key(self.unit or "")


Shares = Mapping[tuple[datetime, str | None, str], Mapping[str | None, Decimal]]
"""Quantity by plan, of each hour, SKU and unit."""


def exported(document: Any, name: str) -> list[Usage]:
    """Read one page of the export; raises `DataError` for any other shape."""
    try:
        return [_usage(place, row) for place, row in enumerate(document["data"])]
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is not CoreWeave usage as it is known ({type(error).__name__}: {error}); "
            f"nothing of it was taken"
        ) from None


def as_of(document: Any, name: str) -> datetime | None:
    """Tell until when a page is complete, where it says so."""
    told = document.get("data_as_of")
    try:
        return time(told) if told else None
    except (TypeError, ValueError, AttributeError):
        raise DataError(
            f"{name}: data_as_of {told!r} is no time; nothing of it was taken"
        ) from None


def next_page(document: Any, name: str) -> str | None:
    """Read the token of the next page; raises `DataError` for one that is no text."""
    try:
        return shapes.optional_text(document.get("next_page_token"))
    except TypeError as error:
        raise DataError(f"{name}: next_page_token: {error}; nothing of it was taken") from None


def _usage(place: int, row: Mapping[str, Any]) -> Usage:
    quantity = row.get("PricingQuantity")
    for name in _TIMES:
        if row.get(name):
            time(row[name])
    for name in _TOLD:
        shapes.optional_text(row.get(name))
    return Usage(
        place=place,
        start=time(row["ChargePeriodStart"]),
        end=time(row["ChargePeriodEnd"]),
        sku_id=shapes.optional_text(row.get("SkuId")) or None,
        unit=shapes.optional_text(row.get("PricingUnit")) or None,
        quantity=None if quantity is None else _rounded(shapes.number(quantity)),
        plan=shapes.optional_text(row.get(PLAN)) or None,
        fields=row,
    )


def time(text: str) -> datetime:
    """Read RFC 3339; a time without zone is UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def metered(document: Any, name: str) -> list[Usage]:
    """Read the instance-minutes that Prometheus counted as instance-hours."""
    table = prometheus.samples(document, name, _LABELS)
    return [_metered(place, row) for place, row in enumerate(table.iter_rows(named=True))]


def _metered(place: int, row: Mapping[str, Any]) -> Usage:
    start = row[AT].replace(minute=0, second=0, microsecond=0)
    instance_type = row[_INSTANCE_TYPE]
    family = "GPU Compute" if instance_type in gpus.known("coreweave") else "Compute"
    hours = _rounded(money.CONTEXT.divide(row[VALUE], Decimal(_SAMPLES_PER_HOUR)))
    fields = {
        "BillingAccountId": row[_ORGANIZATION],
        "ServiceName": family,
        # Metrics know a cluster's name only, so that is its identity here.
        "x_ClusterId": row[_CLUSTER],
        "x_ClusterName": row[_CLUSTER],
        "x_ProductFamily": family,
    }
    return Usage(place, start, start + HOUR, instance_type, INSTANCE_HOUR, hours, None, fields)


def shares(planned: Iterable[Usage]) -> Shares:
    """Add up the view by capacity plan."""
    found: dict[tuple[datetime, str | None, str], dict[str | None, Decimal]] = {}
    for usage in planned:
        plans = found.setdefault(usage.key, {})
        plans[usage.plan] = plans.get(usage.plan, Decimal(0)) + (usage.quantity or Decimal(0))
    return found


def apportioned(located: Iterable[Usage], plans: Shares) -> Iterator[Usage]:
    """Share each location's usage among the plans of its hour; the parts equal the whole exactly.

    Usage of an hour and SKU for which no plan is told keeps no plan.
    """
    for usage in located:
        told = sorted(
            ((plan, amount) for plan, amount in plans.get(usage.key, {}).items() if amount > 0),
            key=lambda share: share[0] or "",
        )
        if usage.quantity is None or not told:
            yield usage
            continue
        weights = [money.atoms(amount) for _, amount in told]
        for (plan, _), part in zip(told, money.split(usage.quantity, weights), strict=True):
            yield replace(usage, plan=plan, quantity=part)


def _rounded(quantity: Decimal) -> Decimal:
    """Bring a quantity to 18 decimals; raises `ArithmeticError` for one that does not fit."""
    return quantity.quantize(money.QUANTUM, context=money.CONTEXT)


def differing(located: Sequence[Usage], plans: Shares, where: str) -> Iterator[Issue]:
    """Say where the two views do not show the same usage; the view by location is what counts.

    What the view by plan does not show at all, such as storage, has no plan and differs in nothing.
    """
    by_location: dict[tuple[datetime, str | None, str], Decimal] = defaultdict(Decimal)
    for usage in located:
        by_location[usage.key] += usage.quantity or Decimal(0)
    differences = {
        key: difference
        for key, told in plans.items()
        if abs(difference := sum(told.values()) - by_location[key]) > _VIEW_TOLERANCE
    }
    if differences:
        start, sku, unit = first = min(differences, key=str)
        yield Issue(
            where,
            f"CoreWeave's views by location and by capacity plan differ for {len(differences)} "
            f"hours of a SKU, first {sku} at {start:%Y-%m-%d %H:%M} by "
            f"{money.text(differences[first])} {unit}; the view by location was taken, ask "
            f"CoreWeave's support if this stays",
            Severity.WARNING,
        )
