"""One FOCUS file: written group by group, read back and proven, and only then put in its place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from finops import checks, focus, wording
from finops.errors import ExportError
from finops.warehouse.local import LocalWarehouse

GROUP_ROWS = 100_000

Sums = dict[str, dict[str, Decimal]]
"""Money by currency, then by cost column."""


@dataclass(slots=True)
class Tally:
    """Rows and the money in them, counted while they go by."""

    rows: int = 0
    sums: Sums = field(default_factory=dict)

    def add(self, rows: int, sums: Sums) -> None:
        """Count more rows."""
        self.rows += rows
        for currency, costs in sums.items():
            known = self.sums.setdefault(currency, dict.fromkeys(focus.COSTS, Decimal(0)))
            for cost, amount in costs.items():
                known[cost] += amount


def publish(
    folder: Path, name: str, empty: pl.DataFrame, batches: Iterable[pl.DataFrame], held: Tally
) -> Path:
    """Write `batches`, with the columns of `empty`, to the file `name` in `folder`.

    `held` is what there was to write, complete once all batches were taken. The file appears
    whole, over an older one. Raises `ExportError` when it cannot be written or does not add up.
    """
    target = LocalWarehouse(folder)
    with target.workspace() as place:
        unfinished = place / name
        try:
            _write(unfinished, batches, empty)
        except OSError as error:
            raise ExportError(
                f"cannot write {folder / name}: {error.strerror or error}; free some space or "
                f"check the permissions, nothing was changed"
            ) from error
        _prove(unfinished, held)
        target.adopt(name, unfinished)
    return folder / name


def counted(rows: pl.LazyFrame) -> tuple[int, Sums]:
    """Count rows and add up their costs by currency."""
    currency = pl.col("BillingCurrency").fill_null(checks.NO_CURRENCY)
    sums = rows.group_by(currency).agg(pl.len(), pl.col(focus.COSTS).sum()).collect()
    return int(sums.get_column("len").sum()), {
        code: dict(zip(focus.COSTS, map(Decimal, costs), strict=True))
        for code, _, *costs in sorted(sums.iter_rows())
    }


def _grouped(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Cut batches anew, so that row groups depend on the rows alone."""
    held: list[pl.DataFrame] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= GROUP_ROWS:
            *full, rest = pl.concat(held).iter_slices(GROUP_ROWS)
            if len(rest) == GROUP_ROWS:
                full, rest = [*full, rest], rest.clear()
            yield from full
            held = [rest]
    last = pl.concat(held) if held else pl.DataFrame()
    if not last.is_empty():
        yield last


def _write(path: Path, batches: Iterable[pl.DataFrame], empty: pl.DataFrame) -> None:
    schema = empty.to_arrow(compat_level=wording.PLAIN).schema
    # Without Arrow's own schema the file is plain Parquet: text is text, times are UTC.
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
        for group in _grouped(batches):
            writer.write_table(group.rechunk().to_arrow(compat_level=wording.PLAIN))


def _prove(path: Path, held: Tally) -> None:
    """Read back what was written and hold it against what there was to write."""
    written = Tally()
    written.add(*counted(pl.scan_parquet(path, glob=False)))
    if (written.rows, written.sums) != (held.rows, held.sums):
        raise ExportError(
            f"the export adds up to {written.sums} in {written.rows} rows, the warehouse to "
            f"{held.sums} in {held.rows}; charges may have been replaced meanwhile: run it again"
        )
