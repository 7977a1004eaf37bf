"""Refusing a CSV in which a row is cut off or too long, before anything is read from it.

Polars fills a short row with nulls: a file that was cut off in its last row would pass, with half
an amount in it. Arrow refuses such a row, and reads CSV by the same rules for quotes.
"""

import codecs
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

_BLOCK_BYTES = 1 << 24
_PART_BYTES = 1 << 24
_PART_BLOCK_BYTES = 1 << 20  # small enough for the processor's cache
_COUNTED = "counted"
_MISREAD_FIRST = (codecs.BOM_UTF8, b"\n", b"\r")
_MISREAD_LAST = (b"\n\n", b"\n\r\n")
"""What is read differently where a file begins or ends: a mark, and empty lines."""

Part = tuple[int, int]
"""Where a part begins in a file, and where it ends."""

_NO_ROWS = "cannot infer number of columns"


def count(stream: "pa.NativeFile", separator: str) -> int:
    """Count the rows of a CSV; neither the header nor an empty line counts.

    Raises `pa.ArrowInvalid` for a row of another length than the header, and `OSError` for a
    stream that cannot be read.
    """
    height = -1
    first = "f0"  # rows are only counted; without any column Arrow would not even do that
    try:
        for batch in csv.open_csv(
            stream,
            csv.ReadOptions(block_size=_BLOCK_BYTES, autogenerate_column_names=True),
            csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            _only(first),
        ):
            height += batch.num_rows
    except pa.ArrowInvalid as error:
        if _NO_ROWS not in str(error):
            raise
    return height


def parts(path: Path, header: str, separator: str) -> "list[Part]":
    """Cut a plain CSV with lines that end in LF into parts of whole rows; looks on all cores.

    Returns no part for a small file, and for one of which this cannot be told part by part. That
    says nothing yet of the file: `count` tells. Parts are cut behind line ends. Where one is read
    to its end without a fault and outside of quotes, the next one does begin with a row; the
    first one does anyway.
    """
    if path.stat().st_size <= _PART_BYTES:
        return []
    head = pa.BufferReader(f"{header}\n".encode())

    def is_whole(part: Part) -> bool:
        return _is_whole(path, part, width, separator)

    try:
        width = len(csv.open_csv(head, parse_options=_parsed(separator)).schema)
        found = _cut(path)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return found if all(pool.map(is_whole, found)) else []
    except (pa.ArrowException, OSError):
        return []


def read(path: Path, part: Part) -> bytes:
    """Read the bytes of one part."""
    start, end = part
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


def _cut(path: Path) -> list[Part]:
    size, ends = path.stat().st_size, [0]
    with path.open("rb") as file:
        for place in range(_PART_BYTES, size, _PART_BYTES):
            file.seek(place)
            file.readline()
            if ends[-1] < file.tell() < size:
                ends.append(file.tell())
    return list(pairwise([*ends, size]))


def _is_whole(path: Path, part: Part, width: int, separator: str) -> bool:
    content = read(path, part)
    if (part[0] and content.startswith(_MISREAD_FIRST)) or content.endswith(_MISREAD_LAST):
        return False
    if content.count(b'"') % 2:
        return False  # to a reader who counts quotes, the next part begins inside of them
    names = [*map(str, range(width - 1)), _COUNTED]
    lasts = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(column_names=names, block_size=_PART_BLOCK_BYTES, use_threads=False),
        _parsed(separator),
        _only(_COUNTED),
    ).column(0)
    # In a quote that nothing ended, the part's last line end is a piece of the last value.
    return not len(lasts) or not lasts[-1].as_py().endswith(b"\n")


def _parsed(separator: str) -> csv.ParseOptions:
    return csv.ParseOptions(delimiter=separator, newlines_in_values=True)


def _only(column: str) -> csv.ConvertOptions:
    return csv.ConvertOptions(
        include_columns=[column], column_types={column: pa.binary()}, check_utf8=False
    )
