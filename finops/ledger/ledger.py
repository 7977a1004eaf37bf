"""The ledger as a caller sees it: append batches, read entries."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from finops.errors import LedgerError, Overtaken
from finops.ledger import canonical, manifest, reversal, schema, segment
from finops.ledger.batch import Appended, BatchFacts, Draft
from finops.ledger.checkpoint import Checkpoint
from finops.ledger.header import Header
from finops.ledger.log import Log, read_many
from finops.ledger.manifest import Line, PartitionFacts
from finops.ledger.note import SigningKey
from finops.partition import Partition
from finops.warehouse import Warehouse

_COMMIT_BYTES = 1 << 18
"""More than a header and a checkpoint take."""
_ENTRY_WITH_INDEX = {"index": pl.Int64(), **schema.ENTRY_SCHEMA}


class Ledger:
    """The ledger of `origin` (such as `acme.example/finops`) in a warehouse.

    Without a `key` it is open for reading. Readers see what a checkpoint covers. Every fault is
    a `LedgerError`, or the warehouse's own `WarehouseError`.
    """

    def __init__(self, warehouse: Warehouse, origin: str, key: SigningKey | None = None) -> None:
        self._warehouse = warehouse
        self._origin = origin
        self._log = Log(warehouse, origin, key)
        self._manifests: dict[str, tuple[Line, ...]] = {}
        self._segments: dict[str, Path] = {}
        # How many batches the caller had seen when it read, in all and of one partition: a
        # partition that got a batch since then must not be appended to on that knowledge.
        self._seen_size: int | None = None
        self._seen: dict[Partition, int] = {}
        self._begun_at = 0

    def head(self) -> Checkpoint | None:
        """Return the latest checkpoint, its signature checked; `None` before the first batch."""
        return self._log.head()

    def batches(self) -> list[Header]:
        """Return all headers below the checkpoint, the chain and the signed root checked."""
        return self._log.sealed()

    def seal(self) -> Checkpoint | None:
        """Sign what is committed but not signed; returns the latest checkpoint, if any."""
        return self._log.seal()

    def partition_idem(self) -> dict[Partition, str]:
        """Return the newest `idem` of every partition in the ledger."""
        headers = self.batches()
        self._seen_size, self._seen = len(headers), {}
        return {line.facts.partition: line.facts.idem for _, line in self._lines(headers)}

    def live(self, partition: Partition) -> pl.DataFrame:
        """Return the partition's allocations that are not reversed: entry columns and `index`."""
        headers = self.batches()
        self._seen[partition] = len(headers)
        return self._live_in(headers, partition)

    def histories(
        self, size: int, chosen: Callable[[Partition], bool]
    ) -> Iterator[tuple[Partition, pl.DataFrame]]:
        """Yield each chosen partition with its entries of the first `size` batches, in order.

        Reversals too; entry columns and `index`. One partition is read at a time.
        """
        places: dict[Partition, list[tuple[Header, Line]]] = {}
        for each, line in self._lines(self.batches()[:size]):
            if chosen(line.facts.partition):
                places.setdefault(line.facts.partition, []).append((each, line))
        for partition in sorted(places):
            yield partition, self._at(places[partition])

    def entries(
        self, *, period: str | None = None, columns: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """Scan every entry, reversals too, in ledger order.

        The columns are those of `ENTRY_SCHEMA` and `index`, or only `columns` of them; the rows
        are only those billed in `period` when given.
        """
        scans = [pl.LazyFrame(schema=_ENTRY_WITH_INDEX)]
        periods: dict[int, set[str]] = {}
        headers = self.batches()
        for each, line in self._lines(headers):
            periods.setdefault(each.index, set()).add(line.facts.partition.period)
        for index, held in periods.items():
            if period is None or period in held:
                scans.append(self._scan(headers[index]))
        found = pl.concat(scans)
        if period is not None:
            found = found.filter(pl.col("period") == period)
        return found if columns is None else found.select(columns)

    def entry(self, ref: str) -> dict[str, object]:
        """Return the entry at `index/row`, such as `42/17`; raises `LedgerError` without one."""
        if not re.fullmatch(schema.REFERENCE, ref):
            raise LedgerError(f"there is no entry {ref!r}; name one as index/row, such as 42/17")
        index, row = map(int, ref.split("/"))
        headers = self.batches()
        if index >= len(headers):
            raise LedgerError(
                f"there is no entry {ref}: the ledger holds {len(headers)} batches, from 0 on; "
                f"`finops ledger log` lists them"
            )
        batch = headers[index]
        if row >= batch.rows:
            held = (
                f"the rows 0 to {batch.rows - 1}" if batch.rows else "no rows: it begins the ledger"
            )
            raise LedgerError(f"there is no entry {ref}: batch {index} holds {held}; name another")
        return self._scan(batch).slice(row, 1).collect().row(0, named=True)

    def append(
        self, parts: Iterable[tuple[PartitionFacts, pl.DataFrame]], facts: BatchFacts
    ) -> Appended | None:
        """Add one batch with the rows of all `parts`, and sign it; `None` without any row.

        Frames hold the columns of `ENTRY_SCHEMA` but `v` and `row`; one frame per partition,
        taken one at a time. What is in the ledger already (same partitions, same `idem`, nothing
        newer) is returned as it is. Raises `LedgerError`, with nothing committed, when a frame
        is wrong or a reversal does not match what it reverses; `Overtaken` when another writer
        added to one of the partitions since this ledger was asked about it.
        """
        self._log.signing_key()
        self._log.seal()
        self._begun_at = len(self._log.committed())
        with self._warehouse.workspace() as folder:
            # Held until the workspace goes: so that there is room for what commits the batch.
            (folder / "reserve").write_bytes(os.urandom(_COMMIT_BYTES))
            draft = self._drafted(folder, parts, facts)
        appended = None if draft is None else self._committed(draft, facts)
        self._seen_size, self._seen = None, {}
        return appended

    def _drafted(
        self,
        folder: Path,
        parts: Iterable[tuple[PartitionFacts, pl.DataFrame]],
        facts: BatchFacts,
    ) -> Draft | None:
        """Write and store everything but the header; `None`, storing nothing, without rows.

        All of it is written to `folder` before the first object is stored: what there is no space
        for leaves nothing behind.
        """
        lines: list[Line] = []
        path = folder / "segment.parquet"
        digest = segment.write(path, self._checked(parts, lines))
        if digest.tree.size == 0:
            return None
        described, rules = manifest.encode(lines), facts.rules_text.encode()
        draft = Draft(
            lines=tuple(lines),
            digest=digest,
            segment=segment.file_digest(path),
            leaves=canonical.digest(bytes(digest.locator)),
            manifest=canonical.digest(described),
            rules=canonical.digest(rules),
        )
        beside = {
            segment.locator_key_of(draft.segment): bytes(digest.locator),
            manifest.key_of(draft.manifest): described,
            manifest.rules_key_of(draft.rules): rules,
        }
        written = {segment.key_of(draft.segment): path}
        for place, (key, content) in enumerate(beside.items()):
            written[key] = folder / f"{place}"
            written[key].write_bytes(content)
        for key, file in written.items():
            if not self._warehouse.exists(key):
                self._warehouse.adopt(key, file)
        return draft

    def _checked(
        self, parts: Iterable[tuple[PartitionFacts, pl.DataFrame]], lines: list[Line]
    ) -> Iterator[pl.DataFrame]:
        """Yield each frame once it is known to be right, and note its place in `lines`."""
        first = 0
        taken: set[Partition] = set()
        for facts, given in parts:
            if facts.partition in taken:
                raise LedgerError(
                    f"partition {facts.partition.path} comes twice in one batch; "
                    f"give all its rows in one frame"
                )
            taken.add(facts.partition)
            frame = schema.ordered(given, facts.partition)
            self._check_reversals(frame, facts.partition)
            lines.append(Line(facts, first, frame.height))
            first += frame.height
            yield frame

    def _check_reversals(self, frame: pl.DataFrame, partition: Partition) -> None:
        given = frame.filter(pl.col("kind") == schema.REVERSAL)
        if given.is_empty():
            return
        headers = self._log.committed()
        for at, words in reversal.faults(given, self._live_in(headers, partition)):
            self._refuse_stale([partition], self._newest(headers))
            raise LedgerError(
                f"entries of {partition.path}: the reversal of {given['corrects'][at]} {words}; "
                f"nothing was written, make reversals from what Ledger.live returns"
            )

    def _committed(self, draft: Draft, facts: BatchFacts) -> Appended:
        """Take the next free place in the log, looking at what others put there on every try."""
        while True:
            headers = self._log.committed()
            if not headers:
                self._log.begin(facts.making)
                continue
            newest = self._newest(headers)
            if (same := draft.same_as(newest)) is not None:
                return Appended(same, self._sealed(), is_new=False)
            self._refuse_stale([line.facts.partition for line in draft.lines], newest)
            if (mine := self._log.commit(draft.header(facts, headers))) is not None:
                return Appended(mine, self._sealed(), is_new=True)

    def _refuse_stale(
        self, partitions: Iterable[Partition], newest: Mapping[Partition, tuple[Header, str]]
    ) -> None:
        """Raise `Overtaken` when a partition got a batch since the caller looked at it."""
        for partition in partitions:
            default = self._begun_at if self._seen_size is None else self._seen_size
            seen = self._seen.get(partition, default)
            if partition in newest and newest[partition][0].index >= seen:
                raise Overtaken(
                    f"another run posted meanwhile: batch {newest[partition][0].index} changed "
                    f"{partition.path}; nothing was committed, run again"
                )

    def _newest(self, headers: Sequence[Header]) -> dict[Partition, tuple[Header, str]]:
        """Return the last batch that speaks of each partition, with its `idem` there."""
        return {
            line.facts.partition: (each, line.facts.idem) for each, line in self._lines(headers)
        }

    def _sealed(self) -> Checkpoint:
        head = self._log.seal()
        assert head is not None, "a ledger with a header has a checkpoint once it is sealed"
        return head

    def _live_in(self, headers: Sequence[Header], partition: Partition) -> pl.DataFrame:
        lines = self._lines(headers)
        rows = self._at([each for each in lines if each[1].facts.partition == partition])
        return schema.live(rows)

    def _at(self, places: Iterable[tuple[Header, Line]]) -> pl.DataFrame:
        parts = [pl.DataFrame(schema=_ENTRY_WITH_INDEX)]
        for each, line in places:
            if line.rows:
                parts.append(self._scan(each).slice(line.first, line.rows).collect())
        return pl.concat(parts)

    def _lines(self, headers: Sequence[Header]) -> Iterator[tuple[Header, Line]]:
        """Yield every manifest line in ledger order, reading manifests not seen before."""
        wanted = [each.manifest for each in headers if each.manifest is not None]
        missing = [digest for digest in dict.fromkeys(wanted) if digest not in self._manifests]
        try:
            keys = map(manifest.key_of, missing)
            for digest, content in zip(missing, read_many(self._warehouse, keys), strict=True):
                self._manifests[digest] = _parsed(digest, content)
        except (KeyError, ValueError) as error:
            raise LedgerError(
                f"a manifest in {self._warehouse.url}/ledger/man is missing or changed ({error}); "
                f"run 'verify' and restore what it names from a backup"
            ) from None
        for each in headers:
            if each.manifest is not None:
                yield from ((each, line) for line in self._manifests[each.manifest])

    def _scan(self, batch: Header) -> pl.LazyFrame:
        """Scan a batch's segment, its digest checked on first use: entry columns and `index`."""
        assert batch.segment is not None, "only genesis has no segment, and it has no rows"
        if batch.segment not in self._segments:
            self._segments[batch.segment] = self._fetched(batch.segment)
        scan = pl.scan_parquet(self._segments[batch.segment], glob=False)
        return scan.select(pl.lit(batch.index, pl.Int64).alias("index"), *schema.ENTRY_SCHEMA)

    def _fetched(self, digest: str) -> Path:
        key = segment.key_of(digest)
        try:
            path = self._warehouse.local(key)
            if segment.file_digest(path) == digest:
                return path
            fault = "has changed"
        except KeyError:
            fault = "is missing"
        raise LedgerError(
            f"{self._warehouse.url}/{key} {fault}; run 'verify' and restore it from a backup"
        )


def _parsed(digest: str, content: bytes) -> tuple[Line, ...]:
    if canonical.digest(content) != digest:
        raise ValueError(f"{digest}.json has changed")
    return manifest.decode(content)
