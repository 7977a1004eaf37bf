"""Files that come with the software: reference tables, the demo company, templates."""

from pathlib import Path


def folder(name: str) -> Path:
    """Find a shipped folder: inside the installed package, or in the checkout's `data`."""
    packaged = Path(__file__).parent / "_data" / name
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "data" / name
