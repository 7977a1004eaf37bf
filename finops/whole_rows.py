"""Refusing a CSV in which a row is cut off or too long, before anything is read from it.

Polars fills a short row with nulls: a file that was cut off in its last row would pass, with half
an amount in it. Arrow refuses such a row, and reads CSV by the same rules for quotes.
"""

import codecs
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

_BLOCK_BYTES = 1 << 24
_PART_BYTES = 1 << 22
_PART_BLOCK_BYTES = 1 << 20  # small enough for the processor's cache
_COUNTED = "counted"
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


def are_whole(path: Path, header: str, separator: str) -> bool:
    """Look at a plain CSV with lines that end in LF, in parts, on all cores.

    False means that a part could not be told to be whole by itself, which says nothing yet:
    `count` tells. Parts are cut behind line ends. Where one is read to its end without a fault
    and outside of quotes, the next one does begin with a row; the first one does anyway.
    """
    if path.stat().st_size <= _PART_BYTES:
        return False
    head = pa.BufferReader(f"{header}\n".encode())

    def is_whole(part: tuple[int, int]) -> bool:
        return _is_whole(path, part, width, separator)

    try:
        width = len(csv.open_csv(head, parse_options=_parsed(separator)).schema)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return all(pool.map(is_whole, _parts(path)))
    except (pa.ArrowException, OSError):
        return False


def _parts(path: Path) -> Iterator[tuple[int, int]]:
    size, ends = path.stat().st_size, [0]
    with path.open("rb") as file:
        for place in range(_PART_BYTES, size, _PART_BYTES):
            file.seek(place)
            file.readline()
            if ends[-1] < file.tell() < size:
                ends.append(file.tell())
    return pairwise([*ends, size])


def _is_whole(path: Path, part: tuple[int, int], width: int, separator: str) -> bool:
    start, end = part
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(end - start)
    if start and content.startswith(codecs.BOM_UTF8):
        return False  # Arrow takes it for the beginning of a file
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
