"""Reading a big CSV in parts of whole rows, on all cores, a few parts ahead of their use."""

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import polars as pl
from polars.io.plugins import register_io_source

from finops import whole_rows
from finops.whole_rows import Part

In = TypeVar("In")
Out = TypeVar("Out")

_TOGETHER = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """What a query gives for a few parts of a CSV: its rows, and how many rows the parts have."""

    rows: pl.DataFrame
    height: int


class CsvParts:
    """A CSV of which `whole_rows` found the parts.

    A query made of its `scan` reads all of it; it can also be asked for part by part: `each`. That
    takes less memory, since Polars's streaming engine reads on while rows wait to be worked on.
    """

    def __init__(self, path: Path, parts: Sequence[Part], separator: str, nulls: list[str]) -> None:
        self._path, self._parts = path, parts
        self._separator, self._nulls = separator, nulls
        self._schema = self._opened(parts[0], None).collect_schema()
        self._reading = self._all_parts

    def scan(self) -> pl.LazyFrame:
        """Open all of it, as a lazy table of text."""
        # Not kept here: it holds this object, in a way that Python cannot see to free both.
        return register_io_source(self._read, schema=self._schema)

    def each(self, query: pl.LazyFrame) -> Iterator[Piece]:
        """Answer a query made of `scan` for a few parts at a time, in order, reading ahead.

        Queries of one table are asked for one after the other.
        """
        asked = self._asked(query)

        def answered(part: pl.DataFrame) -> Piece:
            self._reading = lambda columns: iter([part.select(columns)])
            return Piece(query.collect(engine="in-memory"), len(part))

        try:
            read = _ahead(lambda part: self._table(part, asked), self._parts, os.cpu_count() or 1)
            yield from _ahead(answered, _together(read), workers=1)
        finally:
            self._reading = self._all_parts

    def _asked(self, query: pl.LazyFrame) -> list[str]:
        """Find the columns that a query reads, by having it answered for no rows."""
        asked: set[str] = set()
        nothing = pl.DataFrame(schema=self._schema)

        def noted(columns: list[str]) -> Iterator[pl.DataFrame]:
            asked.update(columns)
            return iter([nothing.select(columns)])

        self._reading = noted
        try:
            query.collect(engine="in-memory")
        finally:
            self._reading = self._all_parts
        return [name for name in nothing.columns if name in asked]

    def _read(
        self, columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = self._schema.names() if columns is None else columns
        tables = self._reading(wanted)
        if predicate is not None:
            tables = (table.filter(predicate) for table in tables)
        return _limited(tables, most)

    def _all_parts(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        return _ahead(lambda part: self._table(part, columns), self._parts, os.cpu_count() or 1)

    def _table(self, part: Part, columns: list[str]) -> pl.DataFrame:
        schema = None if part == self._parts[0] else self._schema
        return self._opened(part, schema).select(columns).collect(engine="in-memory")

    def _opened(self, part: Part, schema: pl.Schema | None) -> pl.LazyFrame:
        """Open one part; the first one has a header, the others need the `schema`."""
        return pl.scan_csv(
            io.BytesIO(whole_rows.read(self._path, part)),
            has_header=schema is None,
            schema=schema,
            separator=self._separator,
            infer_schema=False,
            null_values=self._nulls,
            encoding="utf8",
            glob=False,
        )


def _ahead(work: Callable[[In], Out], given: Iterable[In], workers: int) -> Iterator[Out]:
    """Yield the results in order, working ahead on one more than there are workers."""
    begun: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for one in given:
            begun.append(pool.submit(work, one))
            if len(begun) > workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _together(tables: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Put a few parts below each other: planning a query costs as much for few rows as for many."""
    while few := list(islice(tables, _TOGETHER)):
        yield pl.concat(few, rechunk=True)


def _limited(tables: Iterator[pl.DataFrame], most: int | None) -> Iterator[pl.DataFrame]:
    for table in tables:
        if most is None:
            yield table
            continue
        yield table.head(most)
        most -= len(table)
        if most <= 0:
            return
