"""Segments: the rows of one batch as Parquet, with a locator beside them.

The row tree is not stored: it is computed from the rows whenever it is needed. The locator (the
first 4 bytes of every leaf hash) says *which* row of a damaged segment differs.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from finops import money
from finops.ledger import rows
from finops.ledger.header import Control
from finops.ledger.schema import ENTRY_SCHEMA, REVERSAL, ROW_VERSION
from finops.ledger.tree import HASH_BYTES, Tree

CHUNK_ROWS: Final = 1 << 18
LOCATOR_BYTES: Final = 4
_ATOMS_PER_UNIT: Final[int] = 10**money.SCALE
_SAFE_SUM: Final = 1 << 126
_SEARCHED = ("period", "day", "row", "cost_center")
_DICTIONARY = [
    name
    for name, dtype in ENTRY_SCHEMA.items()
    if dtype in (pl.String, pl.Date) and name not in {"charge_id", "corrects"}
]
_ARROW_SCHEMA: Final[pa.Schema] = pa.schema(
    field.with_type(pa.dictionary(pa.int32(), field.type)) if field.name in _DICTIONARY else field
    for field in pl.DataFrame(schema=ENTRY_SCHEMA).to_arrow().schema
)
_DELTAS = {
    name: "DELTA_BINARY_PACKED"
    for name, dtype in ENTRY_SCHEMA.items()
    if dtype == pl.Int64 or isinstance(dtype, pl.Datetime)
}


@dataclass(slots=True)
class Digest:
    """What a header says about a segment's rows, gathered chunk by chunk, in row order."""

    tree: Tree = field(default_factory=Tree)
    locator: bytearray = field(default_factory=bytearray)
    control: dict[str, Control] = field(default_factory=dict)
    reversals: int = 0

    def add(self, frame: pl.DataFrame, leaves: bytes) -> None:
        """Take in a chunk and its leaf hashes."""
        self.tree.add(leaves)
        self.locator += locator_of(leaves)
        self.reversals += int((frame.get_column("kind") == REVERSAL).sum())
        for currency, part in totals(frame).items():
            before = self.control.get(currency, Control(0, 0, 0, 0))
            self.control[currency] = Control(
                before.rows + part.rows,
                before.billed + part.billed,
                before.allocated + part.allocated,
                before.unallocated + part.unallocated,
            )


def key_of(digest: str) -> str:
    """Name the object that holds the segment `digest`."""
    return f"ledger/seg/{digest}.parquet"


def locator_key_of(digest: str) -> str:
    """Name the object that holds the locator of the segment `digest`."""
    return f"ledger/seg/{digest}.leaves"


def locator_of(leaves: bytes) -> bytes:
    """Take the first 4 bytes of each 32-byte leaf hash."""
    words = memoryview(leaves).cast("I")
    return words[:: HASH_BYTES // LOCATOR_BYTES].tobytes()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, frames: Iterable[pl.DataFrame]) -> Digest:
    """Write frames (columns of `GIVEN`) to a Parquet file, numbering their rows from 0."""
    gathered = Digest()
    with pq.ParquetWriter(
        path,
        _ARROW_SCHEMA,
        compression="zstd",
        compression_level=1,
        use_dictionary=_DICTIONARY,
        column_encoding=_DELTAS,
        write_statistics=list(_SEARCHED),
        store_schema=False,
    ) as writer:
        for chunk, leaves in rows.hashed(_numbered(_chunks(frames))):
            writer.write_table(chunk.table(_ARROW_SCHEMA), row_group_size=CHUNK_ROWS)
            gathered.add(chunk.frame, leaves)
    return gathered


def read(path: Path) -> Iterator[pl.DataFrame]:
    """Yield a segment's rows chunk by chunk, in file order."""
    scan = pl.scan_parquet(path, glob=False)
    height = scan.select(pl.len()).collect().item()
    for start in range(0, height, CHUNK_ROWS):
        yield scan.slice(start, CHUNK_ROWS).collect()


def totals(frame: pl.DataFrame) -> dict[str, Control]:
    """Add up billed cost per currency, exactly."""
    currencies = frame.get_column("currency").unique().sort()
    if len(currencies) == 1:
        return {str(currencies[0]): _total(frame)}
    return {code: _total(frame.filter(pl.col("currency") == code)) for code in currencies}


def _total(frame: pl.DataFrame) -> Control:
    atoms = frame.select(money.to_atoms(pl.col("billed_cost"))).to_series()
    billed = _exact_sum(atoms)
    unallocated = _exact_sum(atoms.filter(frame.get_column("cost_center").is_null()))
    return Control(frame.height, billed, billed - unallocated, unallocated)


def _exact_sum(atoms: pl.Series) -> int:
    """Add up counts that fit 128 bits, though their sum may not: units and parts apart, then."""
    extremes = [abs(extreme) for extreme in (atoms.min(), atoms.max()) if isinstance(extreme, int)]
    if max(extremes, default=0) * len(atoms) < _SAFE_SUM:
        return int(atoms.sum())
    count = pl.col(atoms.name)
    units, parts = (
        atoms.to_frame()
        .select((count // _ATOMS_PER_UNIT).sum().alias("units"), (count % _ATOMS_PER_UNIT).sum())
        .row(0)
    )
    return int(units) * _ATOMS_PER_UNIT + int(parts)


def _chunks(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Cut and join frames into chunks of `CHUNK_ROWS` rows (the last one may be smaller)."""
    waiting: list[pl.DataFrame] = []
    height = 0
    for frame in frames:
        waiting.append(frame)
        height += frame.height
        if height >= CHUNK_ROWS:
            joined = pl.concat(waiting)
            whole = height // CHUNK_ROWS * CHUNK_ROWS
            for start in range(0, whole, CHUNK_ROWS):
                yield joined.slice(start, CHUNK_ROWS)
            waiting, height = [joined.slice(whole)], height - whole
    if height:
        yield pl.concat(waiting)


def _numbered(chunks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    first = 0
    for chunk in chunks:
        yield chunk.select(
            pl.lit(ROW_VERSION).alias("v"),
            pl.int_range(first, first + chunk.height, dtype=pl.Int64).alias("row"),
            *chunk.columns,
        )
        first += chunk.height
