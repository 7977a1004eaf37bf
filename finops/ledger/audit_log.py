"""Verification levels 0 and 1: checkpoints, and the headers under them."""

import base64
import re
from dataclasses import dataclass, field

from finops.ledger import canonical, checkpoint, header, trust
from finops.ledger.checkpoint import Checkpoint
from finops.ledger.header import Header
from finops.ledger.log import LATEST, checkpoint_key_of
from finops.ledger.note import VerifierKey
from finops.ledger.report import Report
from finops.ledger.tree import Tree, leaf_hash
from finops.warehouse import Warehouse

_CHECKPOINTS = "ledger/checkpoints/"
_LOG = "ledger/log/"
_NUMBERED = re.compile(r"ledger/(?:log|checkpoints)/([0-9]{12})")
_STABLE_LISTINGS = 3


@dataclass(slots=True)
class Log:
    """What is known of the log.

    All keys, who is believed, genuine checkpoints by size, and by index the readable headers:
    those below the largest checkpoint, and those no checkpoint covers.
    """

    keys: list[str] = field(default_factory=list)
    believed: list[VerifierKey] = field(default_factory=list)
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    headers: dict[int, Header] = field(default_factory=dict)
    unsealed: dict[int, Header] = field(default_factory=dict)

    @property
    def head(self) -> Checkpoint | None:
        """The largest genuine checkpoint."""
        return self.checkpoints[max(self.checkpoints)] if self.checkpoints else None


def signatures(warehouse: Warehouse, report: Report, believed: VerifierKey | None) -> Log:
    """Check every checkpoint's form and signature (level 0)."""
    log = Log(keys=_listing(warehouse))
    log.believed = _keys(warehouse, report) if believed is None else [believed]
    numbered = [key for key in log.keys if key.startswith(_CHECKPOINTS)]
    for key, content in report.read_all(warehouse, numbered):
        found = None if content is None else _genuine(report, key, content, log.believed)
        if found is not None and key != checkpoint_key_of(found.size):
            report.add(key, f"holds the checkpoint of size {found.size}")
        elif found is not None:
            log.checkpoints[found.size] = found
    _check_latest(warehouse, report, log)
    for origin in sorted({each.origin for each in log.checkpoints.values()})[1:]:
        report.add(LATEST, f"another ledger's checkpoint is among them: {origin!r}")
    return log


def chain(warehouse: Warehouse, report: Report, log: Log, state: tuple[int, str] | None) -> None:
    """Check every header, the chain, the tree under every checkpoint, and `state` (level 1)."""
    size = 0 if log.head is None else log.head.size
    present = [key for key in log.keys if key.startswith(_LOG)]
    wanted = [header.key_of(index) for index in range(size)]
    tree, before = Tree(block_leaves=1), None
    roots = {0: tree.root()}
    for index, (key, content) in enumerate(report.read_all(warehouse, wanted)):
        if content is None:
            break
        tree.add(leaf_hash(content))
        roots[index + 1] = tree.root()
        found = _header(report, key, content, log.believed)
        if found is not None:
            _check_place(report, key, found, (index, before))
            log.headers[index] = found
        before = canonical.digest(content)
    _check_rules(report, log)
    _check_roots(report, log, roots)
    _check_tail(warehouse, report, log, sorted(set(present) - set(wanted)))
    _check_genesis(warehouse, report, log)
    if state is not None:
        _check_state(report, roots, size, state)


def _listing(warehouse: Warehouse) -> list[str]:
    """List the ledger's keys at a moment when no writer just sealed a batch."""
    keys: list[str] = []
    for _ in range(_STABLE_LISTINGS):
        before = _latest(warehouse)
        keys = list(warehouse.list("ledger/"))
        if before == _latest(warehouse):
            break
    return keys


def _latest(warehouse: Warehouse) -> bytes | None:
    try:
        return warehouse.read(LATEST)
    except KeyError:
        return None


