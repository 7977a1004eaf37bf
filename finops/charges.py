"""Charges: a delivered bill becomes one Parquet file per partition, or nothing changes.

Rows stream through in batches, so memory does not grow with the bill. Every row ends up in
`charges/` or, with a reason, in `quarantine/`; what was written is read back and must add up to
what was read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import polars as pl

from finops import (
    batches,
    checks,
    focus,
    money,
    normalize,
    piecewise,
    reconciliation,
    replacement,
    wording,
)
from finops.csv_parts import CsvParts
from finops.errors import DataError, FinopsError, Issue, Severity, WarehouseError
from finops.partition import Partition
from finops.partition_files import CHARGES, QUARANTINE, PartitionFiles, open_parquet
from finops.raw import Delivery, RawObject
from finops.reconciliation import Reconciled, Seen
from finops.tabular import said
from finops.warehouse import Warehouse

__all__ = ["CHARGES", "QUARANTINE", "Bill", "Ingested", "billed", "partitions", "read", "write"]

_MONEY = ["BillingCurrency", "BilledCost"]
_BATCH_ROWS = 500_000
_CHUNK_ROWS = 16_000
"""What Polars passes on at a time: of rows as wide as these its own choice queues up gigabytes."""


Progress = Callable[[int], None]
"""Called with the number of rows that went through since the last call."""

Totals = dict[str, Decimal]
"""Money by currency."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Rows read from one raw object, as columns of FOCUS 1.0 to 1.4 and `x_` columns.

    Text, decimal, float, datetime and map columns are all welcome: `finops.normalize` brings them
    to the canonical types. `x_RawRow`, when absent, becomes the row's 0-based place in `rows`.
    `issues` is what the user should know of what was read beside these rows. `parts` says that
    each row of `rows` was made of one row of that table, so that its parts can be taken one by
    one; rows derived beside them come below all others.
    """

    raw: RawObject
    rows: pl.LazyFrame
    issues: tuple[Issue, ...] = ()
    parts: CsvParts | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one delivery brought: rows, money by currency, and what was wrong with it."""

    provider: str
    source: str
    rows: int
    quarantined_rows: int
    outside_rows: int
    billed: Totals
    quarantined: Totals
    rounding: Totals
    reconciled: tuple[Reconciled, ...]
    partitions: tuple[Partition, ...]
    issues: tuple[Issue, ...]


@dataclass(slots=True)
class _Tally:
    """What is counted while rows go by."""

    rows: int = 0
    outside_rows: int = 0
    quarantined_rows: int = 0
    billed: Totals = field(default_factory=dict)
    outside_billed: Totals = field(default_factory=dict)
    rounding: Totals = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    broken: dict[tuple[str, str], int] = field(default_factory=dict)
    blank: dict[str, int] = field(default_factory=dict)
    told: list[Issue] = field(default_factory=list)


def write(
    bills: Iterable[Bill],
    delivery: Delivery,
    warehouse: Warehouse,
    progress: Progress = lambda _: None,
) -> Ingested:
    """Replace the partitions that `delivery` speaks for by the rows of its `bills`.

    Raises `DataError` for a bill that cannot be taken; nothing has changed then.
    """
    tally = _Tally()
    with warehouse.workspace() as folder:
        growing = PartitionFiles(folder, delivery)
        try:
            for bill in bills:
                _take(bill, delivery, growing, tally, progress)
            files = growing.finished()
        except OSError as error:
            raise WarehouseError(
                f"cannot write below {folder}: {error.strerror or error}; "
                f"free some space or check the permissions, nothing was changed"
            ) from error
        finally:
            growing.abandon()
        quarantined = _proven(files, tally, delivery.source)
        return _published(files, delivery, warehouse, tally, quarantined)


def read(warehouse: Warehouse, partition: Partition) -> pl.LazyFrame:
    """Open the charges of one partition; raises `KeyError` when there are none."""
    return pl.scan_parquet(warehouse.local(partition.key(CHARGES)), glob=False)


def partitions(warehouse: Warehouse, table: str = CHARGES) -> list[Partition]:
    """List the partitions of a table, in order."""
    found = (Partition.from_key(key) for key in warehouse.list(f"{table}/"))
    return sorted(partition for partition in found if partition is not None)


def _take(
    bill: Bill, delivery: Delivery, files: PartitionFiles, tally: _Tally, progress: Progress
) -> None:
    tally.told += bill.issues
    for batch in stream(bill.rows, bill.raw.name, parts=bill.parts):
        _take_batch(batch, bill.raw, delivery, files, tally)
        progress(len(batch))


