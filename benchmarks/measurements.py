"""What is measured: one function each, run in a process of its own by `bench.py`.

Each takes the folder of the run and the number of rows, and returns how many rows went through
and how many seconds the work took, without starting Python and importing. What only a peer needs
is imported where it is measured: starting counts too, for whole processes.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import bill
import company
import polars as pl
import pyarrow.parquet as pq
import report
import tracking
import work

from finops import attribution, charges, ledger, posting, tabular, workloads
from finops.ledger import BatchFacts, Ledger, PartitionFacts, SigningKey
from finops.partition import Partition, Window
from finops.raw import Delivery, RawObject, Scope
from finops.warehouse import Warehouse, open_warehouse
from finops.wording import Lexicon
from providers.aws import Aws

THREADS = 2
BATCH_ROWS = 100_000
ORIGIN = "bench.example/finops"
KEY = SigningKey.from_seed(ORIGIN, bytes(32))
FACTS = BatchFacts("", "0", "bench", None, datetime(2026, 11, 1, tzinfo=UTC))

Measured = tuple[int, float]


def bill_path(folder: Path, rows: int) -> Path:
    return folder / f"bill-{rows}-of-{bill.RESOURCES}.parquet"


def warehouse(folder: Path, rows: int) -> Warehouse:
    return open_warehouse(str(folder / f"warehouse-{rows}"))


def make_bill(folder: Path, rows: int) -> Measured:
    return _timed(lambda: bill.write(bill_path(folder, rows), rows), rows)


def take_charges(folder: Path, rows: int) -> Measured:
    """FOCUS Parquet to charges: normalized, checked, identified, written, and proven."""
    raw = RawObject("ab" * 32, bill_path(folder, rows).stat().st_size, "bill.parquet")
    delivery = Delivery("focus", "bench", Scope(frozenset({"2026-10"})), (raw,))
    given = charges.Bill(raw, pl.scan_parquet(bill_path(folder, rows)))
    return _timed(lambda: charges.write([given], delivery, warehouse(folder, rows)), rows)


def report_path(folder: Path, rows: int) -> Path:
    return folder / f"report-{rows}.csv"


def make_report(folder: Path, rows: int) -> Measured:
    return _timed(lambda: report.write(report_path(folder, rows), rows), rows)


def convert_report(folder: Path, rows: int) -> Measured:
    """A native AWS report to a FOCUS table, as the peer does it."""
    path = report_path(folder, rows)

    def work() -> None:
        given = _report(path)
        batches = charges.stream(given.rows, path.name, batch_rows=BATCH_ROWS, parts=given.parts)
        first = next(batches).to_arrow()
        with pq.ParquetWriter(folder / "focus.parquet", first.schema) as writer:
            writer.write_table(first)
            for batch in batches:
                writer.write_table(batch.to_arrow())

    return _timed(work, rows)


def take_report(folder: Path, rows: int) -> Measured:
    """A native AWS report to charges: also checked, identified, partitioned and proven."""
    given = report_path(folder, rows)
    store = open_warehouse(str(folder / "warehouse-report"))

    def work() -> None:
        bill = _report(given)
        delivery = Delivery("aws", "bench", Scope(frozenset({"2026-10"})), (bill.raw,))
        charges.write([bill], delivery, store)

    return _timed(work, rows)


def _report(path: Path) -> charges.Bill:
    raw = RawObject("cd" * 32, path.stat().st_size, path.name)
    tables = tabular.tables(path, path.name)
    rows = Aws.as_focus(tabular.joined(tables), path.name)
    return charges.Bill(raw, rows, parts=tabular.parts(tables))


def copy_bill(folder: Path, rows: int) -> Measured:
    source, target = pl.scan_parquet(bill_path(folder, rows)), folder / "copy.parquet"
    return _timed(lambda: source.sink_parquet(target), rows)


def copy_charges(folder: Path, rows: int) -> Measured:
    import peers

    source = _charges(folder, rows)
    return _timed(lambda: peers.copy(source, folder / "copy.parquet"), rows)


def attribute(folder: Path, rows: int) -> Measured:
    """Charges to allocations, partition by partition, as the flow does: written and proven."""
    store, organization = warehouse(folder, rows), company.company()
    partitions = charges.partitions(store)

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda each: posting.attribute(store, each, organization), partitions))

    return _timed(work, rows)


def tell_workloads(folder: Path, rows: int) -> Measured:
    """Take in the workloads of the month, cut at midnight."""
    raw = RawObject("ef" * 32, 0, "pods.json")
    window = Window(date(2026, 10, 1), date(2026, 11, 1))
    delivery = Delivery("kubernetes", "pods", Scope(days=window), (raw,))
    told = workloads.Told(raw, work.table())
    store = warehouse(folder, rows)
    return _timed(lambda: workloads.write([told], delivery, store), work.WORKLOADS)


def attribute_to_workloads(folder: Path, rows: int) -> Measured:
    """Do as `attribute` does, with the workloads told."""
    return attribute(folder, rows)


def attribute_without_proof(folder: Path, rows: int) -> Measured:
    """The join and the writing alone, which is what the peers do."""
    store, organization = warehouse(folder, rows), company.company()
    partitions = charges.partitions(store)
    target = folder / "unproven"
    target.mkdir(exist_ok=True)

    def join(partition: Partition) -> None:
        source = charges.read(store, partition)
        numbers, words = attribution.allocated(source, organization, partition)
        with posting.open_parquet(target / f"{partition.day}.parquet") as writer:
            writer.write_table(Lexicon.of(words).table(numbers, writer.schema))

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(join, partitions))

    return _timed(work, rows)


def attribute_in_duckdb_by_dimension(folder: Path, rows: int) -> Measured:
    import peers

    source, organization = _charges(folder, rows), company.company()
    target = folder / "duckdb.parquet"
    return _timed(lambda: peers.by_dimension(source, target, organization), rows)


def attribute_in_duckdb_by_row(folder: Path, rows: int) -> Measured:
    import peers

    source, organization = _charges(folder, rows), company.company()
    return _timed(lambda: peers.by_row(source, folder / "duckdb.parquet", organization), rows)


def make_entries(folder: Path, rows: int) -> Measured:
    """Write the entries that `append` takes, so that only appending is measured there."""
    store = warehouse(folder, rows)

    def work() -> None:
        for partition in charges.partitions(store, posting.ALLOCATIONS):
            now = pl.read_parquet(store.local(partition.key(posting.ALLOCATIONS)))
            entries = posting.difference(pl.DataFrame(), now)
            path = folder / "entries" / f"{partition.day}.parquet"
            path.parent.mkdir(exist_ok=True)
            entries.write_parquet(path, compression="lz4")

    return _timed(work, rows)


def append(folder: Path, rows: int) -> Measured:
    """One batch with every entry: hashed, written, stored, signed."""
    store = warehouse(folder, rows)
    partitions = charges.partitions(store, posting.ALLOCATIONS)
    book = Ledger(store, ORIGIN, KEY)
    taken = _entries(folder, partitions)
    entries = pl.scan_parquet(folder / "entries/*.parquet").select(pl.len()).collect().item()
    return _timed(lambda: book.append(taken, FACTS), entries)


def verify(folder: Path, rows: int) -> Measured:
    """Everything, down to each row: level 2."""
    store = warehouse(folder, rows)
    begun = time.perf_counter()
    found = ledger.verify(store, level=2)
    seconds = time.perf_counter() - begun
    assert not found.findings, found.findings
    return found.rows, seconds


def track_events(folder: Path, workloads: int) -> Measured:
    """Workloads at the same time in two processes, as fast as they go: events that are found."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        found = tracking.load(Path(place), workloads, 0, 0)
    assert found.found == found.events, f"{found.events - found.found} events are lost"
    return found.events, found.seconds


def _charges(folder: Path, rows: int) -> Path:
    return folder / f"warehouse-{rows}" / "charges"


def _entries(
    folder: Path, partitions: list[Partition]
) -> Iterator[tuple[PartitionFacts, pl.DataFrame]]:
    for partition in partitions:
        yield (
            PartitionFacts(partition, "ab" * 32, ()),
            pl.read_parquet(folder / "entries" / f"{partition.day}.parquet"),
        )


def _timed(work: Callable[[], object], rows: int) -> Measured:
    begun = time.perf_counter()
    work()
    return rows, time.perf_counter() - begun


if __name__ == "__main__":
    name, folder_text, rows_text = sys.argv[1:]
    print(json.dumps(globals()[name](Path(folder_text), int(rows_text))))
