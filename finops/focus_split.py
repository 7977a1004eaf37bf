"""Allocated charges: ledger entries as FOCUS 1.3 and 1.4 write a split of costs.

An *origin charge* that is split becomes one *allocated charge* for each entry. What can be added
up adds up to the origin's to the last of 18 decimals; unit prices and dimensions equal it. The
rules: FOCUS 1.4, "Data Generator-Calculated Split Cost Allocation Handling" and the columns
AllocatedMethodId, AllocatedMethodDetails, AllocatedResourceId, AllocatedResourceName and
AllocatedTags. `docs/focus-files.md` says the same for readers of the file.
"""

import functools
import json

import polars as pl

from finops import attribution, explained, focus, holders, money
from finops.attribution import MEASURES
from finops.errors import ExportError
from finops.explained import STEP_IDLE, STEP_WORKLOAD
from finops.focus import Kind
from finops.held import GPU_TIME, GPU_TIME_HELD, TIME_HELD, WEIGHT
from finops.holders import KIND, NAME
from finops.holding import Holding
from finops.ledger import reference
from finops.organization import Organization
from finops.rules import STEP_SPLIT

BY_WORKLOADS, BY_SHARES = "finops:workload", "finops:split"
"""The methods of AllocatedMethodId: by who held the resource, and by the shares of a split."""

COST_CENTER = "cost_center"
COST_CENTER_TAG = f"finops/{COST_CENTER}"
"""Our own tag in AllocatedTags; the prefix is reserved for such."""

SUMMABLE = tuple(
    column.name
    for column in focus.COST_AND_USAGE
    if column.kind in {Kind.MONEY, Kind.QUANTITY} and column.name not in MEASURES.values()
)
"""What FOCUS wants to add up to the origin charge, beside what the ledger holds."""

ROW = "~row"
"""The place of its charge among the charges of the partition."""

_OURS = {
    "x_CostCenter": pl.col("cost_center"),
    "x_AllocationStep": pl.col("step"),
    "x_AllocationRule": pl.col("rule"),
    "x_AllocationReason": pl.col("reason"),
    "x_LedgerEntry": reference(),
}
_UNITS = {
    GPU_TIME: "GPU-Hours",
    GPU_TIME_HELD: "GPU-Hours",
    TIME_HELD: "Hours",
    WEIGHT: "Weight",
}
_RATIO, _IS_SPLIT, _MEASURED = "~ratio", "~is_split", "~measured"
_ORDER = ("cost_center", "step", "rule", "reason", "index", "row")


def told(
    entries: pl.DataFrame,
    charges: pl.LazyFrame,
    held: Holding | None,
    organization: Organization,
    where: str,
) -> pl.DataFrame:
    """Say of each of `entries` what its row says: all that the ledger holds live of a partition.

    The parts have `ROW` and what replaces columns of that charge or joins them. `held` is what
    `holders.holding_of` gives for the entries; names of cost centers are those of `organization`.
    Raises `ExportError` when entries, charges and workloads are not of each other; `where` is the
    partition's path.
    """
    origin = charges.select(pl.col("x_ChargeId").alias("charge_id"), focus.TAGS, *SUMMABLE)
    known = origin.collect()
    _demand_each_other(entries, known, where)
    named = holders.named(entries, charges, held)
    holders.demand_known(named, where)
    joined = named.join(known.with_row_index(ROW), on="charge_id").sort(
        ROW, *_ORDER, nulls_last=True
    )
    one = pl.lit(1).cast(money.DTYPE).alias(_RATIO)
    split = joined.with_columns(one, _is_split(), explained.measured().alias(_MEASURED))
    divided = attribution.divided(split, ROW, [_RATIO, *SUMMABLE])
    return divided.select(
        ROW,
        *SUMMABLE,
        *(pl.col(name).alias(column) for name, column in MEASURES.items()),
        *(said.alias(name) for name, said in _OURS.items()),
        *_allocated(divided, organization),
    )


