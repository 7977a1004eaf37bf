"""Writing charges: one growing Parquet file per table and partition.

Rows come in batches, as numbers and words apart (see `finops.wording`). They are held back until
there are enough for row groups of a good size, then written by threads of their own while the
next ones are prepared.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from finops import batches, checks, focus, wording
from finops.focus import Kind
from finops.partition import Partition
from finops.raw import Delivery
from finops.twins import Twins
from finops.wording import WORDING, Lexicon

CHARGES = "charges"
QUARANTINE = "quarantine"
QUARANTINE_SCHEMA = pl.Schema({**focus.SCHEMA, checks.REASON: pl.String()})

_HELD_ROWS = 1_000_000
_WRITERS = 2
_FILTERED = ("ChargePeriodStart", "ResourceId", "ServiceName", "SubAccountId")
"""Columns people filter by; statistics of all the others would cost a fifth of the writing."""

_REPEATING = {Kind.TEXT, Kind.JSON, Kind.TIME, Kind.PRICE, Kind.QUANTITY}
"""Kinds with few distinct values, so that a dictionary pays."""


class PartitionFiles:
    """The files of one delivery under way, in `folder`."""

    def __init__(self, folder: Path, delivery: Delivery) -> None:
        self._folder = folder
        self._delivery = delivery
        self._numbers: list[pl.DataFrame] = []
        self._words: list[pl.DataFrame] = []
        self._open: dict[str, _Growing] = {}
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._jobs: list[Future[None]] = []

    def append(self, numbers: pl.DataFrame, words: pl.DataFrame) -> None:
        """Add identified rows to their partitions; what has a reason goes to the quarantine."""
        wordings_before = sum(map(len, self._words))
        self._numbers.append(numbers.with_columns(pl.col(WORDING) + wordings_before))
        self._words.append(words)
        if sum(map(len, self._numbers)) >= _HELD_ROWS:
            self._write()

    def finished(self) -> dict[str, Path]:
        """Complete every file; return them by key."""
        self._write()
        self._wait()
        self._pool.shutdown()
        for growing in self._open.values():
            growing.writer.close()
        return {key: growing.path for key, growing in self._open.items()}

    def abandon(self) -> None:
        """Stop writing; files that are not finished are of no use."""
        self._pool.shutdown(cancel_futures=True)
        for growing in self._open.values():
            # What there is no space for cannot be completed either: the first fault says so.
            with suppress(OSError):
                growing.writer.close()

    def _write(self) -> None:
        if not self._numbers:
            return
        numbers = pl.concat(self._numbers, how="diagonal", rechunk=True)
        lexicon = Lexicon.of(pl.concat(self._words))
        self._numbers.clear()
        self._words.clear()
        self._wait()  # for what was held before: no more than two of them are in memory
        if checks.REASON in numbers.columns:
            is_good = pl.col(checks.REASON).is_null()
            self._submit(QUARANTINE, numbers.filter(~is_good), lexicon)
            numbers = numbers.filter(is_good)
        self._submit(CHARGES, numbers, lexicon)

    def _submit(self, table: str, numbers: pl.DataFrame, lexicon: Lexicon) -> None:
        if numbers.is_empty():
            return
        groups = _given(numbers).partition_by(
            batches.PERIOD, batches.DAY, as_dict=True, maintain_order=True
        )
        for (period, day), group in groups.items():
            partition = Partition(self._delivery.provider, self._delivery.source, period, day)
            growing = self._growing(partition.key(table), table)
            self._jobs.append(self._pool.submit(growing.append, group, lexicon))

    def _wait(self) -> None:
        for job in self._jobs:
            job.result()
        self._jobs.clear()

    def _growing(self, key: str, table: str) -> "_Growing":
        if key not in self._open:
            schema = QUARANTINE_SCHEMA if table == QUARANTINE else focus.SCHEMA
            self._open[key] = _Growing(self._folder / f"{len(self._open)}.parquet", schema)
        return self._open[key]


class _Growing:
    """The file of one partition, growing by row groups."""

    def __init__(self, path: Path, schema: pl.Schema) -> None:
        self.path = path
        self.writer = open_parquet(path, schema)
        self._twins = Twins()

    def append(self, numbers: pl.DataFrame, lexicon: Lexicon) -> None:
        ids = self._twins.number(numbers.get_column("x_ChargeId"))
        self.writer.write_table(lexicon.table(numbers.with_columns(ids), self.writer.schema))


def open_parquet(path: Path, schema: pl.Schema) -> pq.ParquetWriter:
    """Start a Parquet file whose bytes depend on its rows alone."""
    repeating = [name for name in schema if _repeats(name)]
    return pq.ParquetWriter(
        path,
        wording.worded(schema, [name for name in repeating if schema[name] == pl.String]),
        compression="zstd",
        use_dictionary=repeating,
        write_statistics=list(_FILTERED),
        store_schema=False,  # it would have readers take text for categories
    )


def _given(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out the columns that hold nothing."""
    given = [column for column in rows.iter_columns() if column.null_count() < len(column)]
    return rows.select(given)


def _repeats(name: str) -> bool:
    column = focus.BY_NAME.get(name)
    return column is not None and name != "x_ChargeId" and column.kind in _REPEATING
