import random
from pathlib import Path

import pyarrow as pa
import pytest

from finops import whole_rows


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_rows, "_PART_BYTES", 4)


def are_whole(folder: Path, content: bytes) -> bool:
    path = folder / "bill.csv"
    path.write_bytes(content)
    parts = whole_rows.parts(path, content.split(b"\n")[0].decode(), ",")
    assert not parts or b"".join(whole_rows.read(path, part) for part in parts) == content
    return bool(parts)


def is_taken(content: bytes) -> bool:
    try:
        whole_rows.count(pa.BufferReader(content), ",")
    except pa.ArrowInvalid:
        return False
    return True


WHOLE = {
    "plain": b"a,b\n1,2\n3,4\n5,6\n",
    "crlf": b"a,b\r\n1,2\r\n3,4\r\n",
    "no last line end": b"a,b\n1,2\n3,4",
    "quotes": b'a,b\n"1,1","2"\n"3","4 ""x"""\n',
    "quotes that are text": b'a,b\n1"",2\n""3,4\n5,6\n',
}


@pytest.mark.parametrize("case", WHOLE)
def test_rows_of_one_length_are_whole(case: str, tmp_path: Path) -> None:
    assert is_taken(WHOLE[case])
    assert are_whole(tmp_path, WHOLE[case])


BROKEN = {
    "cut in its last row": b"a,b\n1,2\n3,4\n5",
    "a short row": b"a,b\n1,2\n3\n5,6\n",
    "a long row": b"a,b\n1,2\n3,4,5\n5,6\n",
    "a short header": b"a\n1,2\n3,4\n5,6\n",
    "a long row that looks like two": b'a,b\n1,"2\n3",4,5\n6,7\n',
    "a long row that looks like two, crlf": b'a,b\r\n1,"2\r\n3",4,5\r\n6,7\r\n',
    "a mark that would hide a quote": b'a,b\n1,2\n\xef\xbb\xbf"3,4",5\n6,7\n',
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_row_of_another_length_is_never_called_whole(case: str, tmp_path: Path) -> None:
    assert not are_whole(tmp_path, BROKEN[case])


UNSURE = {
    "a part that ends in quotes": b'a,b\n1,"2\n3,4"\n5,6\n',
    "empty lines": b"a,b\n1,2\n\n\n\n\n\n3,4\n",
    "an empty line, crlf": b"a,b\r\n1,2\r\n\r\n3,4\r\n",
    "an odd quote that is text": b'a,b\n1"1,2\n3",4\n5,6\n',
}


@pytest.mark.parametrize("case", UNSURE)
def test_what_is_read_differently_in_parts_has_none(case: str, tmp_path: Path) -> None:
    content = UNSURE[case]
    assert is_taken(content)
    assert not are_whole(tmp_path, content)


def test_what_is_called_whole_in_parts_is_whole(tmp_path: Path) -> None:
    chance = random.Random(7)
    called = 0
    for _ in range(3000):
        letters = chance.choices([b"1", b",", b"\n", b'"', b"\r"], [8, 6, 5, 2, 1], k=24)
        content = b"a,b\n" + b"".join(letters)
        if are_whole(tmp_path, content):
            called += 1
            assert is_taken(content), content
    assert called


def test_a_small_file_is_not_worth_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_rows, "_PART_BYTES", 1 << 24)
    assert not are_whole(tmp_path, WHOLE["plain"])
