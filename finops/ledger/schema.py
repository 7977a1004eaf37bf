"""The columns of a ledger entry, and what must be true of them before anything is written."""

from typing import Final

import polars as pl

from finops import money
from finops.errors import LedgerError
from finops.ledger import canonical
from finops.partition import Partition

ROW_VERSION: Final = "finops-row/1"
ALLOCATION: Final = "allocation"
REVERSAL: Final = "reversal"
REFERENCE: Final = r"^(0|[1-9][0-9]{0,11})/(0|[1-9][0-9]{0,17})$"

_INSTANT = pl.Datetime("us", "UTC")

ENTRY_SCHEMA: Final = pl.Schema(
    {
        "v": pl.String(),
        "row": pl.Int64(),
        "kind": pl.String(),
        "charge_id": pl.String(),
        "src": pl.String(),
        "src_row": pl.Int64(),
        "provider": pl.String(),
        "source": pl.String(),
        "period": pl.String(),
        "day": pl.Date(),
        "charge_start": _INSTANT,
        "charge_end": _INSTANT,
        "service_provider": pl.String(),
        "account": pl.String(),
        "resource": pl.String(),
        "service": pl.String(),
        "sku": pl.String(),
        "region": pl.String(),
        "cost_center": pl.String(),
        "step": pl.String(),
        "rule": pl.String(),
        "reason": pl.String(),
        "share_num": pl.Int64(),
        "share_den": pl.Int64(),
        "billed_cost": money.DTYPE,
        "effective_cost": money.DTYPE,
        "contracted_cost": money.DTYPE,
        "list_cost": money.DTYPE,
        "currency": pl.String(),
        "quantity": money.DTYPE,
        "unit": pl.String(),
        "gpu_model": pl.String(),
        "gpu_hours": money.DTYPE,
        "subject": pl.String(),
        "corrects": pl.String(),
    }
)
WRITTEN_BY_LEDGER: Final = ("v", "row")
GIVEN: Final = tuple(name for name in ENTRY_SCHEMA if name not in WRITTEN_BY_LEDGER)
PARTITION_COLUMNS: Final = ("provider", "source", "period", "day")
NEGATED_BY_REVERSAL: Final = tuple(
    name for name, dtype in ENTRY_SCHEMA.items() if dtype == money.DTYPE
)
KEPT_BY_REVERSAL: Final = ("charge_id", "currency", "cost_center", *PARTITION_COLUMNS)
_NEVER_NULL: Final = (
    *("kind", "charge_id", "src", "src_row", *PARTITION_COLUMNS, "charge_start", "charge_end"),
    *("share_num", "share_den", "billed_cost", "currency"),
)

SCHEMA_TEXT: Final = canonical.encode(
    {"columns": [f"{name} {dtype}" for name, dtype in ENTRY_SCHEMA.items()], "v": ROW_VERSION}
)
SCHEMA_DIGEST: Final = canonical.digest(SCHEMA_TEXT)


def ordered(frame: pl.DataFrame, partition: Partition) -> pl.DataFrame:
    """Return `frame` with its columns in ledger order.

    Raises `LedgerError` when it is not a set of entries of `partition`: a column, a type, a null
    or a value is wrong.
    """
    where = f"entries of {partition.path}"
    _check_columns(frame, where)
    frame = frame.select(GIVEN)
    wrong = frame.select(broken_rules(partition)).row(0, named=True)
    for rule, count in wrong.items():
        if count:
            raise LedgerError(
                f"{where}: {count} of {frame.height} rows break the rule that {rule}; "
                f"nothing was written, correct the attribution that made them"
            )
    return frame


def _check_columns(frame: pl.DataFrame, where: str) -> None:
    missing = [name for name in GIVEN if name not in frame.columns]
    extra = [name for name in frame.columns if name not in GIVEN]
    if missing or extra:
        raise LedgerError(
            f"{where}: missing columns {missing}, unknown columns {extra}; "
            f"give exactly the columns of ENTRY_SCHEMA without 'v' and 'row'"
        )
    for name in GIVEN:
        if frame.schema[name] != ENTRY_SCHEMA[name]:
            raise LedgerError(
                f"{where}: column {name!r} is {frame.schema[name]} and must be "
                f"{ENTRY_SCHEMA[name]}; cast it before appending (money never as a float)"
            )


def broken_rules(partition: Partition | None = None) -> list[pl.Expr]:
    """Count the rows that break each rule; the column's name is the rule in words.

    With a `partition` it is a rule that all rows belong to it.
    """
    rules = {f"{name} is not null": pl.col(name).is_null() for name in _NEVER_NULL}
    for name in PARTITION_COLUMNS if partition is not None else ():
        value = getattr(partition, name)
        rules[f"{name} is {value}"] = pl.col(name).ne_missing(pl.lit(value))
    reverses = pl.col("kind") == REVERSAL
    rules |= {
        "kind is allocation or reversal": ~pl.col("kind").is_in([ALLOCATION, REVERSAL]),
        "a reversal says which entry it corrects, and nothing else does": (
            pl.col("corrects").is_not_null() != reverses
        ),
        "corrects reads index/row, such as 42/17": ~pl.col("corrects").str.contains(REFERENCE),
        "an entry is reversed at most once": reverses & pl.col("corrects").is_duplicated(),
        "currency is three capital letters": ~pl.col("currency").str.contains("^[A-Z]{3}$"),
    }
    return [broken.fill_null(value=False).sum().alias(rule) for rule, broken in rules.items()]


def live(entries: pl.DataFrame) -> pl.DataFrame:
    """Return the allocations among `entries` (with `index`) that no other of them reverses."""
    reversed_ones = entries.get_column("corrects").drop_nulls()
    is_reversed = reference().is_in(reversed_ones.implode())
    return entries.filter(pl.col("kind") == ALLOCATION, ~is_reversed)


def reference() -> pl.Expr:
    """Name each entry `index/row`, the way `corrects` does."""
    return pl.concat_str(
        [pl.col("index").cast(pl.String), pl.lit("/"), pl.col("row").cast(pl.String)]
    )
