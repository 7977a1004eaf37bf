"""Checksums of Parquet pages: what the reader does not look at, for files whose writer wrote them.

Only the headers of pages are read, and the bytes of pages that have a checksum (CRC-32, as in
gzip, over the page as it is stored). The headers are Thrift in its compact protocol; of a page's
header the first four fields are wanted, the others are passed over.
Formats: https://parquet.apache.org/docs/file-format/data-pages/checksumming/ and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

_STORED_BYTES: Final = 3
_CHECKSUM: Final = 4
"""Numbers of fields in a page's header."""

_BOOLEANS: Final = {1, 2}
_BYTE: Final = 3
_INTEGERS: Final = {4, 5, 6}
_DOUBLE: Final = 7
_BINARY: Final = 8
_LISTS: Final = {9, 10}
_STRUCT: Final = 12
_LONG_LIST: Final = 15
_MORE: Final = 0x80
_DISORDER: Final = (IndexError, KeyError, ValueError, RecursionError)
"""What comes of following bytes that are no header of a page."""


def damage(path: Path) -> str | None:
    """Say which column of a Parquet file holds other bytes than were written; None when none does.

    A page without a checksum is taken for what it is: nothing in Parquet could tell. What has no
    order at all is left to the reader, who will refuse it.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            damaged = next(_damaged(data, pq.read_metadata(path)), None)
        except (pa.ArrowException, OSError, *_DISORDER):
            return None
    return None if damaged is None else f"is damaged in column {damaged} (page checksum)"


def _damaged(data: mmap.mmap, footer: Any) -> Iterator[str]:
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for place in range(row_group.num_columns):
            chunk = row_group.column(place)
            pages = 0
            for checksum, stored in _pages(data, chunk):
                if checksum is None:
                    break
                pages += 1
                if zlib.crc32(stored) != checksum & 0xFFFFFFFF:
                    yield str(chunk.path_in_schema)
            if not pages:
                break  # a writer makes checksums for all columns or for none


def _pages(data: mmap.mmap, chunk: Any) -> Iterator[tuple[int | None, bytes]]:
    """Yield the checksum of each page of a column, and its bytes as they are stored."""
    offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
    place = min(offset for offset in offsets if offset)
    end = place + chunk.total_compressed_size
    while place < end:
        header = _Compact(data, place)
        fields = header.integers()
        start = header.place
        place = start + fields[_STORED_BYTES]
        if not start <= place <= end:
            raise ValueError("a page reaches beyond its column")
        checksum = fields.get(_CHECKSUM)
        yield checksum, b"" if checksum is None else data[start:place]


class _Compact:
    """A reader of Thrift's compact protocol, standing at `place`."""

    def __init__(self, data: mmap.mmap, place: int) -> None:
        self._data = data
        self.place = place

    def integers(self) -> dict[int, int]:
        """Read a struct to its end; return its whole numbers by field."""
        found: dict[int, int] = {}
        field = 0
        while kind := self._byte():
            delta, kind = kind >> 4, kind & 0xF
            field = field + delta if delta else self._signed()
            if kind in _INTEGERS:
                found[field] = self._signed()
            else:
                self._pass(kind)
        return found

    def _pass(self, kind: int) -> None:
        if kind in _BOOLEANS:
            return
        if kind == _BYTE:
            self.place += 1
        elif kind in _INTEGERS:
            self._unsigned()
        elif kind == _DOUBLE:
            self.place += 8
        elif kind == _BINARY:
            length = self._unsigned()
            self.place += length
        elif kind in _LISTS:
            self._pass_list()
        elif kind == _STRUCT:
            self.integers()
        else:
            raise ValueError(f"a page's header holds a value of unknown kind {kind}")

    def _pass_list(self) -> None:
        head = self._byte()
        size = head >> 4
        for _ in range(self._unsigned() if size == _LONG_LIST else size):
            if head & 0xF in _BOOLEANS:
                self.place += 1
            else:
                self._pass(head & 0xF)

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < _MORE:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
