"""Ed25519 keys, C2SP signed notes and C2SP tlog checkpoints.

Formats: https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint. Parsing is strict:
bytes that signing would not have produced are refused with `ValueError`, so a changed bit
anywhere in a note, even in base64's padding, is found.
"""

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from finops.errors import LedgerError

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY+"
_NAME = re.compile(r"[!-*,-~]+")
_KEY_ID_BYTES = 4
_MATERIAL_BYTES = 33
_OWNER_ONLY = 0o600


def unbase64(text: str) -> bytes:
    """Decode canonical base64; raises `ValueError` when another text encodes the same bytes."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{text[:80]!r} is not base64") from None
    if base64.b64encode(content).decode() != text:
        raise ValueError(f"{text[:80]!r} is not canonical base64")
    return content


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> "VerifierKey":
        """Read `name+key id+base64`; raises `ValueError` on anything else."""
        name, key_id, material = _parts(vkey)
        key = cls(name, material)
        if key.key_id.hex() != key_id:
            raise ValueError(f"the key id in {vkey[:80]!r} does not belong to the key")
        return key

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that say which key made a signature."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        material = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether this key made `signature` (64 bytes) over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """An Ed25519 key that signs checkpoints and headers under a name (the ledger's origin)."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if not _NAME.fullmatch(name):
            raise LedgerError(
                f"{name!r} cannot name a key: use printable ASCII without spaces and '+', "
                f"such as acme.example/finops"
            )
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """Make a new key from the operating system's randomness."""
        return cls(name, os.urandom(32))

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "SigningKey":
        """Make the key that a 32-byte secret stands for."""
        return cls(name, seed)

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a key that `save` wrote.

        Raises `LedgerError` when it is missing, open to others or not a key.
        """
        try:
            mode = path.stat().st_mode & 0o777
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(
                f"cannot read the signing key {path}: {error}; "
                f"restore it, or make one for a new ledger"
            ) from None
        if mode & ~_OWNER_ONLY:
            raise LedgerError(
                f"the signing key {path} is open to others (mode {mode:o}); run: chmod 600 {path}"
            )
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str = "the given text") -> "SigningKey":
        """Read `PRIVATE+KEY+name+key id+base64`, as `save` writes it; `LedgerError` otherwise."""
        try:
            name, key_id, seed = _parts(text.strip().removeprefix(_PRIVATE))
        except ValueError:
            # The reason could quote the secret.
            raise LedgerError(_not_a_key(where)) from None
        key = cls(name, seed)
        if key.verifier.key_id.hex() != key_id:
            raise LedgerError(_not_a_key(where))
        return key

    def save(self, path: Path) -> None:
        """Write the key for its owner alone (mode 0600); raises `LedgerError` over an old file."""
        material = base64.b64encode(_ED25519 + self._seed).decode()
        text = f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{material}\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        except OSError as error:
            raise LedgerError(
                f"cannot write the signing key {path}: {error.strerror}; "
                f"an existing key is never overwritten, choose another place"
            ) from None
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    @property
    def vkey(self) -> str:
        """The public key as C2SP text: `name+key id+base64`."""
        return str(self.verifier)

    def sign(self, message: bytes) -> bytes:
        """Sign `message` (64 bytes)."""
        return self._private.sign(message)


def _not_a_key(where: str) -> str:
    return f"{where} is not a signing key ({_PRIVATE}name+id+base64); restore it from your backup"


def _parts(key: str) -> tuple[str, str, bytes]:
    """Split `name+key id+base64 of 0x01 and 32 bytes`."""
    name, _, rest = key.partition("+")
    key_id, _, text = rest.partition("+")
    material = unbase64(text)
    if not _NAME.fullmatch(name) or len(material) != _MATERIAL_BYTES or material[:1] != _ED25519:
        raise ValueError(f"{key[:12]!r}... is not an Ed25519 note key")
    return name, key_id, material[1:]
