"""The RFC 6962 Merkle tree (section 2.1) with SHA-256.

A leaf and an inner node are hashed with different first bytes, so that neither passes for the
other. A tree that grows is kept as its complete subtrees, largest first: their sizes are the
powers of two in its size, so 64 hashes suffice for any tree.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import polars as pl
import polars_hash  # noqa: F401 - registers the `chash` namespace
import pyarrow as pa

LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"
EMPTY_ROOT: Final = sha256(b"").digest()
HASH_BYTES: Final = 32
_PAIR_BYTES: Final = 2 * HASH_BYTES
_MANY_BYTES: Final = 1 << 16


def leaf_hash(content: bytes) -> bytes:
    """Hash one leaf's bytes (32 bytes)."""
    return sha256(LEAF_PREFIX + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees' roots into their parent's (32 bytes)."""
    return sha256(NODE_PREFIX + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root (32 bytes) over the bytes of `leaves`; that of none is SHA-256 of nothing."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf_hash(leaf))
    return tree.root()


class Tree:
    """A tree that leaf hashes are added to.

    Holds the complete subtrees and less than a block of `block_leaves` (a power of two) leaves.
    Large blocks suit many leaves, a block of one suits asking for many roots.
    """

    __slots__ = ("_block_bytes", "_complete", "_pending", "size")

    def __init__(self, block_leaves: int = 1 << 16) -> None:
        self.size = 0
        self._block_bytes = block_leaves * HASH_BYTES
        self._complete: list[tuple[int, bytes]] = []
        self._pending = bytearray()

    def add(self, hashes: bytes) -> None:
        """Add leaf hashes, 32 bytes each, in order."""
        self.size += len(hashes) // HASH_BYTES
        self._pending += hashes
        size = self._block_bytes
        whole = len(self._pending) // size * size
        for start in range(0, whole, size):
            self._push(size, _fold(bytes(self._pending[start : start + size])))
        del self._pending[:whole]

    def root(self) -> bytes:
        """Return the root (32 bytes) over all leaves added so far."""
        if self.size == 0:
            return EMPTY_ROOT
        subtrees = [subtree for _, subtree in self._complete]
        if self._pending:
            subtrees.append(_fold(bytes(self._pending)))
        result = subtrees.pop()
        while subtrees:
            result = node_hash(subtrees.pop(), result)
        return result

    def _push(self, span: int, subtree: bytes) -> None:
        while self._complete and self._complete[-1][0] == span:
            subtree = node_hash(self._complete.pop()[1], subtree)
            span *= 2
        self._complete.append((span, subtree))


def _fold(level: bytes) -> bytes:
    """Reduce a level of hashes to one; a last one without a partner moves up unchanged."""
    while len(level) > HASH_BYTES:
        paired = len(level) // _PAIR_BYTES * _PAIR_BYTES
        level = _parents(level[:paired]) + level[paired:]
    return level


def _parents(pairs: bytes) -> bytes:
    if len(pairs) >= _MANY_BYTES:
        return _many_parents(pairs)
    return b"".join(
        [
            sha256(NODE_PREFIX + pairs[at : at + _PAIR_BYTES]).digest()
            for at in range(0, len(pairs), _PAIR_BYTES)
        ]
    )


def _many_parents(pairs: bytes) -> bytes:
    """Do the same outside Python's interpreter lock, which is twice as fast for thousands."""
    buffers = [None, pa.py_buffer(pairs)]
    column = pa.Array.from_buffers(pa.binary(_PAIR_BYTES), len(pairs) // _PAIR_BYTES, buffers)
    nodes = (pl.lit(NODE_PREFIX) + pl.col("pair")).chash.sha2_256()  # type: ignore[attr-defined]
    frame = pl.DataFrame({"pair": pl.Series(column)}).select(nodes.alias("hex").str.join(""))
    return bytes.fromhex(frame.item())
