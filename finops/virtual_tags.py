"""Virtual tags on rows: as a column of charges, and to tell ledger entries apart by any dimension."""

import json
from collections.abc import Mapping

import polars as pl

from finops import charges
from finops.dimension_sets import DimensionSets, stored_columns
from finops.organization import Organization
from finops.partition import Partition
from finops.rulebook import VIRTUAL
from finops.warehouse import Warehouse

COLUMN = "x_VirtualTags"
"""A JSON object of the virtual tags that a charge has, as `Tags` is of its tags."""

DIMENSION = "~dimension"
_ROW = "~row"
_PARTITION = ("provider", "source", "period", "day")


def tagged(rows: pl.DataFrame, organization: Organization, partition: Partition) -> pl.DataFrame:
    """Add `COLUMN` to charges; null where a charge has none of the virtual tags."""
    valid = organization.on(partition.day)
    sets = DimensionSets(rows, valid, _constants(partition))
    values = pl.DataFrame(
        [sets.values(f"{VIRTUAL}.{tag}").series().alias(tag) for tag in sorted(valid.virtual_tags)]
    )
    distinct = values.unique(maintain_order=True)
    texts = [_json(each) for each in distinct.iter_rows(named=True)]
    written = distinct.with_columns(pl.Series(COLUMN, texts, dtype=pl.String))
    joined = values.join(
        written, on=values.columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return rows.with_columns(joined.get_column(COLUMN))


def with_dimension(
    warehouse: Warehouse, entries: pl.LazyFrame, organization: Organization, column: str
) -> pl.LazyFrame:
    """Add to ledger entries, as `DIMENSION`, what their charge holds in a column or tag.

    Null where it holds nothing, and where the charge is no longer part of a bill: such an entry
    and its reversal take each other back.
    """
    told = entries.select(_PARTITION).unique().collect()
    stored = sorted(stored_columns([column], organization))
    frames = [pl.DataFrame(schema={**_KEYS, "charge_id": pl.String, DIMENSION: pl.String})]
    there = set(charges.partitions(warehouse))
    for provider, source, period, day in told.sort(_PARTITION).iter_rows():
        partition = Partition(provider, source, period, day)
        if partition in there:
            rows = charges.read(warehouse, partition).select("x_ChargeId", *stored).collect()
            sets = DimensionSets(rows, organization.on(day), _constants(partition))
            found = rows.select(
                *(pl.lit(value, _KEYS[name]).alias(name) for name, value in _facts(partition)),
                pl.col("x_ChargeId").alias("charge_id"),
                sets.values(column).series().alias(DIMENSION),
            )
            frames.append(found)
    known = pl.concat(frames).lazy()
    return entries.join(known, on=[*_PARTITION, "charge_id"], how="left")


_KEYS = {"provider": pl.String(), "source": pl.String(), "period": pl.String(), "day": pl.Date()}


def _facts(partition: Partition) -> list[tuple[str, object]]:
    return [(name, getattr(partition, name)) for name in _PARTITION]


def _constants(partition: Partition) -> dict[str, str]:
    return {"provider": partition.provider, "source": partition.source}


def _json(values: Mapping[str, str | None]) -> str | None:
    given = {tag: value for tag, value in values.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")) if given else None
