"""Handing allocations on as FOCUS: what the ledger says of a billing month, in one Parquet file.

The ledger is read at one checkpoint, partition by partition, and every entry that counts becomes a
row of its charge: `finops.focus_split` says how.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from finops import (
    charges,
    focus,
    focus_export,
    focus_file,
    focus_split,
    holders,
    replacement,
    virtual_tags,
)
from finops.attribution import MEASURES
from finops.charges import CHARGES, QUARANTINE
from finops.errors import ExportError
from finops.focus_file import GROUP_ROWS, Sums, Tally
from finops.focus_split import ROW
from finops.ledger import ENTRY_SCHEMA, Checkpoint, Ledger, live
from finops.organization import Organization
from finops.partition import Partition, parse_period
from finops.tabular import said
from finops.warehouse import Warehouse
from finops.workloads import Shelf

_METHOD, _CHECKPOINT = "AllocatedMethodId", "x_LedgerCheckpoint"
_NO_ENTRIES = {"index": pl.Int64(), **ENTRY_SCHEMA}
_COSTS = {MEASURES[name]: name for name in MEASURES if MEASURES[name] in focus.COSTS}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, at which checkpoint, and what is in quarantine and so not part of it.

    `split` charges became `parts` of the rows; each of the others is one row.
    """

    path: Path
    version: str
    period: str
    checkpoint: Checkpoint
    rows: int
    split: int
    parts: int
    sums: Sums
    quarantined_rows: int
    quarantined: charges.Totals


def columns(version: str) -> list[str]:
    """List the columns of an export of allocations: those of charges, then the ledger's.

    Raises `ConfigError` for a version that is not written.
    """
    return [*focus_export.columns(version), *(column.name for column in focus.ALLOCATED)]


def write(  # noqa: PLR0913, PLR0917 - what, by whom, where to, and who is told
    warehouse: Warehouse,
    ledger: Ledger,
    organization: Organization,
    period: str,
    version: str,
    folder: Path,
    sources: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write what the ledger says of billing month `period` to one file in `folder`.

    All `sources` when none. Equal entries and charges at an equal checkpoint give equal bytes; the
    file appears whole, over an older one. Raises `ConfigError` for a month, version or source that
    is none, `ExportError` when the ledger has nothing of it, is behind the warehouse, or the file
    cannot be written.
    """
    names = columns(version)
    names += [virtual_tags.COLUMN] if organization.virtual_tags else []
    parse_period(period)
    head = ledger.head()
    if head is None:
        raise ExportError("the ledger is empty; `finops run --from … --to …` fills it")
    replacement.finish(warehouse)
    there = [one for one in charges.partitions(warehouse) if one.period == period]
    posted = [one for one in ledger.partition_idem() if one.period == period]
    if not there and not posted:
        raise ExportError(
            f"the ledger has nothing of {period}; `finops run --from … --to …` brings a month in"
        )
    focus_export.demand_known([*there, *posted], sources)

    def is_chosen(partition: Partition) -> bool:
        return partition.period == period and (not sources or partition.source in sources)

    reading = _Reading(warehouse, organization, names, head, progress)
    batches = reading.batches(ledger.histories(head.size, is_chosen), filter(is_chosen, there))
    empty, name = focus_export.empty(names), _file_name(period, version, sources)
    path = focus_file.publish(folder, name, empty, batches, reading.held)
    aside = filter(is_chosen, charges.partitions(warehouse, QUARANTINE))
    return Exported(
        path,
        version,
        period,
        head,
        reading.held.rows,
        reading.split,
        reading.parts,
        reading.held.sums,
        *focus_export.quarantined(warehouse, aside),
    )


def _file_name(period: str, version: str, sources: Sequence[str]) -> str:
    parts = [f"focus-{version}", "allocated", period, *sorted(set(sources))]
    return f"{'_'.join(parts)}.parquet"


@dataclass(slots=True)
class _Reading:
    """What is read, for whom, and what was found so far."""

    warehouse: Warehouse
    organization: Organization
    names: Sequence[str]
    head: Checkpoint
    progress: Callable[[int], None]
    held: Tally = field(default_factory=Tally)
    split: int = 0
    parts: int = 0

    def batches(
        self, histories: Iterable[tuple[Partition, pl.DataFrame]], there: Iterable[Partition]
    ) -> Iterator[pl.DataFrame]:
        """Give the rows of all partitions: those of the ledger, and those that should be in it."""
        shelf = Shelf(self.warehouse)
        unseen = set(there)
        for partition, history in histories:
            unseen.discard(partition)
            yield from self._rows(partition, history, shelf)
        for partition in sorted(unseen):
            yield from self._rows(partition, pl.DataFrame(schema=_NO_ENTRIES), shelf)

    def _rows(
        self, partition: Partition, history: pl.DataFrame, shelf: Shelf
    ) -> Iterator[pl.DataFrame]:
        """Give the rows of a partition: what no later entry took back."""
        try:
            source = charges.read(self.warehouse, partition)
        except KeyError:
            source = pl.LazyFrame(schema=focus.SCHEMA)
        entries = live(history)
        self._count(entries)
        try:
            held = holders.holding_of(entries, source, shelf)
            parts = focus_split.told(entries, source, held, self.organization, partition.path)
            yield from self._made(partition, source, parts)
        except pl.exceptions.PolarsError as error:
            raise ExportError(
                f"{partition.key(CHARGES)}: cannot be read ({said(error)}); bring these charges "
                f"in again, nothing was exported"
            ) from None

    def _count(self, entries: pl.DataFrame) -> None:
        """Count the money that the ledger has in the month."""
        _, sums = focus_file.counted(
            entries.lazy().select(
                pl.col("currency").alias("BillingCurrency"),
                *(pl.col(name).alias(cost) for cost, name in _COSTS.items()),
            )
        )
        self.held.add(0, sums)

    def _made(
        self, partition: Partition, source: pl.LazyFrame, parts: pl.DataFrame
    ) -> Iterator[pl.DataFrame]:
        """Bring charges and their parts together, a few rows at a time."""
        first = 0
        split = parts.filter(pl.col(_METHOD).is_not_null()).get_column(ROW)
        self.split += split.n_unique()
        self.parts += len(split)
        self.held.add(len(parts), {})
        for batch in focus_export.batches(source):
            tagged = batch
            if self.organization.virtual_tags:
                tagged = virtual_tags.tagged(batch, self.organization, partition)
            ends = pl.Series([first, first + len(batch)], dtype=pl.UInt32)
            begin, end = parts.get_column(ROW).search_sorted(ends, side="left")
            for piece in parts[begin:end].iter_slices(GROUP_ROWS):
                made = focus_split.rows(tagged, piece.with_columns(pl.col(ROW) - first))
                head = pl.lit(f"{self.head.size} {self.head.root}").alias(_CHECKPOINT)
                with_head = made.lazy().with_columns(head)
                yield focus_export.lifted(with_head, self.names).collect()
            first += len(batch)
            self.progress(len(batch))
