r"""Canonical JSON (RFC 8785, JCS) of text, nulls, lists and objects, and nothing else.

Numbers and booleans are left out because JSON readers disagree about them; a number is a
decimal string. What remains is canonical when keys are sorted, only `"`, `\` and controls are
escaped, and there is no white space, which is what Python's `json` writes with these settings.
Keys are ASCII, so sorting by code point is sorting by UTF-16 unit.
"""

import hashlib
import json
import re
from typing import NoReturn

Json = str | None | list["Json"] | dict[str, "Json"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,59}")


def encode(value: object) -> bytes:
    """Write `value` canonically; raises `ValueError` when it holds anything but text and null."""
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def decode(content: bytes) -> dict[str, Json]:
    """Read a canonical object; raises `ValueError` on any bytes that `encode` would not write."""
    try:
        value = json.loads(content.decode())
        if not isinstance(value, dict) or encode(value) != content:
            raise ValueError("is not a canonical JSON object (RFC 8785)")
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value


def digest(content: bytes) -> str:
    """Name `content` by its SHA-256, in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


def text_of(value: Json) -> str:
    """Expect text; raises `ValueError` otherwise."""
    return value if isinstance(value, str) else _refuse(value, "text")


def object_of(value: Json, keys: set[str] | None = None) -> dict[str, Json]:
    """Expect an object, with exactly `keys` when given; raises `ValueError` otherwise."""
    if not isinstance(value, dict):
        _refuse(value, "an object")
    if keys is not None and set(value) != keys:
        raise ValueError(f"lacks or adds the keys {sorted(set(value) ^ keys)}")
    return value


def list_of(value: Json) -> list[Json]:
    """Expect a list; raises `ValueError` otherwise."""
    return value if isinstance(value, list) else _refuse(value, "a list")


def number_of(value: Json) -> int:
    """Expect a decimal string; raises `ValueError` otherwise."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        _refuse(value, "a whole number in a string")
    return int(value)


def count_of(value: Json) -> int:
    """Expect a decimal string that is not negative; raises `ValueError` otherwise."""
    number = number_of(value)
    return number if number >= 0 else _refuse(value, "a count")


def digest_of(value: Json) -> str:
    """Expect a SHA-256 in lower-case hex; raises `ValueError` otherwise."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        _refuse(value, "a SHA-256 in hex")
    return value


def _refuse(value: object, wanted: str) -> NoReturn:
    raise ValueError(f"holds {str(value)[:80]!r} where {wanted} belongs")


def _check(value: object) -> None:
    if value is None or isinstance(value, str):
        return
    if isinstance(value, list):
        for part in value:
            _check(part)
    elif isinstance(value, dict) and all(isinstance(key, str) and key.isascii() for key in value):
        for part in value.values():
            _check(part)
    else:
        _refuse(value, "text, null, a list or an object with ASCII keys")
