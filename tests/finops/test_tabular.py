import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from finops import tabular
from finops.errors import DataError

PLAIN = b"a,b\n1,x\n2,\n,NULL\n"
ROWS = [("1", "x"), ("2", None), (None, None)]
LONG = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n * 7919) for n in range(60_000))


def zipped(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def scan(folder: Path, content: bytes) -> pl.LazyFrame:
    path = folder / "content"
    path.write_bytes(content)
    return tabular.scan(path, "bill")


def locked(content: bytes) -> bytes:
    """Set the bits that say a zip's only member is encrypted."""
    changed = bytearray(content)
    changed[6] |= 1
    changed[content.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def scratched(content: bytes, at: int) -> bytes:
    return content[:at] + b"\xff" * 20 + content[at + 20 :]


REFUSED = {
    "empty": (b"", "is empty; fetch it again or take it away"),
    "junk": (b"\x00\x01\x02junk" * 50, "is neither Parquet nor CSV"),
    "latin-1": ("Größe,b\n1,2\n".encode("latin-1"), "is neither Parquet nor CSV in UTF-8"),
    "utf-16": (PLAIN.decode().encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    "cut in its last row": (
        b"a,b,c\n1,2,3\n4,5",
        "is no complete CSV file .*Expected 3 columns, got 2",
    ),
    "short row in the middle": (b"a,b,c\n1,2\n4,5,6\n", "is no complete CSV file"),
    "long row": (b"a,b,c\n1,2,3,4\n4,5,6\n", "is no complete CSV file"),
    "quote without an end": (b'a,b,c\n1,"2,3\n', "is no complete CSV file"),
    "line ends of two kinds": (b"a,b\r1,2\n3,4\n", "ends its lines in different ways; save it"),
    "a lone CR in a header's quotes": (b'"a\rb",c\n1,2\n3,4\n', "ends its lines in different ways"),
    "line ends only": (b"\n\n", "cannot be read as CSV .*; fetch it again"),
    "parquet head": (b"PAR1" + b"x" * 99, "is no complete Parquet file"),
    "parquet cut": (parquet(pl.DataFrame({"a": range(999)}))[:-5], "is no complete Parquet file"),
    "gzip cut": (gzip.compress(PLAIN)[:-9], "cannot be decompressed .*; fetch it again"),
    "gzip head": (gzip.compress(PLAIN)[:5], "cannot be decompressed"),
    "gzip scratched": (scratched(gzip.compress(LONG), 30), "cannot be decompressed"),
    "zstd cut": (zstd(PLAIN)[:-3], "cannot be decompressed"),
    "zstd scratched": (scratched(zstd(LONG), 8), "cannot be decompressed"),
    "zip cut": (zipped({"a.csv": PLAIN})[:40], "is no complete zip file"),
    "zip scratched": (scratched(zipped({"a.csv": LONG}), 60), "is no complete zip file"),
    "zip locked": (locked(zipped({"a.csv": PLAIN})), "cannot be unzipped .*; unzip it first"),
    "zip of nothing": (zipped({"a/": b""}), "holds no file; fetch it again or take it away"),
    "zip of junk": (zipped({"a.csv": PLAIN, "b.csv": b"\x00" * 9}), "^bill/b.csv: is neither"),
    "zip in zip": (zipped({"a.zip": zipped({"b.csv": b""})}), "^bill/a.zip/b.csv: is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case: str, tmp_path: Path) -> None:
    content, says = REFUSED[case]
    with pytest.raises(DataError, match=says) as caught:
        scan(tmp_path, content)
    assert str(caught.value).startswith("bill")


ACCEPTED = {
    "plain": PLAIN,
    "crlf": PLAIN.replace(b"\n", b"\r\n"),
    "old Mac": PLAIN.replace(b"\n", b"\r"),
    "old Mac, gzip": gzip.compress(PLAIN.replace(b"\n", b"\r")),
    "empty lines before the header": b"\n\r\n" + PLAIN,
    "no last line end": PLAIN[:-1],
    "quoted": b'"a","b"\n"1","x"\n"2",""\n,null\n',
    "semicolon": PLAIN.replace(b",", b";"),
    "tab": PLAIN.replace(b",", b"\t"),
    "bar": PLAIN.replace(b",", b"|"),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip, byte order mark": gzip.compress(b"\xef\xbb\xbf" + PLAIN),
    "gzip in two members": gzip.compress(PLAIN[:8]) + gzip.compress(PLAIN[8:]),
    "zstd": zstd(PLAIN),
    "zip": zipped({"a.csv": PLAIN}),
    "zip with macOS leftovers": zipped({"x/a.csv": PLAIN, "__MACOSX/._a.csv": b"\x00\x05"}),
    "zip of two": zipped({"b.csv": b"a,b\n2,\n,\n", "a.csv": b"a,b\n1,x\n"}),
    "zip of other columns": zipped({"1.csv": b"a,b\n1,x\n", "2.csv": b'a\n2\n""\n'}),
    "zip of gzip": zipped({"a.csv.gz": gzip.compress(PLAIN)}),
    "parquet": parquet(pl.DataFrame(ROWS, schema=["a", "b"], orient="row")),
    "zip of parquet": zipped({"p": parquet(pl.DataFrame(ROWS, ["a", "b"], orient="row"))}),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted_as_the_same_rows(case: str, tmp_path: Path) -> None:
    rows = scan(tmp_path, ACCEPTED[case]).collect()
    assert rows.columns == ["a", "b"]
    assert rows.rows() == ROWS


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_file_that_is_all_header_has_no_rows(line_end: bytes, tmp_path: Path) -> None:
    for content in (b"a,b", b"a,b" + line_end):
        rows = scan(tmp_path, content).collect()
        assert (rows.columns, rows.height) == (["a", "b"], 0)


def test_a_name_that_is_a_pattern_names_one_file(tmp_path: Path) -> None:
    for name in ("b[1]*?", "b1xx"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_bytes(PLAIN if "*" in name else b"z\n")
        (tmp_path / name / "a.parquet").write_bytes(ACCEPTED["parquet"])
    for kind in ("csv", "parquet"):
        assert tabular.scan(tmp_path / "b[1]*?" / f"a.{kind}", "bill").collect().rows() == ROWS


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_a_table_gives_its_bytes_unpacked(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(pack(LONG))
    (table,) = tabular.tables(tmp_path / "content", "bill")
    assert b"".join(table.blocks()) == LONG


def test_text_stays_text(tmp_path: Path) -> None:
    rows = scan(tmp_path, b"a,b\n007,1.10\n1e3,true\n").collect()
    assert rows.rows() == [("007", "1.10"), ("1e3", "true")]


def test_a_delimiter_in_quotes_is_text(tmp_path: Path) -> None:
    rows = scan(tmp_path, b'a,b\n"x;y;z","line\nend, and ""quote"""\n').collect()
    assert rows.rows() == [("x;y;z", 'line\nend, and "quote"')]


@pytest.mark.parametrize("error", [ValueError(""), zlib.error("one\ntwo"), OSError(" x ")])
def test_what_a_library_says_fits_a_line(error: Exception) -> None:
    assert tabular.said(error) == {"": "ValueError", "one\ntwo": "one", " x ": "x"}[str(error)]
