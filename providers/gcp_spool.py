"""Rows from BigQuery, on their way to one file for each day and invoice month.

Rows arrive in no order. They are parted by day while they stream in, and each day is sorted when
all are there: the same rows give the same bytes, so a day that did not change is stored once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from providers.gcp_queries import DAY, MONTH

Cells = Sequence[str | None]

_GROUP_ROWS = 4096
_SORTED_GROUP_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class DayFile:
    """All rows of one usage day and invoice month, every cell as BigQuery's text."""

    day: str
    month: str
    path: Path
    rows: int


class Spool:
    """Parts rows by day into files below `folder`. Memory holds some thousand rows of each day."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder = folder
        self._place_of = (columns.index(DAY), columns.index(MONTH))
        self._kept = [place for place in range(len(columns)) if place not in self._place_of]
        self._schema = pa.schema([(columns[place], pa.string()) for place in self._kept])
        self._waiting: dict[tuple[str, str], list[Cells]] = {}
        self._writers: dict[tuple[str, str], parquet.ParquetWriter] = {}
        self._rows: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, rows: Sequence[Cells]) -> None:
        """Take in a page of rows."""
        day, month = self._place_of
        for row in rows:
            key = (row[day] or "", row[month] or "")
            waiting = self._waiting.setdefault(key, [])
            waiting.append(row)
            if len(waiting) >= _GROUP_ROWS:
                self._write(key)

    def finished(self) -> Iterator[DayFile]:
        """Sort each day by all its columns; gives one file after another, in order."""
        for key in sorted(self._waiting):
            self._write(key)
            self._writers[key].close()
            spooled = self._path(key)
            target = spooled.with_suffix(".parquet")
            pl.scan_parquet(spooled, glob=False).sort(
                self._schema.names, nulls_last=True
            ).sink_parquet(target, compression="zstd", row_group_size=_SORTED_GROUP_ROWS)
            spooled.unlink()
            yield DayFile(*key, target, self._rows[key])

    def _write(self, key: tuple[str, str]) -> None:
        rows, self._waiting[key] = self._waiting[key], []
        if key not in self._writers:
            self._writers[key] = parquet.ParquetWriter(self._path(key), self._schema)
        cells = [pa.array([row[place] for row in rows], pa.string()) for place in self._kept]
        self._writers[key].write_table(pa.Table.from_arrays(cells, schema=self._schema))
        self._rows[key] = self._rows.get(key, 0) + len(rows)

    def _path(self, key: tuple[str, str]) -> Path:
        day, month = key
        return self._folder / f"{day or 'no-day'}-{month or 'no-month'}.spool"
