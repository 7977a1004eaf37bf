"""Naming the rows of a segment that are not what they were, with the locator's help.

The file is read as evidence, not as data: with pyarrow's checks on, one row group at a time, so
that what one damaged group hides does not hide the others.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from finops.ledger import rows
from finops.ledger.schema import ENTRY_SCHEMA
from finops.ledger.segment import LOCATOR_BYTES, locator_of

NAMED_MAX: Final = 20

Place = tuple[int | None, str]


def places(path: Path, locator: bytes) -> Iterator[Place]:
    """Yield what is wrong with the rows at `path`, as (row or None, words).

    `locator` is the undamaged locator. Raises whatever pyarrow raises on a file it cannot open.
    """
    with pq.ParquetFile(path) as file:
        read: list[pl.DataFrame] = []
        position = 0
        for group in range(file.num_row_groups):
            height = file.metadata.row_group(group).num_rows
            try:
                read.append(_prefixes(file.read_row_group(group)))
            except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError) as error:
                last = position + height - 1
                yield None, f"rows {position} to {last} cannot be read: {str(error)[:200]}"
                return
            position += height
        yield from _limited(_compared(pl.concat(read), locator))


def _prefixes(table: pa.Table) -> pl.DataFrame:
    """Return (row, prefix): each row's ordinal, and the start of its leaf hash as a number."""
    table.validate(full=True)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame), "a table becomes a frame"
    if frame.schema != ENTRY_SCHEMA:
        raise ValueError("the columns are not those of an entry")
    return frame.select("row").with_columns(
        _numbers(locator_of(rows.leaf_hashes(frame))).alias("prefix")
    )


def _numbers(locator: bytes) -> pl.Series:
    count = len(locator) // LOCATOR_BYTES
    numbers = pa.Array.from_buffers(pa.uint32(), count, [None, pa.py_buffer(locator)])
    return pl.Series("prefix", numbers)


def _compared(found: pl.DataFrame, locator: bytes) -> Iterator[Place]:
    """Match rows by their ordinal: a deleted row must not make all later ones look changed."""
    wanted = pl.DataFrame({"wanted": _numbers(locator)}).with_row_index("row")
    wanted = wanted.with_columns(pl.col("row").cast(pl.Int64))
    joined = found.with_row_index("at").join(wanted, on="row", how="left", maintain_order="left")
    for row in wanted.join(found, on="row", how="anti").get_column("row"):
        yield row, "is missing"
    for row in joined.filter(pl.col("wanted").is_null()).get_column("row"):
        yield row, "has a number that no row of this batch has"
    for row in joined.filter(pl.col("row").is_duplicated()).get_column("row").unique().sort():
        yield row, "occurs more than once"
    for row in joined.filter(pl.col("wanted") != pl.col("prefix")).get_column("row"):
        yield row, "is not the row that was written"
    for row in joined.filter(pl.col("row") < pl.col("row").cum_max()).get_column("row"):
        yield row, "stands after a row with a higher number"


def _limited(found: Iterator[Place]) -> Iterator[Place]:
    for number, place in enumerate(found):
        if number == NAMED_MAX:
            yield None, f"more rows than these {NAMED_MAX} are wrong"
            return
        yield place
