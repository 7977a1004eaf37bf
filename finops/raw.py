"""Raw evidence: what a provider sent, byte for byte, named by its SHA-256.

Raw objects are never rewritten. Beside each stands a receipt that says how it was got.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from finops.errors import DataError, Issue, Transient
from finops.partition import Partition, Window
from finops.purse import Purse
from finops.reconciliation import Stated
from finops.warehouse import Warehouse

RAW = "raw"
SAMPLES = "samples"
_SAMPLED_AT = "%Y-%m-%dT%H:%M:%S.%fZ"  # sorts by its time: `samples` relies on it
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
        self._warehouse = warehouse
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
            self._warehouse.replace(kept.key, content)
        self._add(kept.key, content)
        self._add(
            receipt_key,
            json.dumps(
                {"name": name, "sha256": digest, "size_bytes": size, **kept.receipt},
                sort_keys=True,
                indent=1,
            ).encode(),
        )
        return kept

    def keep_known(self, content: bytes | Path, name: str, receipt: Mapping[str, str]) -> RawObject:
        """Keep what never changes under its `name`, so that `known` finds it without asking again."""
        kept = self.keep(content, name, receipt)
        entry = {"sha256": kept.sha256, "size_bytes": kept.size_bytes, "receipt": dict(receipt)}
        self._add(_known_key(name), json.dumps(entry, sort_keys=True, indent=1).encode())
        return kept

    def known(self, name: str) -> RawObject | None:
        """Return what was kept under `name`; `None` when there is none, or its bytes changed."""
        key = _known_key(name)
        if not self._warehouse.exists(key):
            return None
        entry = json.loads(self._warehouse.read(key))
        kept = RawObject(entry["sha256"], entry["size_bytes"], name, entry["receipt"])
        is_there = self._warehouse.exists(kept.key) and self._is_intact(kept.sha256)
        return kept if is_there else None

    def remember(self, source: str, at: datetime, sample: Sequence[RawObject]) -> None:
        """Note that these kept objects are what `source` looked like at `at`.

        For a provider that tells only what is now: `samples` gives it what earlier fetches saw.
        A sample stays, also when the delivery it came with is refused: it can not be had again.
        """
        for kept in sample:
            place = f"{at.astimezone(UTC):{_SAMPLED_AT}}/{_short_name(kept.name)}"
            key = f"{SAMPLES}/source={source}/{place}.{kept.sha256[:16]}.json"
            if not self._warehouse.exists(key):
                note = json.dumps(asdict(kept), sort_keys=True, indent=1).encode()
                self._warehouse.replace(key, note)
            stays = {kept.key, self._receipt_key(kept.key, kept.name)}
            self._added = [added for added in self._added if added not in stays]

    def samples(self, source: str, start: datetime, end: datetime) -> list[RawObject]:
        """Give what was remembered of `source` from `start` until before `end`, oldest first.

        The last sample before `start` and the first one from `end` on are given too: they tell
        how things stood at the edges. Raises `DataError` for a note that cannot be read.
        """
        prefix = f"{SAMPLES}/source={source}/"
        keys = list(self._warehouse.list(prefix))
        times = sorted({key.removeprefix(prefix).partition("/")[0] for key in keys})
        first, last = (f"{time.astimezone(UTC):{_SAMPLED_AT}}" for time in (start, end))
        from_place = max(bisect_left(times, first) - 1, 0)
        chosen = set(times[from_place : bisect_left(times, last) + 1])
        return [
            self._noted(key) for key in keys if key.removeprefix(prefix).partition("/")[0] in chosen
        ]

    def path(self, kept: RawObject) -> Path:
        """Return a local file with the object's bytes, which are checked against their name."""
        try:
            return intact(self._warehouse, kept.sha256)
        except (KeyError, FileNotFoundError):
            raise self._taken_back(kept) from None

    def demand(self, objects: Iterable[RawObject]) -> None:
        """Raise `Transient` when an object is there no more: charges need what proves them."""
        for kept in objects:
            if not self._warehouse.exists(kept.key):
                raise self._taken_back(kept)

    def purse(self, name: str, day: date, allowance: int) -> Purse:
        """Open the day's allowance for requests that cost money; what is spent is not withdrawn."""
        return Purse(self._warehouse, name, day, allowance)

    def withdraw(self) -> None:
        """Remove what this store added and did not remember: a refused delivery leaves no trace."""
        for key in reversed(self._added):
            if not self._is_shared(key):
                self._warehouse.delete(key)
        self._added.clear()

    def _receipt_key(self, key: str, name: str) -> str:
        return f"{key}.{_short_name(f'{self._owner}/{name}')}.json"

    def _is_shared(self, key: str) -> bool:
        """Tell whether somebody else has a receipt for these bytes; ours are removed before them."""
        is_raw = key.startswith(f"{RAW}/") and "." not in key
        return is_raw and any(self._warehouse.list(f"{key}."))

    def _noted(self, key: str) -> RawObject:
        try:
            return RawObject(**json.loads(self._warehouse.read(key)))
        except (ValueError, TypeError):
            raise DataError(
                f"{key}: is no note of a kept sample any more; restore it from a backup, or remove "
                f"it to go on without what was seen at that time"
            ) from None

    def _is_intact(self, digest: str) -> bool:
        try:
            return _digest(self._warehouse.local(f"{RAW}/{digest}"))[0] == digest
        except (KeyError, FileNotFoundError):
            return True

    def _taken_back(self, kept: RawObject) -> Transient:
        """Two runs share what both were sent; one that fails withdraws what it was first to keep."""
        return Transient(
            f"{kept.name}: another run failed meanwhile and took the kept copy back; run again"
        )

    def _add(self, key: str, content: bytes | Path) -> None:
        if not self._warehouse.exists(key):
            self._warehouse.replace(key, content)
            self._added.append(key)


def _known_key(name: str) -> str:
    return f"{RAW}/known/{hashlib.sha256(name.encode()).hexdigest()}.json"


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
