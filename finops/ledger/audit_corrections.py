"""Each reversal in a ledger must undo one earlier allocation, exactly and only once."""

from pathlib import Path

import polars as pl

from finops.ledger import reversal, segment
from finops.ledger.report import Report
from finops.ledger.schema import REVERSAL

_TARGET = ("to_index", "to_row")


class Corrections:
    """The reversals of all batches, and where the segments are that they refer to."""

    def __init__(self) -> None:
        self.paths: dict[int, Path] = {}
        self._found: list[pl.DataFrame] = []

    def add(self, index: int, frame: pl.DataFrame) -> None:
        """Take the reversals out of a chunk of batch `index`."""
        taken = frame.filter(pl.col("kind") == REVERSAL, pl.col("corrects").is_not_null())
        if taken.height:
            columns = taken.select("row", *reversal.COMPARED)
            self._found.append(columns.insert_column(0, pl.lit(index, pl.Int64).alias("index")))

    def check(self, report: Report) -> None:
        """Report every reversal that is not what it should be."""
        if not self._found:
            return
        every = pl.concat(self._found).with_columns(
            pl.col("corrects").str.split_exact("/", 1).struct.rename_fields(_TARGET).alias("to")
        )
        every = every.unnest("to").with_columns(pl.col(_TARGET).cast(pl.Int64, strict=False))
        self._report(report, every.filter(pl.col("corrects").is_duplicated()), "is not the only one")
        is_later = pl.col("to_index").is_null() | (pl.col("to_index") >= pl.col("index"))
        self._report(report, every.filter(is_later), "corrects no entry of an earlier batch")
        for (target, *_), given in every.filter(~is_later).group_by("to_index"):
            if isinstance(target, int) and target in self.paths:
                self._compare(report, given, target)

    def _compare(self, report: Report, given: pl.DataFrame, target: int) -> None:
        wanted = given.get_column("to_row").unique().implode()
        scan = pl.scan_parquet(self.paths[target], glob=False)
        originals = scan.select("row", *reversal.COMPARED).filter(pl.col("row").is_in(wanted))
        numbered = originals.with_columns(pl.lit(target, pl.Int64).alias("index")).collect()
        for at, words in reversal.faults(given.select(reversal.COMPARED), numbered):
            self._report(report, given.slice(at, 1), words)
