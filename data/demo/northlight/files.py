"""Writing the bills in the formats that the providers use.

Text is written the same everywhere. A gzip or Parquet file holds the same content, though its
bytes may differ between versions of the libraries that pack it.
"""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from northlight.line import Cells

_NUMBERS = frozenset(
    {
        "BilledCost",
        "CommitmentDiscountQuantity",
        "ConsumedQuantity",
        "ContractedCost",
        "ContractedUnitPrice",
        "EffectiveCost",
        "ListCost",
        "ListUnitPrice",
        "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
        "PricingQuantity",
        "x_GpuHours",
    }
)


def text(path: Path, content: str) -> None:
    """Write UTF-8 text, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


def pretty_json(path: Path, document: Mapping[str, object]) -> None:
    """Write JSON that a person can read."""
    text(path, json.dumps(document, indent=2) + "\n")


def csv_text(columns: Sequence[str], rows: Sequence[Cells], times: str) -> str:
    """Write CSV with a header; `times` is the format of times."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(row.get(name), times) for name in columns] for row in rows)
    return out.getvalue()


def gzipped(path: Path, content: str) -> None:
    """Write gzip without file name and time, which would differ from run to run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(content.encode())


def parquet(path: Path, schema: pa.Schema, rows: Sequence[Cells]) -> None:
    """Write rows as they are, in the types of `schema`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path, compression="snappy")


def aws_parquet(path: Path, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    """Write as AWS does: doubles, millisecond timestamps without zone, tags as a MAP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: _array(name, [row.get(name) for row in rows]) for name in columns}
    pq.write_table(pa.table(arrays), path, compression="snappy")


def _array(name: str, cells: Sequence[object]) -> pa.Array:
    if any(isinstance(cell, Mapping) for cell in cells):
        pairs = [list(cell.items()) if isinstance(cell, Mapping) else None for cell in cells]
        return pa.array(pairs, pa.map_(pa.string(), pa.string()))
    if name in _NUMBERS:
        return pa.array([None if cell is None else float(str(cell)) for cell in cells], pa.float64())
    if any(isinstance(cell, datetime) for cell in cells):
        return pa.array(cells, pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms"))
    return pa.array(cells, pa.string())


def _written(cell: object, times: str) -> str:
    match cell:
        case None:
            return ""
        case datetime():
            return cell.strftime(times)
        case Decimal():
            plain = format(cell, "f")
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
        case _:
            return str(cell)
