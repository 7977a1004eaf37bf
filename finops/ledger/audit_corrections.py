"""Each reversal in a ledger must undo one earlier allocation, exactly and only once."""

from pathlib import Path

import polars as pl

from finops.ledger import reversal
from finops.ledger.report import Report
from finops.ledger.schema import REVERSAL

_TARGET = ("to_index", "to_row")


class Corrections:
    """The reversals of all batches, and where the segments are that they refer to."""

    def __init__(self) -> None:
        self.segments: dict[int, tuple[str, Path]] = {}
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
        self._report(report, every.filter(pl.col("corrects").is_duplicated()), "is one of several")
        is_later = pl.col("to_index").is_null() | (pl.col("to_index") >= pl.col("index"))
        self._report(report, every.filter(is_later), "corrects no entry of an earlier batch")
        for (target, *_), given in every.filter(~is_later).group_by(
            "to_index", maintain_order=True
        ):
            if isinstance(target, int) and target in self.segments:
                self._compare(report, given, target)

    def _compare(self, report: Report, given: pl.DataFrame, target: int) -> None:
        wanted = given.get_column("to_row").unique().implode()
        scan = pl.scan_parquet(self.segments[target][1], glob=False)
        originals = scan.select("row", *reversal.COMPARED).filter(pl.col("row").is_in(wanted))
        numbered = originals.with_columns(pl.lit(target, pl.Int64).alias("index")).collect()
        for at, words in reversal.faults(given.select(reversal.COMPARED), numbered):
            self._report(report, given.slice(at, 1), words)

    def _report(self, report: Report, wrong: pl.DataFrame, words: str) -> None:
        for index, row, corrects in wrong.select("index", "row", "corrects").iter_rows():
            key, _ = self.segments[index]
            report.add(key, f"the reversal of {corrects} {words}", row)
