"""Opening bills as tables: CSV or Parquet, plain or compressed, told apart by their first bytes."""

import functools
import re
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from finops import parquet_pages, whole_rows, wide_decimals
from finops.csv_parts import CsvParts
from finops.errors import DataError

NULLS = ["", "NULL", "null"]
"""Spellings of a missing value in CSV bills."""

_DELIMITERS = (",", ";", "\t", "|")
_HEAD_BYTES = 1 << 16
_COPY_BYTES = 1 << 20
_UNPACKED_BYTES = 1 << 20
"""From what size on a compressed CSV is decompressed once, instead of each time it is read."""
_FAULT_LENGTH = 120
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONE_CR = b"\r"
"""The line end of old Macs, which some spreadsheets still write."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table of a bill, opened: a file of its own, or one that was in a zip.

    `name` is what messages call it, `path` where its bytes are; every CSV column comes as text.
    """

    path: Path
    name: str
    rows: pl.LazyFrame
    parts: CsvParts | None = None
    """Set for a big CSV, whose rows can be asked for part by part."""

    def blocks(self) -> Iterator[bytes]:
        """Yield the table's bytes, decompressed."""
        with self.path.open("rb") as file:
            magic = file.read(4)
        try:
            with _opened(self.path, magic) as stream:
                while block := stream.read(_COPY_BYTES):
                    yield block
        except OSError as error:
            raise DataError(_torn(self.name, error)) from None


def scan(path: Path, name: str) -> pl.LazyFrame:
    """Open a bill lazily, as one table: see `tables`."""
    return joined(tables(path, name))


def tables(path: Path, name: str) -> list[Table]:
    """Open the tables of a bill lazily; only a zip may hold several.

    Knows Parquet, CSV (comma, semicolon, tab or bar), and CSV in gzip, zstd or zip. Raises
    `DataError` for an empty file, another format, or text that is not UTF-8.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise DataError(f"{name}: is empty; fetch it again or take it away")
    if magic == b"PAR1":
        return [Table(path, name, _scan_parquet(path, name))]
    if magic == b"PK\x03\x04":
        return [
            table
            for member in _unzipped(path, name)
            for table in tables(member, f"{name}/{member.name}")
        ]
    return [_csv(path, name, magic)]


def joined(found: Sequence[Table]) -> pl.LazyFrame:
    """Put the tables of one bill below each other; a column that one lacks is null there."""
    if len(found) == 1:
        return found[0].rows
    return pl.concat([table.rows for table in found], how="diagonal")


def parts(found: Sequence[Table]) -> CsvParts | None:
    """Give the parts of a bill that is one big CSV."""
    return found[0].parts if len(found) == 1 else None


def said(error: Exception) -> str:
    """Shorten a table library's message to its first line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _scan_parquet(path: Path, name: str) -> pl.LazyFrame:
    try:
        rows = pl.scan_parquet(path, glob=False)
        schema = rows.collect_schema()
        if any(map(wide_decimals.is_wide, schema.dtypes())):
            told = Path(tempfile.mkdtemp(dir=_unpacked().name)) / "told.parquet"
            wide_decimals.tell(path, told)
            rows = pl.scan_parquet(told, glob=False)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        raise DataError(
            f"{name}: is no complete Parquet file ({said(error)}); fetch it again"
        ) from None
    damage = parquet_pages.damage(path)
    if damage is not None:
        raise DataError(f"{name}: {damage}; fetch it again")
    return rows


