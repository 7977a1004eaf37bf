"""Checking a ledger, trusting nothing in it.

Whatever the files hold, the answer is a `Verification`; nothing but misuse raises.
"""

from typing import Final

from polars.exceptions import PanicException

from finops.errors import LedgerError
from finops.ledger import audit_log, audit_rows
from finops.ledger.note import VerifierKey
from finops.ledger.report import Finding, Report, Verification
from finops.warehouse import Warehouse

__all__ = ["Finding", "Verification", "verify"]

SIGNATURES: Final = 0
CHAIN: Final = 1
ROWS: Final = 2


def verify(
    warehouse: Warehouse,
    *,
    level: int = ROWS,
    vkey: str | None = None,
    state: tuple[int, str] | None = None,
) -> Verification:
    """Check the ledger in `warehouse`.

    Level 0 checks the checkpoints' signatures; 1 also the headers, their chain and their tree
    (RFC 6962); 2 also every row, total, manifest and reversal. `vkey` is the public key to
    believe (without one: those the ledger itself lists, which the outcome's notes say); `state`
    is the (size, base64 root) of a checkpoint seen earlier, which this ledger must continue.
    Raises `LedgerError` when `level`, `vkey` or `state` is not one.
    """
    believed = _checked_arguments(level, vkey, state)
    report = Report()
    log = audit_log.Log()
    rows = 0
    try:
        log = audit_log.signatures(warehouse, report, believed)
        if level >= CHAIN:
            audit_log.chain(warehouse, report, log, state)
        if level >= ROWS:
            rows = audit_rows.rows(warehouse, report, log)
    except (Exception, PanicException) as error:  # noqa: BLE001 - garbage must not crash an audit
        report.add("ledger/", f"cannot be checked to the end: {type(error).__name__}: {error}")
    head = log.head
    return Verification(
        findings=tuple(report.findings),
        notes=tuple(report.notes),
        size=0 if head is None else head.size,
        root=None if head is None else head.root,
        batches=len(log.headers),
        rows=rows,
    )


def _checked_arguments(
    level: int, vkey: str | None, state: tuple[int, str] | None
) -> VerifierKey | None:
    if level not in {SIGNATURES, CHAIN, ROWS}:
        raise LedgerError(f"there is no verification level {level}; choose 0, 1 or 2")
    if state is not None and state[0] < 1:
        raise LedgerError(f"a ledger cannot have been seen at size {state[0]}; drop that state")
    try:
        return None if vkey is None else VerifierKey.parse(vkey)
    except ValueError as error:
        raise LedgerError(f"{error}; give a public key as name+id+base64") from None
