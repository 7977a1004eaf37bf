"""Decimals of more than 38 digits, which Polars has not: bills may use them all the same."""

import json
from decimal import Decimal, localcontext
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops import normalize, tabular
from finops.errors import DataError
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import completed, deliver, kept_charges

NARROW = pa.decimal256(50, 20)


def bill(**columns: pa.Array) -> bytes:
    """Write a Parquet bill with `columns` beside those that FOCUS demands."""
    (first, *_) = columns.values()
    rows = completed("").select(pl.all().repeat_by(len(first)).explode()).to_arrow()
    for name, values in columns.items():
        rows = rows.drop_columns([name]) if name in rows.column_names else rows
        rows = rows.append_column(name, values)
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return bytes(sink.getvalue())


def test_amounts_that_fit_are_read_to_the_last_digit(warehouse: LocalWarehouse) -> None:
    amounts = ["999999999999999.123456789012345678", "-0.000000000000000001", "0", "1500"]
    with localcontext(prec=76):
        cost = pa.array([Decimal(amount) for amount in amounts], NARROW)
    ingested = deliver(warehouse, bill(BilledCost=cost, ListCost=cost))
    assert ingested.rounding == {}
    found = kept_charges(warehouse).get_column("BilledCost").to_list()
    assert sorted(found) == sorted(map(Decimal, amounts))


def test_an_amount_that_does_not_fit_is_named(warehouse: LocalWarehouse) -> None:
    with localcontext(prec=76):
        cost = pa.array([Decimal(1), Decimal(10) ** 25], NARROW)
    with pytest.raises(DataError, match="bill: row 2: BilledCost: '10000000000000000000000000' is"):
        deliver(warehouse, bill(BilledCost=cost))


def test_digits_beyond_the_eighteenth_are_counted_as_rounding(warehouse: LocalWarehouse) -> None:
    cost = pa.array([Decimal("0.12345678901234567891")], NARROW)
    ingested = deliver(warehouse, bill(BilledCost=cost))
    assert ingested.rounding == {"USD": Decimal("-0.00000000000000000009")}


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        (pa.decimal256(60, 4), Decimal("1.5"), "1.5"),
        (pa.list_(pa.decimal256(60, 2)), [Decimal("1.50")], '["1.50"]'),
        (pa.struct([("a", pa.decimal256(60, 2))]), {"a": Decimal("2.25")}, '{"a":"2.25"}'),
    ],
)
def test_a_column_of_the_bills_own_may_have_them_too(
    dtype: pa.DataType, value: object, told: str, tmp_path: Path
) -> None:
    (tmp_path / "bill").write_bytes(bill(x_Own=pa.array([value], dtype)))
    rows = normalize.canonical(tabular.scan(tmp_path / "bill", "bill"), "bill").collect()
    assert json.loads(rows.get_column("x_SourceColumns")[0]) == {"x_Own": told}
