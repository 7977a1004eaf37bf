"""Opening bills as tables: CSV or Parquet, plain or compressed, told apart by their first bytes."""

import functools
import tempfile
import zipfile
import zlib
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import csv

from finops.errors import DataError

NULLS = ["", "NULL", "null"]
"""Spellings of a missing value in CSV bills."""

_DELIMITERS = (",", ";", "\t", "|")
_HEAD_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 24
_FAULT_LENGTH = 120
_NO_ROWS = "cannot infer number of columns"
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}


def scan(path: Path, name: str) -> pl.LazyFrame:
    """Open a bill lazily; every CSV column comes as text. `name` is what messages call it.

    Knows Parquet, CSV (comma, semicolon, tab or bar), and CSV in gzip, zstd or zip. Raises
    `DataError` for an empty file, another format, or text that is not UTF-8.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise DataError(f"{name}: is empty; fetch it again or take it away")
    if magic == b"PAR1":
        return _scan_parquet(path, name)
    if magic == b"PK\x03\x04":
        parts = [scan(part, f"{name}/{part.name}") for part in _unzipped(path, name)]
        return pl.concat(parts, how="diagonal")
    return _scan_csv(path, name, magic)


def said(error: Exception) -> str:
    """Shorten a table library's message to its first line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _scan_parquet(path: Path, name: str) -> pl.LazyFrame:
    try:
        rows = pl.scan_parquet(path)
        rows.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{name}: is no complete Parquet file ({said(error)}); fetch it again"
        ) from None
    return rows


def _scan_csv(path: Path, name: str, magic: bytes) -> pl.LazyFrame:
    header = _header(path, name, magic)
    separator = max(_DELIMITERS, key=header.count)
    _demand_whole_rows(path, name, magic, separator)
    try:
        rows = pl.scan_csv(
            path,
            separator=separator,
            infer_schema=False,
            null_values=NULLS,
            encoding="utf8",
        )
        rows.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{name}: cannot be read as CSV ({said(error)}); fetch it again") from None
    return rows


def _demand_whole_rows(path: Path, name: str, magic: bytes, separator: str) -> None:
    """Refuse a CSV in which a row has too few or too many fields.

    Polars fills a short row with nulls: a file that was cut off in its last row would pass, with
    half an amount in it.
    """
    first = "f0"  # rows are only counted; without any column Arrow would not even do that
    try:
        with _opened(path, magic) as stream:
            for _ in csv.open_csv(
                stream,
                csv.ReadOptions(block_size=_BLOCK_BYTES, autogenerate_column_names=True),
                csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                csv.ConvertOptions(
                    include_columns=[first], column_types={first: pa.binary()}, check_utf8=False
                ),
            ):
                pass
    except (pa.ArrowInvalid, OSError) as error:
        fault = said(error).removeprefix("CSV parse error: ")[:_FAULT_LENGTH]
        if _NO_ROWS in fault:
            return
        raise DataError(f"{name}: is no complete CSV file ({fault}); fetch it again") from None


def _opened(path: Path, magic: bytes) -> "pa.NativeFile":
    return pa.input_stream(str(path), compression=_COMPRESSIONS.get(magic[:2]))


def _header(path: Path, name: str, magic: bytes) -> str:
    try:
        with _opened(path, magic) as file:
            head: bytes = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{name}: cannot be decompressed ({said(error)}); fetch it again") from None
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise DataError(f"{name}: is UTF-16 text; save it as UTF-8")
    line = head.split(b"\n", 1)[0]
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: is neither Parquet nor CSV in UTF-8; export it as one") from None
    if "\x00" in text:
        raise DataError(f"{name}: is neither Parquet nor CSV; export it as one of them")
    return text


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
