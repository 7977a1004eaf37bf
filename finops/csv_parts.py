"""Reading a big CSV in parts of whole rows, on all cores, while few of them are in memory."""

import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from finops import whole_rows
from finops.whole_rows import Part


def scan(path: Path, parts: Sequence[Part], separator: str, nulls: list[str]) -> pl.LazyFrame:
    """Open a CSV of which `whole_rows` found the parts, as a lazy table of text."""
    first = partial(_opened, separator=separator, nulls=nulls)
    schema = first(whole_rows.read(path, parts[0])).collect_schema()

    def opened(part: Part) -> pl.LazyFrame:
        content = whole_rows.read(path, part)
        return first(content) if part == parts[0] else first(content, schema=schema)

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        def table(part: Part) -> pl.DataFrame:
            rows = opened(part).select(columns) if columns is not None else opened(part)
            rows = rows if predicate is None else rows.filter(predicate)
            return rows.collect(engine="in-memory")

        return _limited(_in_order(table, parts), most)

    return register_io_source(read, schema=schema, is_pure=True)


def _opened(
    content: bytes, separator: str, nulls: list[str], schema: pl.Schema | None = None
) -> pl.LazyFrame:
    return pl.scan_csv(
        io.BytesIO(content),
        has_header=schema is None,
        schema=schema,
        separator=separator,
        infer_schema=False,
        null_values=nulls,
        encoding="utf8",
        glob=False,
    )


def _in_order(
    table: Callable[[Part], pl.DataFrame], parts: Sequence[Part]
) -> Iterator[pl.DataFrame]:
    """Read parts ahead, one more than there are cores."""
    ahead = os.cpu_count() or 1
    reading: deque[Future[pl.DataFrame]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        for part in parts:
            reading.append(pool.submit(table, part))
            if len(reading) > ahead:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


def _limited(tables: Iterator[pl.DataFrame], most: int | None) -> Iterator[pl.DataFrame]:
    for table in tables:
        if most is None:
            yield table
            continue
        yield table.head(most)
        most -= len(table)
        if most <= 0:
            return
