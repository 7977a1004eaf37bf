"""Decimals of more than 38 digits: Polars has none, so that they come as text, digit by digit."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from finops import money


def is_wide(dtype: object) -> bool:
    """Tell whether a column of this type holds decimals that Polars cannot read."""
    match dtype:
        case pl.Struct():
            return any(is_wide(field.dtype) for field in dtype.fields)
        case pl.Map():
            return is_wide(dtype.key) or is_wide(dtype.value)
        case pl.List() | pl.Array():
            return is_wide(dtype.inner)
        case pl.Decimal():
            return dtype.precision is not None and dtype.precision > money.PRECISION
    return False


def tell(path: Path, to: Path) -> None:
    """Copy a Parquet file, its wide decimals as text; raises what pyarrow raises on damage."""
    with pq.ParquetFile(path) as source:
        schema = pa.schema(_retyped(field) for field in source.schema_arrow)
        with pq.ParquetWriter(to, schema, compression="lz4") as writer:
            for batch in source.iter_batches():
                columns = [
                    _told(column, field.type) for column, field in zip(batch, schema, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _told(column: pa.Array, dtype: pa.DataType) -> pa.Array:
    if not pa.types.is_decimal256(column.type):
        return column if column.type == dtype else column.cast(dtype)
    text = column.cast(dtype)
    # Zeros at the end say nothing, and would pass for digits that 18 decimals cannot hold.
    plain = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
    is_fraction = pc.and_(pc.match_substring(text, "."), pc.invert(pc.match_substring(text, "E")))
    return pc.if_else(is_fraction, plain, text)


def _retyped(field: pa.Field) -> pa.Field:
    return field.with_type(_narrow(field.type))


def _narrow(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal256(dtype):
        return pa.string()
    if pa.types.is_struct(dtype):
        return pa.struct([_retyped(field) for field in dtype])
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return pa.list_(_retyped(dtype.value_field))
    if pa.types.is_map(dtype):
        return pa.map_(_narrow(dtype.key_type), _narrow(dtype.item_type))
    return dtype
