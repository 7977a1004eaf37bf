"""Verification level 2: every row, total, manifest and text, and files that nobody names."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from finops.ledger import audit_corrections, canonical, damage, header, manifest, segment
from finops.ledger import rows as row_bytes
from finops.ledger.audit_log import Log
from finops.ledger.header import Header
from finops.ledger.log import LATEST
from finops.ledger.manifest import Line
from finops.ledger.report import Report
from finops.ledger.schema import (
    ENTRY_SCHEMA,
    PARTITION_COLUMNS,
    ROW_VERSION,
    SCHEMA_DIGEST,
    broken_rules,
)
from finops.ledger.segment import Digest
from finops.ledger.trust import KEY as TRUST_KEY
from finops.warehouse import Warehouse

_LOGGED = ("ledger/log/", "ledger/checkpoints/")
_NAMED = re.compile(r"ledger/(seg|man)/([0-9a-f]{64})\.(parquet|leaves|json|toml)")


def rows(warehouse: Warehouse, report: Report, log: Log) -> int:
    """Check everything the headers vouch for; returns how many rows proved genuine."""
    audited = 0
    corrections = audit_corrections.Corrections()
    for _, batch in sorted(log.headers.items()):
        _check_text(warehouse, report, manifest.key_of(batch.schema), batch.schema)
        if batch.schema != SCHEMA_DIGEST:
            report.add(header.key_of(batch.index), "has a schema this verifier does not know")
        elif batch.segment is not None:
            audited += _check_batch(warehouse, report, batch, corrections)
    corrections.check(report)
    _check_strangers(warehouse, report, log)
    return audited


def _check_batch(
    warehouse: Warehouse,
    report: Report,
    batch: Header,
    corrections: audit_corrections.Corrections,
) -> int:
    assert batch.segment is not None
    assert batch.rules is not None
    key = segment.key_of(batch.segment)
    _check_text(warehouse, report, manifest.rules_key_of(batch.rules.digest), batch.rules.digest)
    lines = _manifest(warehouse, report, batch)
    locator = _locator(warehouse, report, batch)
    try:
        path = warehouse.local(key)
    except KeyError:
        report.add(key, "is missing")
        return 0
    if segment.file_digest(path) != batch.segment:
        report.add(key, f"is not the file that batch {batch.index} was written with")
        _name_damage(report, key, path, locator)
        return 0
    found = _Rows(report, key, lines)
    for chunk, leaves in row_bytes.hashed(found.read(path)):
        found.digest.add(chunk.frame, leaves)
        corrections.add(batch.index, chunk.frame)
    corrections.segments[batch.index] = key, path
    _compare(report, key, batch, found.digest, locator)
    return found.digest.tree.size


class _Rows:
    """The rows of an intact segment, checked as they are read."""

    def __init__(self, report: Report, key: str, lines: tuple[Line, ...]) -> None:
        self.digest = Digest()
        self._report = report
        self._key = key
        self._lines = lines

    def read(self, path: Path) -> Iterator[pl.DataFrame]:
        """Yield the chunks; stops at columns that are not an entry's."""
        first = 0
        for frame in segment.read(path):
            if frame.schema != ENTRY_SCHEMA:
                self._report.add(self._key, "has columns that are not those of an entry")
                return
            self._check(frame, first)
            first += frame.height
            yield frame

    def _check(self, frame: pl.DataFrame, first: int) -> None:
        places = pl.int_range(first, first + frame.height, dtype=pl.Int64)
        misnumbered = frame.filter(
            pl.col("row").ne_missing(places) | pl.col("v").ne_missing(pl.lit(ROW_VERSION))
        )
        if misnumbered.height:
            self._report.add(self._key, f"{misnumbered.height} rows have a wrong number or version")
        for rule, count in frame.select(broken_rules()).row(0, named=True).items():
            if count:
                self._report.add(self._key, f"{count} rows break the rule that {rule}")
        for line in self._lines:
            self._check_partition(frame, first, line)

    def _check_partition(self, frame: pl.DataFrame, first: int, line: Line) -> None:
        start, stop = max(line.first, first), min(line.first + line.rows, first + frame.height)
        if start >= stop:
            return
        partition = line.facts.partition
        strays = frame.slice(start - first, stop - start).select(
            pl.any_horizontal(
                pl.col(name).ne_missing(pl.lit(getattr(partition, name)))
                for name in PARTITION_COLUMNS
            ).sum()
        )
        if strays.item():
            self._report.add(
                self._key, f"{strays.item()} rows from {start} on are not of {partition.path}"
            )