def _see(tally: _Tally, raw: RawObject, rows: int, amounts: Totals) -> None:
    """Count what a raw object holds, asked for or not: its provider's totals do so too."""
    before = tally.seen.get(raw.sha256, Seen(0, {}))
    billed_so_far = dict(before.billed)
    _add(billed_so_far, amounts)
    tally.seen[raw.sha256] = Seen(before.rows + rows, billed_so_far)


def stream(
    rows: pl.LazyFrame,
    name: str,
    carried: Sequence[str] = (),
    batch_rows: int = _BATCH_ROWS,
    parts: CsvParts | None = None,
) -> Iterator[pl.DataFrame]:
    """Read a bill in normalized batches; a bill that breaks off raises `DataError`.

    See `normalize.canonical` for what the batches hold, and `Bill` for `parts`.
    """
    pl.Config.set_streaming_chunk_size(_CHUNK_ROWS)
    query = normalize.canonical(rows, name, carried)
    with reading(name):
        if parts is not None:
            yield from piecewise.joined(parts.each(query), batch_rows)
            return
        yield from query.collect_batches(
            chunk_size=batch_rows, maintain_order=True, engine="streaming"
        )


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say of a bill that breaks off while its rows are read what to do, as a `DataError`."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"{name}: cannot be read to its end ({said(error)}); fetch it again"
        ) from None


def _take_batch(
    batch: pl.DataFrame, raw: RawObject, delivery: Delivery, files: PartitionFiles, tally: _Tally
) -> None:
    height, batch = len(batch), batches.without_blank(batch)
    if len(batch) < height:
        tally.blank[raw.name] = tally.blank.get(raw.name, 0) + height - len(batch)
    fatal = [*batches.unreadable(batch, raw.name), *checks.fatal_issues(batch, raw.name)]
    if fatal:
        raise DataError.of(fatal)
    rows = batches.located(batch)
    is_inside = rows.select(batches.in_scope(delivery.scope)).to_series()
    inside = rows if is_inside.all() else rows.filter(is_inside)
    if len(inside) < len(rows):
        outside = rows.filter(~is_inside)
        amounts = billed(outside)
        tally.outside_rows += len(outside)
        _add(tally.outside_billed, amounts)
        _see(tally, raw, len(outside), amounts)
    if inside.is_empty():
        return
    _add(tally.rounding, batches.rounding(inside))
    numbers, words = _judged(*batches.apart(inside), delivery.provider, raw, tally)
    words = words.with_columns(pl.lit(raw.sha256).alias("x_RawId"))
    files.append(batches.identified(numbers, words), words)


