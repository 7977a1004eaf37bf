"""Where tables, raw bytes and the ledger live: a folder or an S3 bucket behind one interface.

Keys are slash-separated and the same in both. An object appears whole or not at all: a reader
never sees half of one, whatever happens to the writer.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from finops.errors import ConfigError


class Warehouse(Protocol):
    """A store of immutable-by-replacement objects. Failures raise `WarehouseError`."""

    url: str

    def read(self, key: str) -> bytes:
        """Return the object's bytes; raises `KeyError` when there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether there is an object at `key`."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with `prefix`, sorted, without other writers' temporary files."""
        ...

    def replace(self, key: str, content: bytes | Path) -> None:
        """Put the object, over an older one if need be. When this returns, it is durable."""
        ...

    def adopt(self, key: str, path: Path) -> None:
        """Like `replace`, but takes the file at `path` away: best from `workspace`."""
        ...

    def workspace(self) -> AbstractContextManager[Path]:
        """Lend a local folder for large files under way; it goes with the `with` block."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Put the object unless there is one. Returns whether this call made it; durable on return."""
        ...

    def move(self, key: str, to: str) -> bool:
        """Replace `to` with the object at `key`, which goes away; `False` when there is none."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def local(self, key: str) -> Path:
        """Return a local file with the object's bytes, downloading it when the store is remote.

        The file must be left unchanged; raises `KeyError` when there is no object.
        """
        ...


def open_warehouse(url: str, base: Path | None = None) -> Warehouse:
    """Open `s3://bucket/prefix` or a folder (relative to `base`, made when absent)."""
    if "://" in url and "@" in url.partition("://")[2].partition("/")[0]:
        raise ConfigError(
            "warehouse.url: holds a key; write s3://bucket/prefix, and give credentials as boto3 "
            "takes them (AWS_PROFILE, an instance role, …)"
        )
    if url.startswith("s3://"):
        from finops.warehouse.s3 import S3Warehouse  # late: boto3 takes 0.2 s to import

        return S3Warehouse(url)
    if "://" in url:
        raise ConfigError(f"warehouse.url: {url!r} is neither a folder nor s3://bucket/prefix")
    from finops.warehouse.local import LocalWarehouse

    return LocalWarehouse((base or Path()) / url)
