"""Which workload a ledger entry's part went to, with its tags: read back out of the entry's reason.

The ledger says who held a part in words; the workloads in the warehouse say what is known of them.
"""

import json
from collections.abc import Iterable

import polars as pl

from finops import explained, holding
from finops.errors import ExportError
from finops.explained import STEP_WORKLOAD
from finops.held import HOLDER, SPELL
from finops.holding import END, PLACE, PLACE_COLUMNS, START, Holding
from finops.ledger import reference
from finops.rules import STEP_UNALLOCATED
from finops.workloads import Shelf

KIND, NAME, TAGS = "~kind", "~name", "~tags"
"""Of the workload: null where no workload holds a part. Tags are a JSON object, or null."""

_COLUMNS = (KIND, NAME, TAGS)
_WHO = "~who"


def holding_of(entries: pl.DataFrame, charges: pl.LazyFrame, shelf: Shelf) -> Holding | None:
    """Work out who held the charges of a partition, when one of its `entries` may name them."""
    if entries.filter(_may_name_one()).is_empty():
        return None
    relevant = holding.relevant(charges, shelf)
    return None if relevant is None else relevant.holding(charges)


def named(entries: pl.DataFrame, charges: pl.LazyFrame, held: Holding | None) -> pl.DataFrame:
    """Add `KIND`, `NAME` and `TAGS` to the ledger's `entries` of one partition and its `charges`.

    Several workloads of one kind and name are one; tags are those that they agree on.
    """
    asked = entries.filter(_may_name_one()).select("index", "row", "charge_id", "step", "reason")
    if held is None:
        found = pl.DataFrame(schema={"index": pl.Int64, "row": pl.Int64, **_TEXTS})
    else:
        known = _known(asked, charges, held)
        found = (
            _candidates(asked)
            .join(known, on=["charge_id", _WHO], maintain_order="left_right")
            .unique(["index", "row"], keep="first", maintain_order=True)
        )
    return entries.join(
        found.select("index", "row", *_COLUMNS),
        on=["index", "row"],
        how="left",
        maintain_order="left",
    )


def demand_known(told: pl.DataFrame, where: str) -> None:
    """Raise `ExportError` when the ledger names a workload that nobody tells of any more."""
    unknown = told.filter((pl.col("step") == STEP_WORKLOAD) & pl.col(KIND).is_null())
    if len(unknown):
        entry, reason = unknown.select(reference(), "reason").row(0)
        raise ExportError(
            f"{where}: nobody tells any more of the workloads that {len(unknown)} ledger entries "
            f"name (the first is {entry}: {reason}); run `finops attribute` for that day first"
        )


_TEXTS = dict.fromkeys(_COLUMNS, pl.String())


def _may_name_one() -> pl.Expr:
    is_told = pl.col("reason").str.contains(explained.BUT, literal=True)
    is_unallocated = pl.col("step") == STEP_UNALLOCATED
    return (pl.col("step") == STEP_WORKLOAD) | (is_unallocated & is_told)


def _known(asked: pl.DataFrame, charges: pl.LazyFrame, held: Holding) -> pl.DataFrame:
    """List `charge_id`, who held some of it (`_WHO`), and what is known of them."""
    holders = (
        held.parts.select(SPELL, HOLDER)
        .join(held.holders.select(HOLDER, "kind", "name", "tags"), on=HOLDER)
        .group_by(SPELL, pl.col("kind").alias(KIND), pl.col("name").alias(NAME))
        .agg(pl.col("tags").unique())
    )
    spells = (
        charges.join(asked.lazy(), left_on="x_ChargeId", right_on="charge_id", how="semi")
        .select(pl.col("x_ChargeId").alias("charge_id"), *PLACE_COLUMNS, START, END)
        .collect()
        .join(held.places, on=PLACE_COLUMNS, nulls_equal=True)
        .join(held.spells, on=[PLACE, START, END])
        .select("charge_id", SPELL)
    )
    return spells.join(holders.with_columns(_agreed(holders.get_column("tags"))), on=SPELL).select(
        "charge_id", pl.format("{} {}", KIND, NAME).alias(_WHO), *_COLUMNS
    )


def _candidates(asked: pl.DataFrame) -> pl.DataFrame:
    """List who each entry may name, the likeliest first."""
    held = asked.with_columns(explained.holder().alias(_WHO)).drop_nulls(_WHO)
    unallocated = asked.filter(pl.col("step") == STEP_UNALLOCATED)
    reasons = unallocated.get_column("reason").unique(maintain_order=True)
    possible = [explained.possible_holders(reason) for reason in reasons]
    listed = pl.DataFrame(
        [reasons, pl.Series(_WHO, possible, pl.List(pl.String))],
    ).explode(_WHO, keep_nulls=False, empty_as_null=False)
    named_ = unallocated.join(listed, on="reason", maintain_order="left_right")
    return pl.concat([held, named_.select(held.columns)])


def _agreed(tags: pl.Series) -> pl.Series:
    """Keep what all JSON objects of each list say."""
    several = set((tags.list.len() > 1).arg_true())
    first = tags.list.first().to_list()
    told = [_common(tags[place]) if place in several else text for place, text in enumerate(first)]
    return pl.Series(TAGS, told, pl.String)


def _common(texts: Iterable[str | None]) -> str | None:
    first, *others = ({} if text is None else json.loads(text) for text in texts)
    same = {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }
    return json.dumps(same, sort_keys=True, ensure_ascii=False) if same else None
