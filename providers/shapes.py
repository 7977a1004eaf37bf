"""Reading JSON values whose kind is not what it should be: a fault at the door, not later.

All raise `TypeError` or `ValueError`; the reader of a reply turns them into a `DataError` that
names the reply.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_BEYOND = Decimal(10) ** 20
"""Amounts and quantities have 20 digits before the point."""


def text(value: Any) -> str:
    """Take text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def optional_text(value: Any) -> str | None:
    """Take text, or null."""
    return None if value is None else text(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Take an object; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r:.40} is no object")
    return value


def number(value: Any) -> Decimal:
    """Take a number, also one written as text."""
    if isinstance(value, bool) or not isinstance(value, str | Decimal | int):
        raise TypeError(f"{value!r:.40} is no number")
    found = Decimal(value)
    if not found.is_finite() or abs(found) >= _BEYOND:
        raise ValueError(f"{value!r:.40} is no number of at most 20 digits before the point")
    return found


def whole(value: Any) -> int:
    """Take a count that fits into 64 bits."""
    found = int(number(value))
    if not -(2**63) <= found < 2**63:
        raise ValueError(f"{value!r:.40} is too large for a count")
    return found
