"""Replies saved in a folder, instead of the network: for demonstrations and for support cases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx

from finops.errors import Terminal
from providers.http import Reply


class Replies(Protocol):
    """What replies come from: an `Api`, or a folder of saved ones."""

    def get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        tolerate: frozenset[int] = frozenset(),
    ) -> Reply: ...


class Recorded:
    """Saved replies: `/v2/pods` is the file `v2/pods.json`.

    A reply that depends on a parameter is `v2/pods.VALUE.json`, with the parameter's value; the
    first parameter for which there is such a file decides. A missing file answers 404.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        tolerate: frozenset[int] = frozenset(),
    ) -> Reply:
        """Read a saved reply; raises `Terminal` when there is none, unless 404 is tolerated."""
        asked = dict(parameters or {})
        plain = path.strip("/")
        special = [f"{plain}.{value}" for value in asked.values() if "/" not in value]
        for name in [*special, plain]:
            file = self._root / f"{name}.json"
            if file.is_file():
                return Reply(path, asked, httpx.codes.OK, {}, file.read_bytes())
        if httpx.codes.NOT_FOUND in tolerate:
            return Reply(path, asked, httpx.codes.NOT_FOUND, {}, b"")
        raise Terminal(
            f"{self._root / plain}.json: cannot be read; save the provider's reply to {path} "
            f"there, or remove 'recorded' from the settings to ask the provider"
        )
