"""The ledger: allocations appended in batches, hash-chained, signed, and checkable by anyone.

`docs/ledger-format.md` specifies the bytes. `Ledger` appends and reads, `verify` checks.
"""

from finops.ledger.batch import Appended, BatchFacts
from finops.ledger.checkpoint import Checkpoint
from finops.ledger.header import Control, Header
from finops.ledger.ledger import Ledger
from finops.ledger.manifest import Input, PartitionFacts
from finops.ledger.note import SigningKey, VerifierKey
from finops.ledger.reversal import reversals
from finops.ledger.schema import ENTRY_SCHEMA, REFERENCE, live, reference
from finops.ledger.verify import Finding, Verification, verify

__all__ = [
    "ENTRY_SCHEMA",
    "REFERENCE",
    "Appended",
    "BatchFacts",
    "Checkpoint",
    "Control",
    "Finding",
    "Header",
    "Input",
    "Ledger",
    "PartitionFacts",
    "SigningKey",
    "Verification",
    "VerifierKey",
    "live",
    "reference",
    "reversals",
    "verify",
]