def _csv(path: Path, name: str, magic: bytes) -> Table:
    header, line_end = _header(path, name, magic)
    separator = max(_DELIMITERS, key=header.count)
    is_lone_cr = line_end == _LONE_CR
    try:
        in_parts = None if is_lone_cr else _in_parts(path, magic, header, separator)
        if in_parts:
            return Table(path, name, in_parts.scan(), in_parts)
        height = _demand_whole_rows(path, name, magic, separator)
        rows = pl.scan_csv(
            path,
            separator=separator,
            infer_schema=False,
            null_values=NULLS,
            encoding="utf8",
            eol_char="\r" if is_lone_cr else "\n",
            glob=False,
        )
        rows.collect_schema()
        if is_lone_cr and rows.select(pl.len()).collect().item() < height:
            raise DataError(
                f"{name}: ends its lines in different ways; save it again with one kind of line end"
            )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{name}: cannot be read as CSV ({said(error)}); fetch it again") from None
    return Table(path, name, rows)


def _in_parts(path: Path, magic: bytes, header: str, separator: str) -> CsvParts | None:
    """Open a big CSV in parts; None for one that has to be read, or refused, as a whole."""
    if magic[:2] not in _COMPRESSIONS:
        parts = whole_rows.parts(path, header, separator)
        return CsvParts(path, parts, separator, NULLS) if parts else None
    if path.stat().st_size < _UNPACKED_BYTES:
        return None
    folder = tempfile.TemporaryDirectory(dir=_unpacked().name)
    plain = Path(folder.name) / "plain.csv"
    found = None
    try:
        with _opened(path, magic) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file, _COPY_BYTES)
        found = _in_parts(plain, b"", header, separator)
    except OSError:
        pass  # torn, or no space: reading it where it lies says which
    if found is None:
        folder.cleanup()
    else:
        weakref.finalize(found, folder.cleanup)
    return found


def _demand_whole_rows(path: Path, name: str, magic: bytes, separator: str) -> int:
    """Count the rows of a CSV; refuse one in which a row has too few or too many fields."""
    try:
        with _opened(path, magic) as stream:
            return whole_rows.count(stream, separator)
    except (pa.ArrowInvalid, OSError) as error:
        fault = said(error).removeprefix("CSV parse error: ")[:_FAULT_LENGTH]
        raise DataError(f"{name}: is no complete CSV file ({fault}); fetch it again") from None


def _opened(path: Path, magic: bytes) -> "pa.NativeFile":
    return pa.input_stream(str(path), compression=_COMPRESSIONS.get(magic[:2]))


def _header(path: Path, name: str, magic: bytes) -> tuple[str, bytes]:
    """Return the first line that is not empty, and how it ends."""
    try:
        with _opened(path, magic) as file:
            head: bytes = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(_torn(name, error)) from None
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise DataError(f"{name}: is UTF-16 text; save it as UTF-8")
    head = head.lstrip(b"\r\n")
    end = _LINE_END.search(head)
    line = head if end is None else head[: end.start()]
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: is neither Parquet nor CSV in UTF-8; export it as one") from None
    if "\x00" in text:
        raise DataError(f"{name}: is neither Parquet nor CSV; export it as one of them")
    return text, b"\n" if end is None else end[0]


def _torn(name: str, error: Exception) -> str:
    return f"{name}: cannot be decompressed ({said(error)}); fetch it again"


def _unzipped(path: Path, name: str) -> list[Path]:
    folder = Path(tempfile.mkdtemp(dir=_unpacked().name))
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(filter(_is_wanted, archive.namelist()))
            files = [Path(archive.extract(member, folder)) for member in members]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise DataError(
            f"{name}: is no complete zip file ({said(error)}); fetch it again"
        ) from None
    except (RuntimeError, NotImplementedError) as error:
        raise DataError(f"{name}: cannot be unzipped ({said(error)}); unzip it first") from None
    if not files:
        raise DataError(f"{name}: holds no file; fetch it again or take it away")
    return files


def _is_wanted(member: str) -> bool:
    """Leave out folders, and what macOS and editors hide beside the files."""
    return not member.endswith("/") and not Path(member).name.startswith(".")


@functools.cache
def _unpacked() -> "tempfile.TemporaryDirectory[str]":
    """Hold unpacked archives until the process ends: lazy tables read from them later."""
    return tempfile.TemporaryDirectory(prefix="finops-unpacked-")
