"""Raw evidence: what a provider sent, byte for byte, named by its SHA-256.

A provider leaves out what may hold users' secrets before it has a reply kept, and says so in the
receipt. Raw objects are never rewritten. Beside each stands a receipt that says how it was got.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from finops.errors import DataError, Issue, Transient
from finops.partition import Partition, Window
from finops.reconciliation import Stated
from finops.warehouse import Warehouse

RAW = "raw"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RawObject:
    """One kept reply or file.

    `name` is what the provider calls it (a path, an S3 URI, an endpoint); `receipt` says how it
    was got: endpoint, parameters, status, ETag or run id. It never holds a credential.
    """

    sha256: str
    size_bytes: int
    name: str
    receipt: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{RAW}/{self.sha256}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which partitions a delivery speaks for: whole billing periods, days, or both.

    A partition in scope that has no rows in the delivery is empty from now on.
    """

    periods: frozenset[str] = frozenset()
    days: Window | None = None

    def includes(self, period: str, day: date) -> bool:
        in_days = self.days is not None and self.days.start <= day < self.days.end
        return in_days or period in self.periods

    def covers(self, partition: Partition) -> bool:
        return self.includes(partition.period, partition.day)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one fetch brought: the kept objects and the partitions they speak for."""

    provider: str
    source: str
    scope: Scope
    objects: tuple[RawObject, ...]
    stated: tuple[Stated, ...] = ()
    """Totals that the provider states of what it sent."""
    issues: tuple[Issue, ...] = ()
    """What could not be had beside the rows, such as a total to hold them against."""
    is_empty_for_sure: bool = False
    """The provider was asked twice: when there are no rows, then there really are none."""


class RawStore:
    """Keeps raw objects in the warehouse, and can take back what a refused delivery added."""

    def __init__(self, warehouse: Warehouse, owner: str = "") -> None:
        """Keep objects for `owner`, such as a source: each keeps a receipt of its own."""
        self.warehouse = warehouse
        self._owner = owner
        self._added: list[str] = []

    def keep(
        self, content: bytes | Path, name: str, receipt: Mapping[str, str] | None = None
    ) -> RawObject:
        """Store `content` verbatim with its receipt; what is already kept stays as it is."""
        digest, size = _digest(content)
        kept = RawObject(digest, size, name, dict(receipt or {}))
        receipt_key = self._receipt_key(kept.key, name)
        if not self._is_intact(digest):
            # What lies there is not what its name says: the right bytes are at hand to mend it.
            self.warehouse.replace(kept.key, content)
        self.add(kept.key, content)
        self.add(
            receipt_key,
            json.dumps(
                {"name": name, "sha256": digest, "size_bytes": size, **kept.receipt},
                sort_keys=True,
                indent=1,
            ).encode(),
        )
        return kept

    def path(self, kept: RawObject) -> Path:
        """Return a local file with the object's bytes, which are checked against their name."""
        try:
            return intact(self.warehouse, kept.sha256)
        except (KeyError, FileNotFoundError):
            raise self._taken_back(kept) from None

    def demand(self, objects: Iterable[RawObject]) -> None:
        """Raise `Transient` when an object is there no more: charges need what proves them."""
        for kept in objects:
            if not self.warehouse.exists(kept.key):
                raise self._taken_back(kept)

    def add(self, key: str, content: bytes | Path) -> None:
        """Put an object beside the raw ones, unless there is one; `withdraw` takes it back."""
        if not self.warehouse.exists(key):
            self.warehouse.replace(key, content)
            self._added.append(key)

    def spare(self, objects: Iterable[RawObject]) -> None:
        """Have these kept objects stay, also when what came with them is withdrawn."""
        stays = {
            key for kept in objects for key in (kept.key, self._receipt_key(kept.key, kept.name))
        }
        self._added = [added for added in self._added if added not in stays]

    def withdraw(self) -> None:
        """Remove what this store added, but for what is spared: a refused delivery leaves no trace."""
        for key in reversed(self._added):
            if not self._is_shared(key):
                self.warehouse.delete(key)
        self._added.clear()

    def _receipt_key(self, key: str, name: str) -> str:
        return f"{key}.{_short_name(f'{self._owner}/{name}')}.json"

    def _is_shared(self, key: str) -> bool:
        """Tell whether somebody else has a receipt for these bytes; ours are removed before them."""
        is_raw = key.startswith(f"{RAW}/") and "." not in key
        return is_raw and any(self.warehouse.list(f"{key}."))

    def _is_intact(self, digest: str) -> bool:
        try:
            return _digest(self.warehouse.local(f"{RAW}/{digest}"))[0] == digest
        except (KeyError, FileNotFoundError):
            return True

    def _taken_back(self, kept: RawObject) -> Transient:
        """Two runs share what both were sent; one that fails withdraws what it was first to keep."""
        return Transient(
            f"{kept.name}: another run failed meanwhile and took the kept copy back; run again"
        )


def intact(warehouse: Warehouse, digest: str) -> Path:
    """Return a local file with the raw object `digest`; raises `DataError` when it was changed.

    Raises `KeyError` when there is no such object.
    """
    path = warehouse.local(f"{RAW}/{digest}")
    if _digest(path)[0] != digest:
        raise DataError(
            f"{RAW}/{digest}: holds other bytes than the provider sent; restore it from a backup, "
            f"or fetch the bill again"
        )
    return path


def _short_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _digest(content: bytes | Path) -> tuple[str, int]:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest(), len(content)
    digest, size = hashlib.sha256(), 0
    with content.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
