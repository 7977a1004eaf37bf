"""What workloads tell of a day, by cost center: what telemetry splits go by.

A workload is whose the rules say, looking at its tags and at `Workload.…`: other columns are those
of charges, and empty here. One that the rules give to nobody, or to a split, counts for nobody.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from finops import focus, money, rules
from finops.dimension_sets import DimensionSets, stored_columns
from finops.organization import Organization
from finops.partition import Window
from finops.splits import ATTRIBUTE, Split
from finops.workloads import Shelf

_MICROSECONDS_AN_HOUR = 3_600_000_000
_AMOUNT = "~amount"


def told(
    shelf: Shelf, organization: Organization, named: Mapping[str, Split], day: date
) -> dict[str, dict[str, Decimal]]:
    """Add up for each of the splits `named` what the workloads of `day` tell, by cost center."""
    found: dict[str, dict[str, Decimal]] = {name: {} for name in named}
    if not named or not shelf:
        return found
    valid = organization.on(day)
    held = shelf.read(Window(day, day + timedelta(days=1))).filter(pl.col("kind") != "idle")
    keys = ["provider", "source"]
    for (provider, source), rows in held.collect().group_by(keys, maintain_order=True):
        constants = {"provider": str(provider), "source": str(source)}
        looked_at = _looked_at(rows, valid, named)
        centers = rules.decide(looked_at, valid, constants).get_column("cost_center")
        sets = DimensionSets(looked_at, valid, constants)
        for name, split in named.items():
            matching = sets.matching(split.match)
            if matching is not None:
                for center, amount in _sums(rows, split, centers, matching):
                    found[name][center] = found[name].get(center, Decimal(0)) + amount
    return found


def _looked_at(
    rows: pl.DataFrame, organization: Organization, named: Mapping[str, Split]
) -> pl.DataFrame:
    """Show workloads as rules and conditions look at charges: with tags and themselves only."""
    asked = {column for split in named.values() for column in split.match}
    stored = {*rules.columns(organization), *stored_columns(asked, organization)}
    facts = pl.struct(focus.WORKLOAD_FACTS).struct.json_encode()
    known = {focus.TAGS: pl.col("tags"), focus.WORKLOAD: facts}
    nothing = pl.lit(None, pl.String)
    # One column at least, since a table without columns has no rows.
    names = sorted({*stored, focus.TAGS})
    return rows.select(known.get(name, nothing).alias(name) for name in names)


def _sums(
    rows: pl.DataFrame, split: Split, centers: pl.Series, matching: pl.Series
) -> Iterator[tuple[str, Decimal]]:
    amounts = rows.select(_metric(split.by or "").alias(_AMOUNT), centers.alias("cost_center"))
    sums = (
        amounts.filter(matching & centers.is_not_null())
        .group_by("cost_center")
        .agg(pl.col(_AMOUNT).sum())
        .filter(pl.col(_AMOUNT) != 0)
        .sort("cost_center")
    )
    for center, amount in sums.iter_rows():
        yield center, Decimal(amount)


def _metric(name: str) -> pl.Expr:
    """Say how much a workload tells; nothing known is nothing."""
    if name == "weight":
        return pl.col("weight")
    if name.startswith(ATTRIBUTE):
        text = pl.col("attributes").str.json_path_match(f"$['{name.removeprefix(ATTRIBUTE)}']")
        return text.cast(money.DTYPE, strict=False)
    hours = (pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds().cast(
        money.DTYPE
    ) / _MICROSECONDS_AN_HOUR
    gpus = pl.col("gpu_count")
    # How much of it was used is rarely unknown for good reason: unknown counts as all.
    used = pl.col("gpu_utilization").fill_null(1)
    return {"hours": hours, "gpu_hours": hours * gpus, "used_gpu_hours": hours * gpus * used}[name]
