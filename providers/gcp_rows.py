"""Kept billing rows as flat tables: from our queries, or from files exported to Cloud Storage.

Our queries keep every cell as text. Parquet that BigQuery exported has types, structs and lists;
newline-delimited JSON has nested objects. All become the same: structs of the detailed export are
columns (`service.id` is `service_id`), lists are JSON text.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from finops import tabular
from finops.errors import DataError
from providers.gcp_queries import Kind, kind_of

SUFFIXES = (".parquet", ".json", ".jsonl", ".ndjson")
_DETAILED_STRUCTS = (
    "adjustment_info",
    "consumption_model",
    "invoice",
    "location",
    "price",
    "project",
    "resource",
    "service",
    "sku",
    "subscription",
    "usage",
)
_TIMES = (
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "export_time",
    "usage_end_time",
    "usage_start_time",
    "x_ExportTime",
)
_FLAT_ROOTS = {"invoice_month": "invoice"}
_WRAPPED = "json"
_ESCAPE = r"\u"
_PARQUET = b"PAR1"


def scan(path: Path, name: str) -> tuple[pl.LazyFrame, Kind]:
    """Open kept rows, and tell which export they are of; `name` is what messages call them.

    Raises `DataError` for a file that is neither Parquet nor JSON lines, or of no billing export.
    """
    with path.open("rb") as file:
        is_parquet = file.read(4) == _PARQUET
    rows = tabular.scan(path, name) if is_parquet else _json_lines(path, name)
    names = rows.collect_schema().names()
    kind = kind_of([_FLAT_ROOTS.get(column, column) for column in names], name)
    flat = _flat(rows, kind)
    return (_timed(flat) if is_parquet else flat), kind


def _timed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Read times that BigQuery sent as microseconds since 1970."""
    schema = rows.collect_schema()
    counted = [name for name in _TIMES if schema.get(name) == pl.String]
    return rows.with_columns(
        pl.from_epoch(pl.col(name).cast(pl.Int64, strict=False), "us").dt.replace_time_zone("UTC")
        for name in counted
    )


def _flat(rows: pl.LazyFrame, kind: Kind) -> pl.LazyFrame:
    """Make columns of the detailed export's structs, and JSON text of everything else nested."""
    flat: list[pl.Expr] = []
    for name, dtype in rows.collect_schema().items():
        if isinstance(dtype, pl.Struct) and kind is Kind.DETAILED and name in _DETAILED_STRUCTS:
            flat += [
                _plain(pl.col(name).struct.field(part.name), part.dtype).alias(
                    f"{name}_{part.name}"
                )
                for part in dtype.fields
            ]
        else:
            flat.append(_plain(pl.col(name), dtype).alias(name))
    return rows.select(flat)


def _plain(column: pl.Expr, dtype: Any) -> pl.Expr:
    if isinstance(dtype, pl.Struct):
        text = column.struct.json_encode()
    elif isinstance(dtype, pl.List | pl.Array):
        wrapped = pl.struct(column.alias(_WRAPPED)).struct.json_encode()
        text = wrapped.str.strip_prefix(f'{{"{_WRAPPED}":').str.strip_suffix("}")
    else:
        return column
    return pl.when(column.is_not_null()).then(text)


def _json_lines(path: Path, name: str) -> pl.LazyFrame:
    """Read JSON lines, numbers by their text: BigQuery's own export, or saved pages of rows."""
    rows = [dict(_cells(row)) for row in _lines(path, name)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        raise DataError(f"{name}: holds no rows; save them again, one JSON object a line")
    return pl.LazyFrame(rows, schema=dict.fromkeys(columns, pl.String))


def _lines(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                text = line.decode("utf-8-sig")
                row = json.loads(text, parse_float=_Number, parse_int=_Number)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise DataError(
                    f"{name}: line {number} is no JSON object; save one row a line, as "
                    f"bq query --format=json or EXPORT DATA with format JSON do"
                )
            if _ESCAPE in text and not _is_text(row):
                raise DataError(
                    f"{name}: line {number} holds half of a surrogate pair (such as \\ud83d), which "
                    f"is no text; export the rows again, or correct the label at the source"
                )
            yield row


def _is_text(row: Mapping[str, Any]) -> bool:
    """Tell whether everything in `row` can be written as UTF-8."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _cells(row: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for name, value in row.items():
        if isinstance(value, dict) and name in _DETAILED_STRUCTS:
            yield from ((f"{name}_{part}", _text(inner)) for part, inner in value.items())
        else:
            yield name, _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
