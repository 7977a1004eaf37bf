"""Names: the slugs that identify cost centers."""

import re
import unicodedata


def slug(name: str) -> str:
    """Bring a name to its identity: `AI Division`, `ai-division` and `ai_division` are one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
