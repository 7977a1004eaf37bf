"""Leaving out of a kept reply what may hold the users' secrets.

Replies are evidence and kept as they came. These few are not: nothing else would keep secrets that
happen to stand beside the facts out of the warehouse. Numbers with a fraction become text.
"""

import json
from decimal import Decimal
from typing import Any

LEFT_OUT = "left_out"
"""The field of a receipt that says what is not in the kept bytes."""


def without(body: bytes, members: frozenset[str]) -> bytes:
    """Drop the members of these names, at any depth; without such a member nothing changes."""
    if not any(f'"{name}"'.encode() in body for name in members):
        return body
    return written(_without(json.loads(body, parse_float=Decimal), members))


def written(document: Any) -> bytes:
    """Write what is left of a reply, the same text for the same facts."""
    return json.dumps(document, default=str, indent=1, sort_keys=True).encode()


def _without(value: Any, members: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: _without(each, members) for name, each in value.items() if name not in members
        }
    if isinstance(value, list):
        return [_without(each, members) for each in value]
    return value
