"""What proportional splits go by: what every cost center carries directly, over a span of days.

It is read from the allocations in the warehouse. Directly means not through a split, so a
proportional split never goes by its own outcome or that of another split.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import polars as pl

from finops import money, splits, weights
from finops.organization import Organization
from finops.partition import Partition, Window, period_of
from finops.rules import STEP_SPLIT
from finops.splits import Basis, Measure, Span, Split
from finops.warehouse import Warehouse

_SPENT = pl.coalesce("effective_cost", "billed_cost")
_READ = {
    Measure.BILLED_COST: pl.col("billed_cost"),
    Measure.EFFECTIVE_COST: _SPENT,
    Measure.GPU_HOURS: pl.col("gpu_hours"),
}


def of(
    warehouse: Warehouse, organization: Organization, partition: Partition, table: str
) -> Basis:
    """Read what the proportional splits go by for the charges of one partition.

    `table` is where the allocations are. Cost centers without anything are left out.
    """
    found = {}
    for name, split in splits.proportional(organization.splits):
        keys = [each.key(table) for each in _spanned(warehouse, partition, split.over, table)]
        found[name] = _carried(warehouse, keys, split)
    return found


def rules(organization: Organization) -> frozenset[str]:
    """Name the rules whose charges are divided in proportion to something, in a chain or not."""
    uses = {name for name, _ in splits.proportional(organization.splits)}
    inner = {name: split.inner for name, split in organization.splits.items()}
    for name in weights.inner_first(inner):
        if uses.intersection(inner[name]):
            uses.add(name)
    return frozenset(rule.id for rule in organization.rules if rule.split in uses)


def digest(basis: Basis) -> str:
    """Digest a basis: it decides allocations as charges and rules do."""
    told = {
        name: {center: money.text(amount) for center, amount in amounts.items()}
        for name, amounts in basis.items()
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _spanned(
    warehouse: Warehouse, partition: Partition, span: Span, table: str
) -> Iterator[Partition]:
    month = Window.of_period(partition.period)
    period = {
        Span.DAY: partition.period,
        Span.MONTH: partition.period,
        Span.PREVIOUS_MONTH: period_of(month.start - timedelta(days=1)),
    }[span]
    for key in warehouse.list(f"{table}/"):
        each = Partition.from_key(key)
        if each and each.period == period and (span is not Span.DAY or each.day == partition.day):
            yield each


def _carried(warehouse: Warehouse, keys: list[str], split: Split) -> dict[str, Decimal]:
    if not keys or split.by is None:
        return {}
    is_direct = pl.col("cost_center").is_not_null() & (pl.col("step") != STEP_SPLIT)
    if split.by is not Measure.GPU_HOURS:
        is_direct &= pl.col("currency") == split.currency
    files = [warehouse.local(key) for key in keys]
    sums = (
        pl.concat([pl.scan_parquet(file, glob=False) for file in files])
        .filter(is_direct)
        .group_by("cost_center")
        .agg(_READ[split.by].sum().alias("amount"))
        .filter(pl.col("amount") != 0)
        .sort("cost_center")
        .collect()
    )
    return {center: Decimal(amount) for center, amount in sums.iter_rows()}
