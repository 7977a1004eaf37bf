"""A batch on its way into the log: everything is stored but its header."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from finops.ledger import header, manifest
from finops.ledger.checkpoint import Checkpoint
from finops.ledger.header import Header, Making, Rules
from finops.ledger.manifest import Line
from finops.ledger.schema import SCHEMA_DIGEST
from finops.ledger.segment import Digest
from finops.partition import Partition


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What a batch was made by, and when.

    `rules_text` is the organization as used, `run_id` anything that names the run, `now` an
    instant in UTC: nothing in this package reads the clock.
    """

    rules_text: str
    code_version: str
    run_id: str
    flow_run_id: str | None
    now: datetime

    @property
    def making(self) -> Making:
        """The same as a header says it; raises `LedgerError` when `now` has no zone."""
        return Making(self.code_version, self.run_id, self.flow_run_id, header.instant(self.now))


@dataclass(frozen=True, slots=True)
class Appended:
    """A committed and sealed batch; `is_new` is false when it was there already."""

    header: Header
    checkpoint: Checkpoint
    is_new: bool

    @property
    def index(self) -> int:
        """The batch's place in the log."""
        return self.header.index

    @property
    def rows(self) -> int:
        """How many entries the batch holds."""
        return self.header.rows


@dataclass(frozen=True, slots=True)
class Draft:
    """A stored batch that waits for its place: digests in hex, and what its rows add up to."""

    lines: tuple[Line, ...]
    digest: Digest
    segment: str
    leaves: str
    manifest: str
    rules: str

    def same_as(self, newest: Mapping[Partition, tuple[Header, str]]) -> Header | None:
        """Return the batch that says the same, if it is still the newest word on every partition.

        An older batch with the same `idem` does not count: what went back to an earlier state
        is a new batch.
        """
        found = [newest.get(line.facts.partition) for line in self.lines]
        first = found[0]
        if first is None or any(each is None or each[0] != first[0] for each in found):
            return None
        return first[0] if first[0].idem == manifest.batch_idem(self.lines) else None

    def header(self, facts: BatchFacts, before: Sequence[Header]) -> Header:
        """Make the unsigned header that follows the headers `before`."""
        return Header(
            index=len(before),
            prev=before[-1].digest,
            kind=header.CORRECT if self.digest.reversals else header.ALLOC,
            idem=manifest.batch_idem(self.lines),
            rows=self.digest.tree.size,
            rows_root=self.digest.tree.root().hex(),
            segment=self.segment,
            leaves=self.leaves,
            schema=SCHEMA_DIGEST,
            control=self.digest.control,
            manifest=self.manifest,
            rules=Rules(self.rules, rules_version(self.rules, before)),
            made=facts.making,
        )


def rules_version(rules: str, before: Sequence[Header]) -> int:
    """Return the version of the rules text with digest `rules`: the old one, or the next."""
    versions = {each.rules.digest: each.rules.version for each in before if each.rules}
    return versions.get(rules, 1 + max(versions.values(), default=0))
