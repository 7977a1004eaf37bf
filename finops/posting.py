"""Posting: what the ledger says about a partition becomes what is true now.

The difference is new rows, or exact reversals plus new rows; no difference, no batch. Nothing
that was ever recorded is changed.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from finops import attribution, charges, progress, replacement, wording
from finops.attribution import ALLOCATION_SCHEMA, MEASURES
from finops.deciding import Deciding, Kept
from finops.errors import Overtaken, WarehouseError
from finops.holding import Holding
from finops.ledger import ENTRY_SCHEMA, Appended, BatchFacts, Input, Ledger, PartitionFacts
from finops.organization import Organization
from finops.partition import Partition, Window
from finops.splits import Basis
from finops.tabular import said
from finops.warehouse import Warehouse
from finops.wording import Lexicon

ALLOCATIONS = "allocations"
SETTLED = "settled"
_EVIDENCE = {"src", "src_row"}
"""Where a charge was read says nothing about whose it is: a re-delivered row is no new entry."""

_WORDED = [
    name for name, dtype in ALLOCATION_SCHEMA.items() if dtype == pl.String and name != "charge_id"
]
_DISTINCT = {
    "charge_id",
    "src_row",
    "billed_cost",
    "effective_cost",
    "contracted_cost",
    "list_cost",
}
"""Columns in which few values come twice, so that a dictionary would not pay."""

_SLICE_ROWS = 500_000

_TRIES = 5
"""How often a difference is made when other runs keep posting to the same partitions."""

_COMPARED = [name for name in ALLOCATION_SCHEMA if name not in _EVIDENCE]


@dataclass(frozen=True, slots=True)
class Attributed:
    """A partition whose allocations are in the warehouse, proven, and ready to be posted.

    `workloads` names the raw objects of the workloads that explain it, with their sources.
    """

    partition: Partition
    idem: str
    rows: int
    workloads: tuple[tuple[str, str], ...] = ()


def changed(
    warehouse: Warehouse, ledger: Ledger, organization: Organization, window: Window
) -> list[Partition]:
    """List the partitions in `window` that the ledger does not yet say the newest about.

    Finishes open replacements first: nobody attributes a partition in the middle of one.
    """
    replacement.finish(warehouse)
    recorded = ledger.partition_idem()
    head = ledger.head()
    size = 0 if head is None else head.size
    deciding = Deciding(warehouse, organization, Kept(warehouse))
    found = []
    for partition in charges.partitions(warehouse):
        if partition.touches(window):
            idem = deciding.of(partition).idem
            if idem not in {recorded.get(partition), _settled(warehouse, partition, size)}:
                found.append(partition)
    return found


def attribute(warehouse: Warehouse, partition: Partition, organization: Organization) -> Attributed:
    """Write the allocations of one partition; the sums are proven before and after."""
    decided = Deciding(warehouse, organization, Kept(warehouse, is_trusted=True)).of(partition)
    source, workloads = decided.charges, decided.workloads
    held = None if workloads is None else workloads.holding(source)
    with warehouse.workspace() as folder, _room_for(f"the allocations of {partition.path}"):
        path = folder / "part.parquet"
        before = _written(path, source, organization, partition, held, decided.basis)
        warehouse.adopt(partition.key(ALLOCATIONS), path)
    kept = pl.scan_parquet(warehouse.local(partition.key(ALLOCATIONS)), glob=False)
    after = attribution.proven(source, kept, partition.path)
    assert before == after, "what was read back must be what was written"
    rows = kept.select(pl.len()).collect().item()
    progress.advance("attribute", rows)
    raws = () if workloads is None else workloads.raws
    return Attributed(partition, decided.idem, rows, raws)


@contextmanager
def _room_for(what: str) -> Iterator[None]:
    """Say what could not be written when the disk is full; nothing of it is visible then."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WarehouseError(
            f"cannot write {what}: {said(error)}; check the free space and the permissions of the "
            f"warehouse and of the temporary folder, nothing was posted"
        ) from error


def _written(
    path: Path,
    source: pl.LazyFrame,
    organization: Organization,
    partition: Partition,
    held: Holding | None,
    basis: Basis,
) -> dict[str, Decimal]:
    """Write the allocations of `source` slice by slice; return what they add up to."""
    total: dict[str, Decimal] = {}
    rows = source.select(pl.len()).collect().item()
    with open_parquet(path) as writer:
        for start in range(0, rows, _SLICE_ROWS):
            slice_ = source.slice(start, _SLICE_ROWS).select(
                attribution.columns(organization, held)
            )
            part = slice_.collect(engine="in-memory").lazy()
            numbers, words = attribution.allocated(part, organization, partition, held, basis)
            allocations = wording.whole(numbers, words.select("currency", "share_num", "share_den"))
            sums = attribution.proven(part, allocations.lazy(), partition.path)
            for currency, amount in sums.items():
                total[currency] = total.get(currency, Decimal(0)) + amount
            writer.write_table(Lexicon.of(words).table(numbers, writer.schema))
    return total


