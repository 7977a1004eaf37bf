"""From a frame of entries to canonical row bytes and their leaf hashes, many at a time.

One row is a canonical JSON object whose values are text or null (`docs/ledger-format.md`). It is
put together by one `concat_str` of pieces, made afresh for each frame. What repeats is written
once: a column with one value becomes part of a literal, and a column with few values becomes a
list of ready pieces of JSON, into which the rows point (see `finops.ledger.coded`).
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl
import polars_hash  # noqa: F401 - registers the `chash` namespace

from finops.ledger import coded
from finops.ledger.coded import Coded, Pieces

# Small enough for the processor's cache, large enough to keep both cores busy.
_SLICE_ROWS = 1 << 15
_LEAF_PREFIX = "\x00"


def row_json(frame: pl.DataFrame) -> pl.Series:
    """Return each row's canonical JSON text."""
    pieces, columns = _laid_out(coded.of(frame), "{")
    return columns.select(pl.concat_str(pieces).alias("json")).to_series()


def leaf_hashes(frame: pl.DataFrame) -> bytes:
    """Return the RFC 6962 leaf hashes of the rows, 32 bytes each, in row order."""
    return b"" if frame.is_empty() else _leaves(coded.of(frame))


def hashed(frames: Iterable[pl.DataFrame]) -> Iterator[tuple[Coded, bytes]]:
    """Yield each frame with its leaf hashes, hashing the next while the caller uses the last."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[tuple[Coded, bytes]] | None = None
        for frame in frames:
            job = pool.submit(_hashed, frame)
            if waiting is not None:
                yield waiting.result()
            waiting = job
        if waiting is not None:
            yield waiting.result()


def _hashed(frame: pl.DataFrame) -> tuple[Coded, bytes]:
    rows = coded.of(frame)
    return rows, _leaves(rows) if frame.height else b""


def _leaves(rows: Coded) -> bytes:
    pieces, columns = _laid_out(rows, _LEAF_PREFIX + "{")
    leaf = pl.concat_str(pieces).chash.sha2_256().alias("leaf")  # type: ignore[attr-defined]
    slices = [part.lazy().select(leaf) for part in columns.iter_slices(_SLICE_ROWS)]
    return b"".join(
        bytes.fromhex(part.to_series().str.join("").item()) for part in pl.collect_all(slices)
    )


def _laid_out(rows: Coded, opening: str) -> tuple[list[pl.Expr], pl.DataFrame]:
    """Interleave literals and columns so that, joined, they are each row's JSON.

    Returns the expressions, and the frame to select them from.
    """
    line = _Line(opening)
    for name in sorted(rows.frame.columns):
        column = rows.frame.get_column(name)
        line.say(f'"{name}":')
        if column.null_count() == len(column):
            line.say("null")
        elif name in rows.constants:
            value = column.head(1).to_frame().select(coded.as_text(column)).item()
            line.say(json.dumps(value, ensure_ascii=False))
        elif (pieces := rows.pieces(name)) is not None:
            line.point(pieces)
        else:
            line.show(column)
        line.say(",")
    return line.ended(len(rows.frame))


class _Line:
    """The pieces of a row, from left to right: literals, lists of pieces, and columns as text."""

    def __init__(self, opening: str) -> None:
        self._expressions: list[pl.Expr] = []
        self._columns: list[pl.Series] = []
        self._pieces: Pieces | None = None
        self._literal = opening

    def say(self, text: str) -> None:
        """Go on with the same text in every row."""
        self._literal += text

    def point(self, pieces: Pieces) -> None:
        """Go on with one of the pieces."""
        pieces = pieces.after(self._literal)
        self._literal = ""
        merged = None if self._pieces is None else self._pieces.then(pieces)
        if merged is None:
            self._flush()
        self._pieces = merged or pieces

    def show(self, column: pl.Series) -> None:
        """Go on with a column whose values are written anew in every row."""
        is_bare = column.null_count() == 0 and not coded.is_awkward(column)
        self.say('"' if is_bare else "")
        self._flush()
        if is_bare:
            self._expressions.append(coded.as_text(column))
        else:
            self._expressions.append(coded.as_json(column))
        self._columns.append(column)
        self.say('"' if is_bare else "")

    def ended(self, height: int) -> tuple[list[pl.Expr], pl.DataFrame]:
        """Close the object; return what to join, and the frame it is in."""
        self._literal = self._literal.removesuffix(",") + "}"
        self._flush()
        if not self._columns:
            # Literals alone would make one row, however many the frame has.
            self._columns.append(pl.repeat("", height, eager=True).alias("~nothing"))
            self._expressions.append(pl.col("~nothing"))
        return self._expressions, pl.DataFrame(self._columns)

    def _flush(self) -> None:
        if self._pieces is not None:
            name = f"~{len(self._columns)}"
            self._columns.append(self._pieces.before(self._literal).spread().alias(name))
            self._expressions.append(pl.col(name))
        elif self._literal:
            self._expressions.append(pl.lit(self._literal))
        self._pieces, self._literal = None, ""
