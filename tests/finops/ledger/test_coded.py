"""Columns with few values: coded or not, Parquet and JSON get the same."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops import money
from finops.ledger import coded, segment
from tests.finops.ledger.entries import frame

MANY = 10_000
START = datetime(2026, 10, 1, tzinfo=UTC)
COLUMNS = {
    "constant": pl.Series(["x"] * MANY),
    "nothing": pl.Series([None] * MANY, dtype=pl.String),
    "few": pl.Series([f"t{n % 7}" if n % 5 else None for n in range(MANY)]),
    "many": pl.Series([f"id-{n}" for n in range(MANY)]),
    "hour": pl.Series([START + timedelta(hours=n % 24) for n in range(MANY)]).cast(
        pl.Datetime("us", "UTC")
    ),
    "day": pl.Series([date(2026, 10, 1 + n % 3) for n in range(MANY)]),
    "share": pl.Series([n % 4 for n in range(MANY)]),
    "row": pl.Series(range(MANY)),
    "cost": pl.Series([Decimal(n % 9) for n in range(MANY)]).cast(money.DTYPE),
}
FRAME = pl.DataFrame(COLUMNS)


def test_only_what_repeats_is_coded() -> None:
    found = coded.of(FRAME)
    assert found.constants == {"constant"}
    assert set(found.codes) == {"few", "hour", "day", "share"}
    assert found.pieces("many") is None


def test_pieces_say_what_the_rows_say() -> None:
    found = coded.of(FRAME).pieces("few")
    assert found is not None
    said = found.after("<").before(">").spread()
    assert said.to_list() == [
        "<null>" if text is None else f'<"{text}">' for text in COLUMNS["few"]
    ]


@pytest.mark.parametrize("few", [0, MANY])
def test_two_lists_of_pieces_become_one(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coded, "_FEW", few)
    rows = coded.of(FRAME)
    first, second = rows.pieces("few"), rows.pieces("hour")
    assert first is not None
    assert second is not None
    both = first.then(second)
    assert both is not None
    apart = zip(first.spread(), second.spread(), strict=True)
    assert both.spread().to_list() == [one + other for one, other in apart]
    assert len(both.texts) <= len(first.texts) * len(second.texts)


def test_pieces_that_hardly_repeat_together_stay_apart() -> None:
    numbers = pl.int_range(MANY, eager=True)
    rows = coded.of(pl.DataFrame({"a": numbers % 101, "b": numbers // 100}))
    first, second = rows.pieces("a"), rows.pieces("b")
    assert first is not None
    assert second is not None
    assert first.then(second) is None


def test_parquet_holds_the_same_rows_with_codes_and_without(tmp_path: Path) -> None:
    plain = FRAME.to_arrow()
    schema = pa.schema(
        field.with_type(pa.dictionary(pa.int32(), field.type))
        if field.name in {"constant", "nothing", "few", "many"}
        else field
        for field in plain.schema
    )
    pq.write_table(coded.of(FRAME).table(schema), tmp_path / "coded", store_schema=False)
    pq.write_table(plain, tmp_path / "plain", store_schema=False)
    left, right = (pl.read_parquet(tmp_path / name) for name in ("coded", "plain"))
    assert left.equals(right)
    assert left.equals(FRAME)


def test_a_segment_has_the_same_bytes_however_its_rows_were_held(tmp_path: Path) -> None:
    whole = frame(1000)
    pieces = [whole.slice(start, 130) for start in range(0, 1000, 130)]
    segment.write(tmp_path / "whole", [whole])
    segment.write(tmp_path / "pieces", [pl.concat(pieces, rechunk=False)])
    segment.write(tmp_path / "many", pieces)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
