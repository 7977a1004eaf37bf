"""The log of headers in a warehouse: reading it, adding to it, signing its head.

A header is committed once its object exists, and *sealed* once a checkpoint covers it. Readers
see sealed headers only. A crash in between leaves a committed header that the next writer seals;
it cannot be smuggled in from outside, because each header is signed too.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from finops.errors import LedgerError
from finops.ledger import canonical, checkpoint, header, manifest, tree, trust
from finops.ledger.checkpoint import Checkpoint
from finops.ledger.header import Header, Making
from finops.ledger.note import SigningKey, VerifierKey
from finops.ledger.schema import SCHEMA_DIGEST, SCHEMA_TEXT
from finops.warehouse import Warehouse

LATEST: Final = "ledger/checkpoint"
_READERS = 16
_ADVICE = "do not write to this ledger; run 'verify' and restore what it names from a backup"


def checkpoint_key_of(size: int) -> str:
    """Name the immutable object that holds the checkpoint of `size` headers."""
    return f"ledger/checkpoints/{size:012d}"


def read_many(warehouse: Warehouse, keys: Iterable[str]) -> Iterator[bytes]:
    """Read small objects in order, several at a time: on S3 each takes a round trip."""
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(warehouse.read, keys)


class Log:
    """The headers under one origin. Every fault raises `LedgerError`."""

    def __init__(self, warehouse: Warehouse, origin: str, key: SigningKey | None) -> None:
        self._warehouse = warehouse
        self._origin = origin
        self._key = key
        self._trusted: list[VerifierKey] = []
        self._committed: list[Header] = []

    def head(self) -> Checkpoint | None:
        """Return the latest checkpoint, its signature and origin checked; `None` before any."""
        try:
            content = self._warehouse.read(LATEST)
        except KeyError:
            return None
        try:
            head = checkpoint.open_note(content, self._trust())
        except ValueError as error:
            raise self._distrust(LATEST, str(error)) from None
        if head.origin != self._origin:
            raise LedgerError(
                f"{self._where(LATEST)} belongs to the ledger {head.origin!r}, not to "
                f"{self._origin!r}; set the origin or the warehouse right"
            )
        return head

    def sealed(self) -> list[Header]:
        """Return the headers below the latest checkpoint, checked against its root."""
        head = self.head()
        if head is None:
            return []
        self._load(range(len(self._committed), head.size))
        headers = self._committed[: head.size]
        if tree.root(each.content for each in headers) != head.root_hash:
            raise self._distrust(LATEST, "does not match the headers in ledger/log")
        return headers

    def committed(self) -> list[Header]:
        """Return all headers, also those no checkpoint covers yet."""
        self.sealed()
        while self._warehouse.exists(header.key_of(len(self._committed))):
            self._load([len(self._committed)])
        return list(self._committed)

    def begin(self, made: Making) -> None:
        """Start the ledger with its genesis header, unless another writer just has."""
        key = self.signing_key()
        if not self._warehouse.exists(trust.KEY):
            self._warehouse.create(trust.KEY, trust.encode([key.vkey]))
        self._warehouse.replace(manifest.key_of(SCHEMA_DIGEST), SCHEMA_TEXT)
        pinned = canonical.digest(self._read(trust.KEY))
        self.commit(header.genesis(self._origin, pinned, made))

    def commit(self, unsigned: Header) -> Header | None:
        """Add a header; `None` when another writer took its place first."""
        signed = unsigned.signed(self.signing_key())
        key = header.key_of(signed.index)
        if not self._warehouse.create(key, signed.content) and self._read(key) != signed.content:
            return None
        return signed

    def seal(self) -> Checkpoint | None:
        """Sign everything committed; `None` when nothing is.

        Safe beside other writers: whoever writes the latest checkpoint looks once more whether
        it still is the latest.
        """
        sealed_size = -1
        head = self.head()
        while len(headers := self.committed()) != sealed_size:
            sealed_size = len(headers)
            if head is None or head.size != sealed_size:
                head = self._sign(headers)
        return head

    def signing_key(self) -> SigningKey:
        """Return the key to write with.

        Raises `LedgerError` when the ledger is open for reading, or trusts another key.
        """
        if self._key is None:
            raise LedgerError(
                f"the ledger in {self._warehouse.url} is open for reading only; "
                f"give the signing key to append"
            )
        if self._warehouse.exists(trust.KEY) and self._key.verifier not in self._trust():
            raise LedgerError(
                f"{self._where(trust.KEY)} does not list the key {self._key.vkey}; "
                f"use the key this ledger was begun with"
            )
        return self._key

    def _sign(self, headers: list[Header]) -> Checkpoint | None:
        if not headers:
            return None
        root = tree.root(each.content for each in headers)
        head = checkpoint.sign(self._origin, len(headers), root, self.signing_key())
        key, content = checkpoint_key_of(head.size), head.note.encode()
        if not self._warehouse.create(key, content) and self._read(key) != content:
            raise self._distrust(key, "claims other headers than ledger/log holds")
        self._warehouse.replace(LATEST, content)
        return head

    def _load(self, indexes: Iterable[int]) -> None:
        """Read headers in order, checking signature, index and chain, and keep them."""
        try:
            keys = [header.key_of(index) for index in indexes]
            for key, content in zip(keys, read_many(self._warehouse, keys), strict=True):
                self._keep(key, content)
        except KeyError as error:
            raise self._distrust(str(error.args[0]), "is missing") from None

    def _keep(self, key: str, content: bytes) -> None:
        try:
            loaded = header.parse(content)
        except ValueError as error:
            raise self._distrust(key, str(error)) from None
        before = self._committed[-1].digest if self._committed else None
        if (loaded.index, loaded.prev) != (len(self._committed), before):
            raise self._distrust(key, "does not follow the header before it")
        if loaded.genesis is not None and loaded.genesis.origin != self._origin:
            raise self._distrust(key, f"begins the ledger {loaded.genesis.origin!r}")
        if not header.is_signed(loaded, self._trust()):
            raise self._distrust(key, "is not signed by a trusted key")
        self._committed.append(loaded)

    def _trust(self) -> list[VerifierKey]:
        if not self._trusted:
            try:
                self._trusted = trust.decode(self._read(trust.KEY))
            except ValueError as error:
                raise self._distrust(trust.KEY, str(error)) from None
        return self._trusted

    def _read(self, key: str) -> bytes:
        try:
            return self._warehouse.read(key)
        except KeyError:
            raise self._distrust(key, "is missing") from None

    def _where(self, key: str) -> str:
        return f"{self._warehouse.url}/{key}"

    def _distrust(self, key: str, why: str) -> LedgerError:
        return LedgerError(f"{self._where(key)} {why}; {_ADVICE}")
