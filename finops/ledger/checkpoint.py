"""C2SP checkpoints: the signed head of a ledger (https://c2sp.org/tlog-checkpoint).

acme.example/finops
43
qtbFx4kkJcTXYLcMG1YDhYNdQKtB2iCCRoaVNEmXUC0=

— acme.example/finops Nr3Ym2mN…
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from finops.ledger.note import SigningKey, VerifierKey, unbase64

_SIGNATURE = re.compile(r"— (\S+) (\S+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_ROOT_BYTES = 32
_CLAIM_LINES = 3
_KEY_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed claim: the ledger `origin` has `size` headers, and their tree has this root.

    `root` is base64 as in the note; `note` is the whole signed text.
    """

    origin: str
    size: int
    root: str
    note: str

    @property
    def root_hash(self) -> bytes:
        """The root's 32 bytes."""
        return base64.b64decode(self.root)


def sign(origin: str, size: int, root: bytes, key: SigningKey) -> Checkpoint:
    """Make the checkpoint of a tree of `size` headers with `root` (32 bytes)."""
    encoded = base64.b64encode(root).decode()
    body = f"{origin}\n{size}\n{encoded}\n"
    signature = key.verifier.key_id + key.sign(body.encode())
    line = f"— {key.verifier.name} {base64.b64encode(signature).decode()}\n"
    return Checkpoint(origin, size, encoded, f"{body}\n{line}")


def open_note(content: bytes, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Read a checkpoint that one of `keys` signed; raises `ValueError` on anything else."""
    try:
        note = content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    body, blank, signatures = note.partition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise ValueError("is not a signed note")
    body += "\n"
    lines = [_signature(line) for line in signatures[:-1].split("\n")]
    if not _is_signed(body.encode(), lines, list(keys)):
        raise ValueError("carries no valid signature of a trusted key")
    origin, size, root = _claim(body)
    return Checkpoint(origin, size, root, note)


def _signature(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        raise ValueError("has a malformed signature line")
    return match[1], unbase64(match[2])


def _is_signed(
    message: bytes, signatures: list[tuple[str, bytes]], keys: list[VerifierKey]
) -> bool:
    """Tell whether each signature is by a trusted key: an unknown one is refused, not skipped."""
    return all(
        any(
            key.name == name
            and key.key_id == signature[:_KEY_ID_BYTES]
            and key.verifies(signature[_KEY_ID_BYTES:], message)
            for key in keys
        )
        for name, signature in signatures
    )


def _claim(body: str) -> tuple[str, int, str]:
    lines = body.split("\n")
    if len(lines) != _CLAIM_LINES + 1 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise ValueError("is not an origin, a size and a root, each on its own line")
    if len(unbase64(lines[2])) != _ROOT_BYTES:
        raise ValueError("has a root that is not 32 bytes")
    return lines[0], int(lines[1]), lines[2]
