"""Names: the slugs that identify cost centers."""

import re
import unicodedata
from typing import Annotated

from pydantic import BeforeValidator


def slug(name: str) -> str:
    """Bring a name to its identity: `AI Division`, `ai-division` and `ai_division` are one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def _identity(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not slug(value):
        raise ValueError(f"{value!r} has no letter a to z and no digit; give it an id that has")
    return slug(value)


Slug = Annotated[str, BeforeValidator(_identity)]
"""A name in a settings file, brought to its identity."""
