import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from finops import copies, tabular
from finops.errors import DataError
from finops.tabular import Table

LONG = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(40_000))


def opened(folder: Path, files: dict[str, bytes]) -> Iterator[Table]:
    for name, content in files.items():
        (folder / name).write_bytes(content)
        yield from tabular.tables(folder / name, name)


@pytest.mark.parametrize("other", [gzip.compress(LONG, 1), LONG])
def test_the_same_bytes_are_a_copy_however_they_are_packed(tmp_path: Path, other: bytes) -> None:
    files = {"a": gzip.compress(LONG), "b": LONG[:-9], "c": other}
    with pytest.raises(DataError, match=r"^a and c are the same bill, byte for byte; take one of"):
        copies.refuse(opened(tmp_path, files))


@pytest.mark.parametrize("other", [LONG[:-9], LONG + b"1,2\n", LONG[:-2] + b"0\n"])
def test_bills_that_begin_alike_are_told_apart_by_their_ends(tmp_path: Path, other: bytes) -> None:
    assert len(other) > copies._FIRST_BYTES
    copies.refuse(opened(tmp_path, {"a": LONG, "b": gzip.compress(other)}))


def test_bills_that_begin_differently_are_not_read_to_their_end(tmp_path: Path) -> None:
    tables = list(opened(tmp_path, {"a": LONG, "b": b"b" + LONG}))
    read: list[str] = []

    class Counted(Table):
        def blocks(self) -> Iterator[bytes]:
            for block in Table.blocks(self):
                read.append(self.name)
                yield block

    copies.refuse([Counted(table.path, table.name, table.rows) for table in tables])
    assert sorted(read) == ["a", "b"]