def open_parquet(path: Path) -> pq.ParquetWriter:
    """Start a file of allocations, whose bytes depend on its rows alone."""
    return pq.ParquetWriter(
        path,
        wording.worded(ALLOCATION_SCHEMA, _WORDED),
        compression="zstd",
        use_dictionary=[name for name in ALLOCATION_SCHEMA if name not in _DISTINCT],
        column_encoding={"src_row": "DELTA_BINARY_PACKED"},
        write_statistics=["charge_start", "cost_center"],
        store_schema=False,  # it would have readers take text for categories
    )


def post(
    warehouse: Warehouse, ledger: Ledger, attributed: Sequence[Attributed], facts: BatchFacts
) -> Appended | None:
    """Append the difference as one batch; `None` when the ledger already says all of it.

    When another run posts meanwhile the difference is another: it is made again, a few times.
    """
    for _ in range(_TRIES - 1):
        with suppress(Overtaken):
            return _posted(warehouse, ledger, attributed, facts)
    return _posted(warehouse, ledger, attributed, facts)


def _posted(
    warehouse: Warehouse, ledger: Ledger, attributed: Sequence[Attributed], facts: BatchFacts
) -> Appended | None:
    with _room_for("the ledger's next batch"):
        appended = ledger.append(_parts(warehouse, ledger, attributed), facts)
    head = ledger.head()
    for done in attributed:
        settled = {"idem": done.idem, "size": 0 if head is None else head.size}
        warehouse.replace(_settled_key(done.partition), json.dumps(settled).encode())
    return appended


def _settled(warehouse: Warehouse, partition: Partition, size: int) -> str | None:
    """Return the identity last held against the ledger, also when that made no difference.

    It does not count for a ledger shorter than the one it was held against.
    """
    try:
        settled = json.loads(warehouse.read(_settled_key(partition)))
    except KeyError:
        return None
    return str(settled["idem"]) if settled["size"] <= size else None


def _settled_key(partition: Partition) -> str:
    return f"{SETTLED}/{partition.path}.json"


def difference(live: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that turn `live` (the ledger's) into `now` (the allocations).

    Reversals come first, each naming the one entry it takes back, with every measure negated.
    """
    if live.is_empty():
        return _entries(now)
    gone = live.join(now, on=_COMPARED, how="anti", nulls_equal=True).sort("index", "row")
    new = now.join(live, on=_COMPARED, how="anti", nulls_equal=True)
    reversals = gone.with_columns(
        pl.lit("reversal").alias("kind"),
        pl.format("{}/{}", "index", "row").alias("corrects"),
        *(-pl.col(measure) for measure in MEASURES),
    )
    return pl.concat([reversals.select(_entry_names()), _entries(new)])


def _parts(
    warehouse: Warehouse, ledger: Ledger, attributed: Iterable[Attributed]
) -> Iterator[tuple[PartitionFacts, pl.DataFrame]]:
    for done in sorted(attributed, key=lambda one: one.partition):
        # The ledger is asked first: who posted newer allocations had written them before.
        live = ledger.live(done.partition)
        now = pl.read_parquet(warehouse.local(done.partition.key(ALLOCATIONS)), glob=False)
        rows = difference(live, now)
        if not rows.is_empty():
            inputs = _inputs(warehouse, done, now)
            yield PartitionFacts(done.partition, done.idem, inputs), rows


def _inputs(warehouse: Warehouse, done: Attributed, now: pl.DataFrame) -> tuple[Input, ...]:
    """Name the raw objects the partition was made from, with what their receipts say."""
    found: list[Input] = []
    bills = [(digest, done.partition.source) for digest in now.get_column("src").unique().sort()]
    for digest, source in [*bills, *done.workloads]:
        receipts = [
            json.loads(warehouse.read(key))
            for key in warehouse.list(f"raw/{digest}.")
            if key.endswith(".json")
        ]
        found += [
            Input(digest, int(receipt["size_bytes"]), receipt["name"], source)
            for receipt in receipts
        ]
    return tuple(found)


def _entries(allocations: pl.DataFrame) -> pl.DataFrame:
    """Turn allocations into entries, in an order that does not depend on the bill's."""
    return (
        allocations.sort(*("charge_id", "cost_center", "step", "rule", "reason"), nulls_last=True)
        .with_columns(
            pl.lit("allocation").alias("kind"),
            pl.lit(None, pl.String).alias("corrects"),
            pl.lit(None, pl.String).alias("subject"),
        )
        .select(_entry_names())
    )


def _entry_names() -> list[str]:
    return [name for name in ENTRY_SCHEMA if name not in {"v", "row"}]
