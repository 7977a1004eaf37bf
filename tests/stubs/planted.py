"""Looking for a planted secret in everything that a warehouse holds."""

from pathlib import Path

import polars as pl

SECRET = "hf_PLANTEDsecret0123456789"


def found_in(root: Path) -> list[str]:
    """Name the files that hold the secret, also packed in a table."""
    return [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*"))
        if path.is_file() and SECRET in _text(path)
    ]


def _text(path: Path) -> str:
    if path.suffix == ".parquet":
        return pl.read_parquet(path, glob=False).write_json()
    return path.read_bytes().decode("utf-8", "replace")