def _keys(warehouse: Warehouse, report: Report) -> list[VerifierKey]:
    report.notes.append(
        f"the keys were taken from {trust.KEY}, the ledger's own word; "
        f"give the public key you were told to be sure whose ledger this is"
    )
    content = report.read(warehouse, trust.KEY)
    try:
        return [] if content is None else trust.decode(content)
    except ValueError as error:
        report.add(trust.KEY, str(error))
        return []


def _genuine(
    report: Report, key: str, content: bytes, believed: list[VerifierKey]
) -> Checkpoint | None:
    try:
        return checkpoint.open_note(content, believed)
    except ValueError as error:
        report.add(key, str(error))
        return None


def _check_latest(warehouse: Warehouse, report: Report, log: Log) -> None:
    content = report.read(warehouse, LATEST)
    found = None if content is None else _genuine(report, LATEST, content, log.believed)
    if found is None:
        return
    if log.head is None or found.size > log.head.size:
        report.add(checkpoint_key_of(found.size), "is missing, though it is the latest")
        log.checkpoints[found.size] = found
    elif found.size < log.head.size:
        report.add(
            LATEST,
            f"has size {found.size}, older than {checkpoint_key_of(log.head.size)}: "
            f"readers are shown a past state until the next batch is appended",
        )
    elif found != log.head:
        report.add(LATEST, f"differs from {checkpoint_key_of(found.size)}")


def _header(report: Report, key: str, content: bytes, believed: list[VerifierKey]) -> Header | None:
    try:
        found = header.parse(content)
    except ValueError as error:
        report.add(key, str(error))
        return None
    if not header.is_signed(found, believed):
        report.add(key, "is not signed by a trusted key")
    return found


def _check_place(report: Report, key: str, found: Header, place: tuple[int, str | None]) -> None:
    index, before = place
    if found.index != index:
        report.add(key, f"says it is header {found.index}")
    if found.prev != before:
        report.add(key, "does not continue the header before it")
    if (found.kind == header.GENESIS) != (index == 0):
        report.add(key, "is a genesis header out of place, or there is none")


def _check_rules(report: Report, log: Log) -> None:
    versions: dict[str, int] = {}
    for index, found in sorted(log.headers.items()):
        if found.rules is None:
            continue
        if found.rules.version != versions.setdefault(found.rules.digest, len(versions) + 1):
            report.add(header.key_of(index), "does not number its rules in order of first use")


def _check_roots(report: Report, log: Log, roots: dict[int, bytes]) -> None:
    for size, found in sorted(log.checkpoints.items()):
        if size in roots and roots[size] != found.root_hash:
            report.add(checkpoint_key_of(size), "is not the root of the headers in ledger/log")


def _check_tail(warehouse: Warehouse, report: Report, log: Log, keys: list[str]) -> None:
    """Report headers that no checkpoint covers."""
    for key, content in report.read_all(warehouse, keys):
        match = _NUMBERED.fullmatch(key)
        if match is None:
            report.add(key, "does not belong to a ledger")
            continue
        report.add(key, "is not covered by any checkpoint; the next append signs it if genuine")
        found = None if content is None else _header(report, key, content, log.believed)
        if found is not None:
            log.unsealed[int(match[1])] = found


def _check_genesis(warehouse: Warehouse, report: Report, log: Log) -> None:
    first = log.headers.get(0)
    if first is None or first.genesis is None:
        return
    content = report.read(warehouse, trust.KEY)
    if content is not None and canonical.digest(content) != first.genesis.trust:
        report.add(trust.KEY, "is not what the genesis header pins")
    if log.head is not None and first.genesis.origin != log.head.origin:
        report.add(header.key_of(0), f"begins another ledger: {first.genesis.origin!r}")


def _check_state(
    report: Report, roots: dict[int, bytes], size: int, state: tuple[int, str]
) -> None:
    seen_size, seen_root = state
    if seen_size > size:
        report.add(LATEST, f"has size {size}, but the ledger was seen at {seen_size}: rolled back")
    elif seen_size in roots and base64.b64encode(roots[seen_size]).decode() != seen_root:
        report.add(LATEST, f"is not a continuation of what was seen at size {seen_size}")
