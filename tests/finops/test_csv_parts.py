import gc
import gzip
import io
from pathlib import Path

import polars as pl
import pytest

from finops import tabular, whole_rows
from finops.errors import DataError

HEADERS = {"plain": "a,b,c", "twice": "a,b,a", "quoted": '"a, x",b,"c"', "marked": "\ufeffa,b,c"}
LINES = [f'{n},"x ""{n % 7}"", y",{"NULL" if n % 3 else n}' for n in range(500)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_rows, "_PART_BYTES", 1000)


def written(folder: Path, header: str, line_end: str = "\n", last: str = "\n") -> Path:
    path = folder / "bill.csv"
    path.write_bytes((line_end.join([header, *LINES]) + last).encode())
    return path


def at_once(path: Path) -> pl.DataFrame:
    content = io.BytesIO(path.read_bytes())
    return pl.read_csv(content, infer_schema=False, null_values=tabular.NULLS)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_parts_hold_what_the_file_holds(
    header: str, line_end: str, last: str, tmp_path: Path
) -> None:
    path = written(tmp_path, HEADERS[header], line_end, last)
    assert len(whole_rows.parts(path, HEADERS[header].removeprefix("\ufeff"), ",")) > 1
    rows = tabular.scan(path, "bill")
    for engine in ("streaming", "in-memory"):
        assert rows.collect(engine=engine).equals(at_once(path))


def test_lines_of_other_separators_come_in_parts_too(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(b"a;b\n" + b"1,5;2\n" * 1000)
    assert tabular.scan(path, "bill").collect().rows() == [("1,5", "2")] * 1000


def test_only_what_is_asked_for_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c")
    rows, whole = tabular.scan(path, "bill"), at_once(path)
    assert rows.select(pl.len()).collect().item() == 500
    assert rows.select("c", "a").collect().equals(whole.select("c", "a"))
    assert rows.head(123).collect().equals(whole.head(123))
    assert rows.slice(400, 1).collect().equals(whole.slice(400, 1))
    is_last = pl.col("a") == "499"
    assert rows.filter(is_last).select("b").collect().equals(whole.filter(is_last).select("b"))
    assert rows.with_row_index().filter(is_last).collect().get_column("index").to_list() == [499]


def test_bytes_that_are_no_text_are_told_as_of_any_file(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 1000 + b"\xff,2\n" + b"1,2\n" * 1000)
    with pytest.raises(pl.exceptions.ComputeError, match="invalid utf-8 sequence"):
        tabular.scan(path, "bill").collect()


def test_a_query_is_answered_part_by_part_as_for_the_whole(tmp_path: Path) -> None:
    (table,) = tabular.tables(written(tmp_path, "a,b,c"), "bill")
    assert table.parts is not None
    query = table.rows.select(pl.col("b") + pl.col("a"), "c").filter(pl.col("c").is_not_null())
    pieces = list(table.parts.each(query))
    assert len(pieces) > 1
    assert sum(piece.height for piece in pieces) == 500
    assert pl.concat(piece.rows for piece in pieces).equals(query.collect())
    next(table.parts.each(query))  # whoever stops early leaves the table as it was
    assert table.rows.collect().equals(at_once(table.path))


def test_a_big_compressed_file_comes_in_parts_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "_UNPACKED_BYTES", 1)
    plain = written(tmp_path, "a,b,c")
    packed = tmp_path / "bill.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    (table,) = tabular.tables(packed, "bill")
    assert table.parts is not None
    assert table.rows.collect().equals(at_once(plain))
    assert b"".join(table.blocks()) == plain.read_bytes()
    before = set(Path(tabular._unpacked().name).iterdir())
    del table
    gc.collect()
    assert len(before - set(Path(tabular._unpacked().name).iterdir())) == 1


def test_a_torn_compressed_file_is_refused_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabular, "_UNPACKED_BYTES", 1)
    packed = tmp_path / "bill.csv.gz"
    lines = "".join(f"{n},{n * n}\n" for n in range(20_000))
    packed.write_bytes(gzip.compress(f"a,b\n{lines}".encode())[:-20])
    with pytest.raises(DataError, match="is no complete CSV file"):
        tabular.tables(packed, "bill")