def rows(charges: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Make the rows of `parts`, whose `ROW` counts from the first of these `charges`.

    A charge that is not split keeps what its provider says of a split of its own.
    """
    origin = charges[parts.get_column(ROW)]
    is_split = parts.get_column("AllocatedMethodId").is_not_null()
    return origin.with_columns(
        column.zip_with(is_split, origin.get_column(column.name))
        if column.name.startswith("Allocated")
        else column
        for column in parts.drop(ROW).iter_columns()
    )


def _demand_each_other(entries: pl.DataFrame, charges: pl.DataFrame, where: str) -> None:
    behind = "run `finops attribute` for that day first, nothing was exported"
    gone = entries.join(charges, on="charge_id", how="anti", maintain_order="left")
    if len(gone):
        entry, charge = gone.select(reference(), "charge_id").row(0)
        raise ExportError(
            f"{where}: {len(gone)} ledger entries are of charges that are no longer in the "
            f"warehouse (the first is {entry}, of charge {charge}); {behind}"
        )
    new = charges.join(entries, on="charge_id", how="anti")
    if len(new):
        charge = new.item(0, "charge_id")
        raise ExportError(
            f"{where}: {len(new)} charges are not in the ledger yet (the first is {charge}); "
            f"{behind}"
        )
    whole = entries.group_by("charge_id", "share_den").agg(pl.col("share_num").sum())
    torn = whole.filter(
        (pl.col("share_num") != pl.col("share_den")) | pl.col("charge_id").is_duplicated()
    )
    if len(torn):
        raise ExportError(
            f"{where}: the shares that the ledger has of charge {torn.item(0, 'charge_id')} do not "
            f"add up to it; nothing was exported, please report this"
        )


def _is_split() -> pl.Expr:
    by_method = pl.col("step").is_in([STEP_SPLIT, STEP_WORKLOAD, STEP_IDLE])
    return (by_method | (pl.col("share_den") > 1) | pl.col(KIND).is_not_null()).alias(_IS_SPLIT)


def _allocated(divided: pl.DataFrame, organization: Organization) -> list[pl.Expr | pl.Series]:
    """Give the five columns of FOCUS; null for what is not split."""
    by_shares = pl.col("step") == STEP_SPLIT
    method = pl.when(by_shares).then(pl.lit(BY_SHARES)).otherwise(pl.lit(BY_WORKLOADS))
    center = pl.col("cost_center")
    names = {id_: center.name for id_, center in organization.cost_centers.items()}
    called = center.replace_strict(names, default=center, return_dtype=pl.String)
    said = {
        "AllocatedMethodId": method,
        "AllocatedMethodDetails": _details(),
        "AllocatedResourceId": pl.coalesce(
            pl.format("{}/{}", KIND, NAME), pl.format(f"{COST_CENTER}/{{}}", center)
        ),
        "AllocatedResourceName": pl.coalesce(NAME, called),
    }
    return [
        *(pl.when(_IS_SPLIT).then(each).alias(name) for name, each in said.items()),
        _tags(divided),
    ]


def _details() -> pl.Expr:
    """Write AllocatedMethodDetails: one element, with the exact share beside its ratio.

    UsageQuantity is the part's of the GPU-hours billed, where GPU time was measured and nobody
    held more than there is: there it is what was held. Elsewhere the ledger does not hold it.
    """
    is_over = pl.col("reason").str.contains(explained.OVER, literal=True)
    is_known = (pl.col(_MEASURED) == GPU_TIME) & ~is_over
    quantity = pl.when(is_known).then(_number("gpu_hours"))
    unit = pl.col(_MEASURED).replace_strict(_UNITS, default=None, return_dtype=pl.String)
    return pl.concat_str(
        pl.lit('{"Elements":[{"AllocatedRatio":'),
        _number(_RATIO),
        _where_known(',"UsageQuantity":', quantity, ""),
        _where_known(',"UsageUnit":"', unit, '"'),
        pl.lit(',"x_ShareDenominator":'),
        pl.col("share_den").cast(pl.String),
        pl.lit(',"x_ShareNumerator":'),
        pl.col("share_num").cast(pl.String),
        pl.lit("}]}"),
    )


def _number(name: str) -> pl.Expr:
    """Write a money column as a JSON number: no exponent, no trailing zeros."""
    return pl.col(name).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")


def _where_known(before: str, value: pl.Expr, after: str) -> pl.Expr:
    return pl.concat_str(pl.lit(before), value, pl.lit(after)).fill_null("")


def _tags(divided: pl.DataFrame) -> pl.Series:
    told = divided.select(
        focus.TAGS, holders.TAGS, pl.when(_IS_SPLIT).then("cost_center"), pl.col(_IS_SPLIT)
    )
    texts = [
        _allocated_tags(origin, workload, center) if is_split else None
        for origin, workload, center, is_split in told.iter_rows()
    ]
    return pl.Series("AllocatedTags", texts, pl.String)


@functools.lru_cache(maxsize=100_000)
def _allocated_tags(origin: str | None, workload: str | None, center: str | None) -> str | None:
    """Write the tags of a part: its workload's, without what Tags says already, and ours."""
    there = json.loads(origin or "{}")
    tags = {
        key: value
        for key, value in json.loads(workload or "{}").items()
        if value is not None and (key not in there or there[key] != value)
    }
    if center is not None:
        tags[COST_CENTER_TAG] = center
    if not tags:
        return None
    return json.dumps(tags, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
