"""Normalized rows of a bill that is read piece by piece, as if it had been read in one.

A piece counts its rows from 0, and what a provider derives from rows follows the rows of the
piece it was derived in. Here rows are numbered through, and derived ones come after all others.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

import polars as pl

from finops.csv_parts import Piece
from finops.normalize import ROW


def joined(pieces: Iterable[Piece], batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of all pieces, in batches of `batch_rows`; the last one may have fewer.

    Rows are in the order of their numbers within each piece. Where a number is no greater than
    the one before it, a derived table begins.
    """
    return _batches(_in_order(pieces), batch_rows)


def _in_order(pieces: Iterable[Piece]) -> Iterator[pl.DataFrame]:
    derived: list[list[pl.DataFrame]] = []
    height = 0
    for piece in pieces:
        first, *others = _tables(piece.rows.with_columns(pl.col(ROW) + height))
        height += piece.height
        yield first
        derived += [[] for _ in range(len(others) - len(derived))]
        for place, table in enumerate(others):
            derived[place].append(table)
    for tables in derived:
        yield from tables


def _tables(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Take apart tables that lie below each other, each with growing row numbers."""
    begins = (rows.get_column(ROW).diff() <= 0).arg_true().to_list()
    bounds = [0, *begins, len(rows)]
    return [rows.slice(start, end - start) for start, end in pairwise(bounds)]


def _batches(tables: Iterable[pl.DataFrame], batch_rows: int) -> Iterator[pl.DataFrame]:
    waiting: deque[pl.DataFrame] = deque()
    height = 0
    for table in tables:
        waiting.append(table)
        height += len(table)
        while height >= batch_rows:
            taken = pl.concat(waiting)
            yield taken.head(batch_rows)
            height -= batch_rows
            waiting = deque([taken.tail(height)])
    if height:
        yield pl.concat(waiting)
