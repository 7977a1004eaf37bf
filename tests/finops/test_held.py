from decimal import Decimal

import polars as pl
import pytest

from finops import held


@pytest.mark.parametrize(
    ("count", "fraction"),
    [("0.142857", (1, 7)), ("0.3333333333", (1, 3)), ("0.7", (7, 10)), ("0.123456", (None, 1))],
)
def test_a_count_means_the_slice_it_is_nearest_to(
    count: str, fraction: tuple[int | None, int]
) -> None:
    frame = pl.DataFrame({"n": [Decimal(count)]}, schema={"n": held.MONEY})
    num, den = fraction
    expected = (
        Decimal(count) * held.UNITS_PER_GPU if num is None else held.UNITS_PER_GPU * num / den
    )
    assert frame.select(held.units(pl.col("n"))).item() == expected