def _compare(
    report: Report, key: str, batch: Header, digest: Digest, locator: bytes | None
) -> None:
    """Hold an intact segment against what the header says of it."""
    place = header.key_of(batch.index)
    if (digest.tree.size, digest.tree.root().hex()) != (batch.rows, batch.rows_root):
        report.add(key, f"has other rows than {place} vouches for (count or tree root)")
    if digest.control != batch.control:
        report.add(place, "has control totals that are not the sums of the rows")
    if batch.kind != (header.CORRECT if digest.reversals else header.ALLOC):
        report.add(place, f"is of kind {batch.kind!r} but holds {digest.reversals} reversals")
    if locator is not None and locator != bytes(digest.locator):
        report.add(segment.locator_key_of(str(batch.segment)), "does not belong to these rows")


def _name_damage(report: Report, key: str, path: Path, locator: bytes | None) -> None:
    if locator is None:
        return
    try:
        for row, words in damage.places(path, locator):
            report.add(key, words, row)
    except Exception as error:  # noqa: BLE001 - a damaged file may fail in any way
        report.add(key, f"cannot be read: {type(error).__name__}: {str(error)[:200]}")


def _manifest(warehouse: Warehouse, report: Report, batch: Header) -> tuple[Line, ...]:
    digest = str(batch.manifest)
    key = manifest.key_of(digest)
    content = _check_text(warehouse, report, key, digest)
    if content is None:
        return ()
    try:
        lines = manifest.decode(content)
    except ValueError as error:
        report.add(key, str(error))
        return ()
    expected = 0
    for line in lines:
        if line.first != expected:
            report.add(key, f"leaves rows out or names them twice from row {expected} on")
        expected = line.first + line.rows
    if expected != batch.rows or manifest.batch_idem(lines) != batch.idem:
        report.add(key, f"does not describe batch {batch.index} (rows or idem)")
    if len({line.facts.partition for line in lines}) != len(lines):
        report.add(key, "names a partition twice")
    return lines


def _locator(warehouse: Warehouse, report: Report, batch: Header) -> bytes | None:
    key = segment.locator_key_of(str(batch.segment))
    return _check_text(warehouse, report, key, str(batch.leaves))


def _check_text(warehouse: Warehouse, report: Report, key: str, digest: str) -> bytes | None:
    """Return the object's bytes if they have `digest`; `None` with a finding otherwise."""
    content = report.read(warehouse, key)
    if content is not None and canonical.digest(content) != digest:
        report.add(key, "has changed")
        return None
    return content


def _vouched(batches: Iterable[Header]) -> Iterator[str]:
    """Name every object that headers name."""
    for batch in batches:
        yield manifest.key_of(batch.schema)
        if batch.segment is not None:
            yield segment.key_of(batch.segment)
            yield segment.locator_key_of(batch.segment)
        if batch.manifest is not None:
            yield manifest.key_of(batch.manifest)
        if batch.rules is not None:
            yield manifest.rules_key_of(batch.rules.digest)


def _check_strangers(warehouse: Warehouse, report: Report, log: Log) -> None:
    """Look at files no header names.

    What a run left that died before its header is a note, if it still is what its name says.
    """
    known = {LATEST, TRUST_KEY, *_vouched([*log.headers.values(), *log.unsealed.values()])}
    for key in log.keys:
        if key in known or key.startswith(_LOGGED):
            continue
        if _NAMED.fullmatch(key) and _is_intact(warehouse, report, key):
            report.notes.append(f"{key}: no header names it; a run that stopped midway left it")
        else:
            report.add(key, "is named by no header, and is not what its name says")


def _is_intact(warehouse: Warehouse, report: Report, key: str) -> bool:
    stem = key.rpartition("/")[2].partition(".")[0]
    if not key.endswith(".leaves"):
        content = report.read(warehouse, key)
        return content is not None and canonical.digest(content) == stem
    content = report.read(warehouse, key)
    try:
        chunks = segment.read(warehouse.local(segment.key_of(stem)))
        leaves = b"".join(segment.locator_of(found) for _, found in row_bytes.hashed(chunks))
    except (KeyError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return content == leaves
