"""What can go wrong, and how it is said.

A *data problem* is a value: an `Issue`, collected and shown together with the others.
A *program or outside fault* is an exception of one small tree:

    FinopsError
    ├── ConfigError      finops.toml, organization.toml or an argument is wrong
    ├── DataError        a delivered bill cannot be taken as it is
    ├── ProviderError
    │   ├── Transient    worth another try: time-out, 429, 5xx
    │   └── Terminal     not worth another try: 401, 403, a missing export
    ├── WarehouseError   the store refused: permission, full disk, unknown bucket
    ├── LedgerError      the ledger cannot be read, written or trusted
    │   └── Overtaken    another writer was quicker: look again, and decide anew
    └── ExportError      a report, notification or export could not be delivered

Every message says what is wrong, where, and what to do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much an issue matters: `FATAL` refuses the delivery, `QUARANTINE` sets rows aside."""

    INFO = "info"
    WARNING = "warning"
    QUARANTINE = "quarantine"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Issue:
    """A problem in somebody's data or configuration: where it is, what it is, what to do."""

    where: str
    message: str
    severity: Severity = Severity.FATAL

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class FinopsError(Exception):
    """The root of the tree; carries the issues that led to it, when there are any."""

    def __init__(self, message: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.issues = tuple(issues)

    @classmethod
    def of(cls, issues: Sequence[Issue]) -> "FinopsError":
        """Make the error that shows all `issues`, one a line."""
        return cls("\n".join(str(issue) for issue in issues), issues)


class ConfigError(FinopsError):
    """A configuration file or an argument is wrong."""


class DataError(FinopsError):
    """A delivered bill cannot be taken as it is; nothing of it was kept."""


class ProviderError(FinopsError):
    """A provider did not give what it should."""


class Transient(ProviderError):
    """A provider fault that may pass: worth another try."""


class Terminal(ProviderError):
    """A provider fault that will not pass by itself: no retry."""


class WarehouseError(FinopsError):
    """The warehouse refused to read or write."""


class LedgerError(FinopsError):
    """The ledger cannot be read, written or trusted."""


class Overtaken(LedgerError):
    """Another writer added to the ledger what the caller had not seen; nothing was committed."""


class ExportError(FinopsError):
    """A report, notification or export could not be delivered."""
