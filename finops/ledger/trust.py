"""The keys a ledger trusts: `ledger/keys/trust.json`, pinned by the genesis header."""

from typing import Final

from finops.ledger import canonical
from finops.ledger.note import VerifierKey

KEY: Final = "ledger/keys/trust.json"
VERSION: Final = "finops-trust/1"


def encode(vkeys: list[str]) -> bytes:
    """Write the list of trusted keys canonically."""
    return canonical.encode({"v": VERSION, "vkeys": list(vkeys)})


def decode(content: bytes) -> list[VerifierKey]:
    """Read the list of trusted keys; raises `ValueError` when it is not one."""
    named = canonical.object_of(dict(canonical.decode(content)), {"v", "vkeys"})
    if named["v"] != VERSION:
        raise ValueError(f"is not a {VERSION}")
    return [
        VerifierKey.parse(canonical.text_of(vkey)) for vkey in canonical.list_of(named["vkeys"])
    ]
