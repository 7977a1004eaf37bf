"""From a frame of entries to canonical row bytes and their leaf hashes, many at a time.

One row is a canonical JSON object whose values are text or null (`docs/ledger-format.md`). It is
put together by one `concat_str` of literal pieces and columns, made afresh for each frame: a
column with one value becomes part of a literal, a column without nulls needs no test for them,
and only text that needs escaping goes through the slower JSON encoder.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl
import polars_hash  # noqa: F401 - registers the `chash` namespace

_ESCAPED = ['"', "\\", *(chr(code) for code in range(0x20))]
_BOX = ('{"":', "}")
# Small enough for the processor's cache, large enough to keep both cores busy.
_SLICE_ROWS = 1 << 15
_LEAF_PREFIX = "\x00"


def row_json(frame: pl.DataFrame) -> pl.Series:
    """Return each row's canonical JSON text."""
    return frame.select(pl.concat_str(_pieces(frame)).alias("json")).to_series()


def leaf_hashes(frame: pl.DataFrame) -> bytes:
    """Return the RFC 6962 leaf hashes of the rows, 32 bytes each, in row order."""
    if frame.is_empty():
        return b""
    text = pl.concat_str([pl.lit(_LEAF_PREFIX), *_pieces(frame)])
    hashed = text.chash.sha2_256().alias("leaf")  # type: ignore[attr-defined]
    slices = [part.lazy().select(hashed) for part in frame.iter_slices(_SLICE_ROWS)]
    return b"".join(
        bytes.fromhex(part.to_series().str.join("").item()) for part in pl.collect_all(slices)
    )


def hashed(frames: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, bytes]]:
    """Yield each frame with its leaf hashes, hashing the next while the caller uses the last."""
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[pl.DataFrame, Future[bytes]] | None = None
        for frame in frames:
            job = pool.submit(leaf_hashes, frame)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = frame, job
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def _pieces(frame: pl.DataFrame) -> list[pl.Expr]:
    """Interleave literals and columns so that, joined, they are each row's JSON."""
    awkward = _needing_escapes(frame)
    pieces: list[pl.Expr] = []
    literal = "{"
    for name in sorted(frame.columns):
        column = frame.get_column(name)
        literal += f'"{name}":'
        if column.null_count() == len(column):
            literal += "null,"
        elif _is_constant(column):
            value = column.head(1).to_frame().select(_as_text(column)).item()
            literal += json.dumps(value, ensure_ascii=False) + ","
        elif column.null_count() == 0 and name not in awkward:
            pieces += [pl.lit(literal + '"'), _as_text(column)]
            literal = '",'
        else:
            pieces += [pl.lit(literal), _boxed(column) if name in awkward else _nullable(column)]
            literal = ","
    ending = literal.removesuffix(",") + "}"
    # Literals alone would make one row, however many the frame has.
    return [*pieces, pl.lit(ending)] if pieces else [pl.repeat(ending, pl.len())]


def _is_constant(column: pl.Series) -> bool:
    """Tell whether all rows hold the same value (looking at both ends first, which is cheap)."""
    if column.null_count() or column[0] != column[-1]:
        return False
    return bool((column == column.first()).all())


def _needing_escapes(frame: pl.DataFrame) -> set[str]:
    """Name the text columns in which some value holds a character that JSON must escape."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    tests = [pl.col(name).str.contains_any(_ESCAPED).any() for name in texts]
    found = frame.lazy().select(tests).collect(engine="streaming")
    return {name for name in texts if found.get_column(name).item()}


def _as_text(column: pl.Series) -> pl.Expr:
    """Write a value as text: money as its count of 10⁻¹⁸, an instant as microseconds, a day ISO."""
    name, dtype = pl.col(column.name), column.dtype
    if dtype == pl.String:
        return name
    if dtype == pl.Date:
        return name.dt.to_string("%Y-%m-%d")
    return name.to_physical().cast(pl.String)


def _nullable(column: pl.Series) -> pl.Expr:
    quoted = pl.concat_str([pl.lit('"'), _as_text(column), pl.lit('"')])
    return quoted.fill_null("null")


def _boxed(column: pl.Series) -> pl.Expr:
    """Let the JSON encoder quote and escape each value, inside an object it is then taken from."""
    opening, closing = _BOX
    boxed = pl.struct(pl.col(column.name).alias("")).struct.json_encode()
    return boxed.str.strip_prefix(opening).str.strip_suffix(closing)
