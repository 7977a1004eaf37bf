import polars as pl
import pytest

from finops import piecewise
from finops.csv_parts import Piece
from finops.normalize import ROW


def piece(height: int, *numbers: int) -> Piece:
    return Piece(pl.DataFrame({ROW: numbers}, schema={ROW: pl.Int64}), height)


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_rows_are_numbered_through_and_derived_ones_come_last(batch_rows: int) -> None:
    # The third piece derives a row of its last one alone, and the fourth has nothing left.
    pieces = [piece(3, 0, 1, 2, 1), piece(2, 0, 1), piece(2, 0, 1, 1), piece(2), piece(1, 0, 0)]
    batches = list(piecewise.joined(pieces, batch_rows))
    assert {len(batch) for batch in batches[:-1]} <= {batch_rows}
    numbers = pl.concat(batches).get_column(ROW).to_list()
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 9, 1, 6, 9]


def test_a_bill_without_rows_gives_no_batch() -> None:
    assert list(piecewise.joined([piece(0), piece(4)], 10)) == []