def _judged(
    numbers: pl.DataFrame, words: pl.DataFrame, provider: str, raw: RawObject, tally: _Tally
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tidy the words and count what is there; rows to set aside get their reason."""
    words, untidy = batches.tidied(words)
    rows = wording.whole(numbers, words)
    broken = {**checks.counts(rows), **untidy, **batches.uncataloged(words, provider)}
    for check, count in broken.items():
        tally.broken[raw.name, check] = tally.broken.get((raw.name, check), 0) + count
    amounts = billed(rows)
    tally.rows += len(rows)
    _add(tally.billed, amounts)
    _see(tally, raw, len(rows), amounts)
    if any(map(checks.quarantines, broken)):
        numbers = numbers.hstack(rows.select(checks.reasons().alias(checks.REASON)))
    return numbers, words


def billed(rows: pl.DataFrame) -> Totals:
    """Add up BilledCost by currency; rows that name no currency count as XXX."""
    currency = pl.col("BillingCurrency").fill_null(checks.NO_CURRENCY)
    sums = rows.group_by(currency.alias("currency")).agg(pl.col("BilledCost").sum())
    return {code: Decimal(amount) for code, amount in sorted(sums.iter_rows())}


def _add(into: Totals, more: Mapping[str, Decimal]) -> None:
    for currency, amount in more.items():
        into[currency] = into.get(currency, Decimal(0)) + amount


def _proven(files: Mapping[str, Path], tally: _Tally, source: str) -> Totals:
    """Read back what was written and hold it against what was read; return what is set aside."""
    written: Totals = {}
    quarantined: Totals = {}
    rows = 0
    for key, path in files.items():
        table = pl.read_parquet(path, columns=_MONEY, glob=False)
        rows += len(table)
        _add(written, billed(table))
        if key.startswith(f"{QUARANTINE}/"):
            tally.quarantined_rows += len(table)
            _add(quarantined, billed(table))
    if rows != tally.rows or written != tally.billed:
        raise FinopsError(
            f"{source}: {tally.rows} rows worth {tally.billed} were read but {rows} rows worth "
            f"{written} were written; nothing was published, please report this with the bill"
        )
    return quarantined


def _published(
    files: dict[str, Path],
    delivery: Delivery,
    warehouse: Warehouse,
    tally: _Tally,
    quarantined: Totals,
) -> Ingested:
    stale = [
        key
        for table in (CHARGES, QUARANTINE)
        for key in warehouse.list(f"{table}/provider={delivery.provider}/source={delivery.source}/")
        if key not in files and _in_scope(key, delivery)
    ]
    if not delivery.is_empty_for_sure:
        _demand_nothing_lost(files, stale, delivery, warehouse)
    with warehouse.workspace() as folder:
        for place, key in enumerate(stale):
            if key.startswith(f"{CHARGES}/"):
                # A day that vanished from a re-delivered bill becomes empty, not stale.
                files[key] = folder / f"{place}.parquet"
                open_parquet(files[key], focus.SCHEMA).close()
        gone = [key for key in stale if key.startswith(f"{QUARANTINE}/")]
        replacement.replace_all(warehouse, delivery.source, files, gone)
    reconciled = tuple(reconciliation.reconcile(delivery.stated, tally.seen))
    touched = {Partition.from_key(key) for key in files}
    return Ingested(
        provider=delivery.provider,
        source=delivery.source,
        rows=tally.rows,
        quarantined_rows=tally.quarantined_rows,
        outside_rows=tally.outside_rows,
        billed=tally.billed,
        quarantined=quarantined,
        rounding={code: amount for code, amount in tally.rounding.items() if amount},
        reconciled=reconciled,
        partitions=tuple(sorted(partition for partition in touched if partition is not None)),
        issues=(
            *delivery.issues,
            *tally.told,
            *_issues(delivery, tally),
            *reconciliation.issues(reconciled, delivery.source),
        ),
    )


def _demand_nothing_lost(
    files: Iterable[str], stale: Sequence[str], delivery: Delivery, warehouse: Warehouse
) -> None:
    """Refuse a month without rows where there were some: that is what a failed export is.

    A day may lose its rows while others of its month have some: that is a restatement.
    """
    told = {_period(key) for key in files}
    for period in sorted({_period(key) for key in stale} - told):
        lost: Totals = {}
        for key in stale:
            if _period(key) == period:
                kept = pl.read_parquet(warehouse.local(key), columns=_MONEY, glob=False)
                _add(lost, billed(kept))
        if lost:
            said = ", ".join(f"{money.text(sum_)} {currency}" for currency, sum_ in lost.items())
            raise DataError(
                f"{delivery.source}: the bill holds no rows of {period}, although {said} were "
                f"billed before; export it again (nothing was taken back)"
            )


def _period(key: str) -> str:
    partition = Partition.from_key(key)
    assert partition is not None, f"{key} is a partition's"
    return partition.period


def _in_scope(key: str, delivery: Delivery) -> bool:
    partition = Partition.from_key(key)
    return partition is not None and delivery.scope.covers(partition)


def _issues(delivery: Delivery, tally: _Tally) -> Iterable[Issue]:
    for (name, check), count in sorted(tally.broken.items()):
        yield checks.issue(check, count, name)
    for name, count in sorted(tally.blank.items()):
        rows = (
            "1 row in which every cell is empty was"
            if count == 1
            else (f"{count} rows in which every cell is empty were")
        )
        yield Issue(name, f"{rows} left out", Severity.INFO)
    if not (tally.rows or tally.outside_rows or delivery.is_empty_for_sure):
        yield Issue(
            delivery.source,
            "the bill holds no rows; export it again if there should be some",
            Severity.WARNING,
        )
    if tally.outside_rows:
        is_one = tally.outside_rows == 1
        # Days are cut out of what is sent; whole months should hold all that is sent for them.
        is_whole = delivery.scope.days is None
        yield Issue(
            delivery.source,
            f"{tally.outside_rows} {'row' if is_one else 'rows'} worth "
            f"{money.by_currency(tally.outside_billed)} {'lies' if is_one else 'lie'} outside the "
            f"dates asked for and {'was' if is_one else 'were'} left alone",
            Severity.WARNING if is_whole else Severity.INFO,
        )
    for currency, amount in sorted(tally.rounding.items()):
        if amount:
            yield Issue(
                delivery.source,
                f"{money.text(amount)} {currency} is finer than 18 decimals and was rounded away",
                Severity.INFO,
            )
