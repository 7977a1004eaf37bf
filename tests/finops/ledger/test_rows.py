"""Canonical row bytes: three encoders must agree, on everything."""

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import money
from finops.ledger import coded, rows

SCHEMA = {
    "b": pl.String(),
    "a": pl.String(),
    "n": pl.Int64(),
    "m": money.DTYPE,
    "t": pl.Datetime("us", "UTC"),
    "d": pl.Date(),
}
TEXT = st.none() | st.sampled_from(["", "x", 'a"b', "null", "\\", "\x00\x1f", "é€𝄞"]) | st.text()
ROWS = st.lists(
    st.tuples(
        TEXT,
        TEXT,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(10**38) + 1, 10**38 - 1),
        st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
        st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    ),
    min_size=1,
    max_size=9,
)


def frame_of(made: list[tuple[object, ...]]) -> pl.DataFrame:
    """Build the frame that the drawn values stand for."""
    exact = [
        (b, a, n, money.amount(m) if isinstance(m, int) else None, _zoned(t), d)
        for b, a, n, m, t, d in made
    ]
    return pl.DataFrame(exact, schema=SCHEMA, orient="row")


def _zoned(instant: object) -> datetime | None:
    return instant.replace(tzinfo=UTC) if isinstance(instant, datetime) else None


def by_python(row: dict[str, object]) -> str:
    """Encode a row with the standard library alone."""
    plain = {name: _plain(value) for name, value in row.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> str | None:
    if isinstance(value, Decimal):
        return str(money.atoms(value))
    if isinstance(value, datetime):
        since = value - datetime(1970, 1, 1, tzinfo=UTC)
        return str((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
    return None if value is None else str(value)


def by_struct(frame: pl.DataFrame) -> list[str]:
    """Encode all rows with Polars' own JSON encoder."""
    texts = {
        name: pl.col(name)
        if dtype == pl.String
        else pl.col(name).dt.to_string("%Y-%m-%d")
        if dtype == pl.Date
        else pl.col(name).to_physical().cast(pl.String)
        for name, dtype in sorted(frame.schema.items())
    }
    fields = [text.alias(name) for name, text in texts.items()]
    return frame.select(pl.struct(fields).struct.json_encode()).to_series().to_list()


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_three_encoders_agree(made: list[tuple[object, ...]]) -> None:
    """Ours, Polars' and Python's give the same bytes, whatever the values."""
    frame = frame_of(made)
    ours = rows.row_json(frame).to_list()
    assert ours == by_struct(frame)
    assert ours == [by_python(row) for row in frame.iter_rows(named=True)]


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 7), st.randoms(use_true_random=False), st.sampled_from([0, 20, 4096]))
def test_three_encoders_agree_on_what_repeats(
    made: list[tuple[object, ...]], times: int, chance: Random, few: int
) -> None:
    """Values that come again, in any company, are written as if each came alone."""
    columns = [[row[place] for row in made] * (times * 3) for place in range(len(SCHEMA))]
    for column in columns:
        chance.shuffle(column)
    frame = frame_of(list(zip(*columns, strict=True)))
    with mock.patch.object(coded, "_FEW", few):
        ours = rows.row_json(frame).to_list()
    assert ours == by_struct(frame)
    assert ours == [by_python(row) for row in frame.iter_rows(named=True)]


@pytest.mark.slow
def test_every_unicode_scalar_value() -> None:
    """There is no character on which the encoders differ."""
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    frame = pl.DataFrame({"c": [chr(point) for point in points]})
    for part in (frame, frame.filter(~pl.col("c").str.contains('["\\\\\x00-\x1f]'))):
        encoded = [
            json.dumps({"c": text}, separators=(",", ":"), ensure_ascii=False)
            for text in part.get_column("c")
        ]
        assert rows.row_json(part).to_list() == encoded


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_leaf_hash_is_rfc_6962(made: list[tuple[object, ...]]) -> None:
    """A leaf is SHA-256 over a zero byte and the row's bytes."""
    frame = frame_of(made)
    expected = [hashlib.sha256(b"\0" + text.encode()).digest() for text in rows.row_json(frame)]
    assert rows.leaf_hashes(frame) == b"".join(expected)


def test_no_rows_have_no_leaves() -> None:
    """An empty frame gives no bytes."""
    assert rows.leaf_hashes(pl.DataFrame(schema=SCHEMA)) == b""
