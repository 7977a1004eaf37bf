"""Pseudonyms: who did it, without saying who it is.

A pseudonym is a keyed hash of the user's name. Without the key nobody can compute or test it, not
even for a name that he can guess; with the key, whoever may use it finds a person's rows. Losing
or destroying the key makes every pseudonym anonymous for good.
"""

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from pathlib import Path

from finops.errors import ConfigError

KEY_VARIABLE = "FINOPS_PSEUDONYM_KEY"
FILE_NAME = "pseudonyms.key"
_KEY_BYTES = 32
_SHOWN_DIGITS = 32
_PSEUDONYM = re.compile(rf"u-[0-9a-f]{{{_SHOWN_DIGITS}}}")


def pseudonym(user: str, key: bytes) -> str:
    """Give the pseudonym of `user`, such as `u-` and 32 digits; one that is given stays.

    Capitals and space around the name mean nothing: `Alice@company.com` is `alice@company.com`.
    """
    if _PSEUDONYM.fullmatch(user):
        return user
    named = unicodedata.normalize("NFC", user).strip().casefold()
    if not named:
        raise ConfigError("user_id: is empty; leave it out, or name the user")
    digest = hmac.new(key, named.encode(), hashlib.sha256).hexdigest()
    return f"u-{digest[:_SHOWN_DIGITS]}"


def load_key(path: Path) -> bytes:
    """Read the key from FINOPS_PSEUDONYM_KEY or the file at `path`, which is made when absent.

    Raises `ConfigError` for what is no key of 64 hexadecimal digits, and when none can be made.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text:
        return _parsed(text, KEY_VARIABLE)
    try:
        if not path.exists():
            _make(path)
        return _parsed(path.read_text(encoding="ascii"), str(path))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read or made ({error.strerror or error}); make it readable, or "
            f"set {KEY_VARIABLE}"
        ) from None
    except UnicodeDecodeError:
        raise _no_key(str(path)) from None


def _make(path: Path) -> None:
    """Make a key for its owner's eyes; of two processes that do it at once, the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(_KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, path)
        except FileExistsError:
            return
    finally:
        made.unlink(missing_ok=True)


def _parsed(text: str, where: str) -> bytes:
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * _KEY_BYTES}}}", text.strip()):
        raise _no_key(where)
    return bytes.fromhex(text.strip())


def _no_key(where: str) -> ConfigError:
    return ConfigError(
        f"{where}: holds no key of {2 * _KEY_BYTES} hexadecimal digits; restore it from a backup: "
        f"with another key the same people get other pseudonyms"
    )
