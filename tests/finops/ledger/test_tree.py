"""RFC 6962 trees against the Certificate Transparency test vectors, and against its definition."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from finops.ledger import tree

LEAVES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def definition(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash as section 2.1 of the RFC words it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + definition(leaves[:split]) + definition(leaves[split:])).digest()


def test_known_vectors() -> None:
    """Every prefix of the eight test leaves has the published root."""
    assert [tree.root(LEAVES[:n]).hex() for n in range(9)] == ROOTS


@settings(deadline=None)
@given(st.integers(0, 200), st.sampled_from([1, 2, 8, 1 << 14]))
def test_any_size_in_any_blocks(size: int, block: int) -> None:
    """How the leaves are blocked does not matter."""
    leaves = [str(n).encode() for n in range(size)]
    grown = tree.Tree(block_leaves=block)
    for leaf in leaves:
        grown.add(tree.leaf_hash(leaf))
    assert grown.root() == definition(leaves)


def test_many_leaves_at_once() -> None:
    """The fast way for thousands of nodes gives the same root."""
    leaves = [str(n).encode() for n in range(70_001)]
    grown = tree.Tree()
    grown.add(b"".join(map(tree.leaf_hash, leaves)))
    assert grown.root() == definition(leaves)
