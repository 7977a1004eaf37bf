"""Raw objects that never change at the provider, found again by name without asking for them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from finops.errors import DataError
from finops.raw import RAW, RawObject, RawStore, intact


def keep(
    store: RawStore, content: bytes | Path, name: str, receipt: Mapping[str, str]
) -> RawObject:
    """Keep what never changes under its `name`, so that `find` finds it."""
    kept = store.keep(content, name, receipt)
    entry = {"sha256": kept.sha256, "size_bytes": kept.size_bytes, "receipt": dict(receipt)}
    store.add(_key(name), json.dumps(entry, sort_keys=True, indent=1).encode())
    return kept


def find(store: RawStore, name: str) -> RawObject | None:
    """Return what was kept under `name`; `None` when there is none, or its bytes changed."""
    key = _key(name)
    if not store.warehouse.exists(key):
        return None
    entry = json.loads(store.warehouse.read(key))
    kept = RawObject(entry["sha256"], entry["size_bytes"], name, entry["receipt"])
    try:
        intact(store.warehouse, kept.sha256)
    except (KeyError, FileNotFoundError, DataError):
        return None
    return kept


def _key(name: str) -> str:
    return f"{RAW}/known/{hashlib.sha256(name.encode()).hexdigest()}.json"
