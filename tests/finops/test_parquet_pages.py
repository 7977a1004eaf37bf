"""Page checksums: every flipped byte of a page that has one is found, and nothing else refused."""

import random
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops import parquet_pages

TABLE = pa.table(
    {
        "cost": pa.array([n / 7 for n in range(3000)]),
        "name": pa.array([f"resource {n % 50}" if n % 9 else None for n in range(3000)]),
        "tags": pa.array([{"team": f"t{n % 3}"} for n in range(3000)]),
        "days": pa.array([[n % 28] * (n % 4) for n in range(3000)]),
    }
)


def written(path: Path, compression: str, version: str, *, checksums: bool = True) -> bytes:
    pq.write_table(
        TABLE,
        path,
        compression=compression,
        data_page_version=version,
        data_page_size=2000,
        row_group_size=700,
        write_page_checksum=checksums,
    )
    return path.read_bytes()


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_any_flipped_byte_of_a_page_is_found(
    compression: str, version: str, tmp_path: Path
) -> None:
    path = tmp_path / "bill.parquet"
    content = written(path, compression, version)
    assert parquet_pages.damage(path) is None
    chunk = pq.read_metadata(path).row_group(2).column(1)
    end = chunk.data_page_offset + chunk.total_compressed_size
    end -= chunk.data_page_offset - chunk.dictionary_page_offset
    chance = random.Random(7)
    found = 0
    for place in [
        end - 1,
        *(chance.randrange(chunk.data_page_offset + 60, end) for _ in range(40)),
    ]:
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        # A byte of a later page's header is no part of a page: the reader sees to it.
        found += parquet_pages.damage(path) == "is damaged in column name (page checksum)"
    assert found > 30


def test_pages_without_checksums_are_let_pass(tmp_path: Path) -> None:
    path = tmp_path / "bill.parquet"
    content = bytearray(written(path, "none", "1.0", checksums=False))
    content[content.index(b"resource 7")] ^= 1
    path.write_bytes(content)
    assert parquet_pages.damage(path) is None


def test_what_another_writer_writes_is_let_pass(tmp_path: Path) -> None:
    frame = pl.from_arrow(TABLE)
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(tmp_path / "bill.parquet")
    assert parquet_pages.damage(tmp_path / "bill.parquet") is None


def test_garbage_among_the_pages_is_left_to_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "bill.parquet"
    content = written(path, "zstd", "1.0")
    chance = random.Random(11)
    for _ in range(60):
        changed = bytearray(content)
        start = chance.randrange(4, len(content) - 60)
        changed[start : start + 40] = chance.randbytes(40)
        path.write_bytes(changed)
        said = parquet_pages.damage(path)
        assert said is None or said.endswith("(page checksum)")
