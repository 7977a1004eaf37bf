"""Keys, signed notes and checkpoints: what signing makes is read back, nothing else is."""

from pathlib import Path

import pytest

from finops.errors import LedgerError
from finops.ledger import SigningKey, checkpoint
from finops.ledger.note import VerifierKey, unbase64

from .entries import KEY, ORIGIN

ROOT = bytes(range(32))


def test_published_note_key() -> None:
    """The key of the signed-note reference implementation's tests has its known key id."""
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert str(VerifierKey.parse(vkey)) == vkey


def test_published_private_key_signs_the_published_note() -> None:
    """Go's note package documents this key and the signature it makes."""
    key = SigningKey.parse(
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    )
    text = (
        b"If you think cryptography is the answer to your problem,\n"
        b"then you don't know what your problem is.\n"
    )
    signature = unbase64(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    assert key.verifier.key_id + key.sign(text) == signature


def test_checkpoint_comes_back() -> None:
    """A signed checkpoint opens to what was signed."""
    signed = checkpoint.sign(ORIGIN, 43, ROOT, KEY)
    assert checkpoint.open_note(signed.note.encode(), [KEY.verifier]) == signed
    assert signed.root_hash == ROOT


def test_every_flipped_bit_of_a_checkpoint_is_refused() -> None:
    """Not one bit of a note can change, base64's padding bits included."""
    note = checkpoint.sign(ORIGIN, 43, ROOT, KEY).note.encode()
    for at in range(len(note)):
        for bit in range(8):
            changed = note[:at] + bytes([note[at] ^ (1 << bit)]) + note[at + 1 :]
            with pytest.raises(ValueError, match=r"."):
                checkpoint.open_note(changed, [KEY.verifier])


def test_another_key_of_the_same_name_is_refused() -> None:
    """The name alone makes nobody trusted."""
    impostor = SigningKey.generate(ORIGIN)
    note = checkpoint.sign(ORIGIN, 1, ROOT, impostor).note.encode()
    with pytest.raises(ValueError, match="no valid signature"):
        checkpoint.open_note(note, [KEY.verifier])


def test_key_file_comes_back(tmp_path: Path) -> None:
    """A key is saved for its owner alone, and never over another."""
    path = tmp_path / "ledger.key"
    KEY.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).vkey == KEY.vkey
    with pytest.raises(LedgerError, match="never overwritten"):
        KEY.save(path)


def test_open_or_broken_key_file_is_refused(tmp_path: Path) -> None:
    """The message says what to do, and never shows the secret."""
    path = tmp_path / "ledger.key"
    KEY.save(path)
    text = path.read_text()
    path.chmod(0o644)
    with pytest.raises(LedgerError, match="chmod 600"):
        SigningKey.load(path)
    path.chmod(0o600)
    path.write_text(text[:-5])
    with pytest.raises(LedgerError, match="is not a signing key") as caught:
        SigningKey.load(path)
    assert text[-20:-5] not in str(caught.value)
    with pytest.raises(LedgerError, match="cannot read"):
        SigningKey.load(tmp_path / "none")
