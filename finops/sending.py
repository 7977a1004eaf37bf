"""Moving events out of the spool to where a source of the provider `sdk` reads them.

A finished file is copied whole and then removed. Of a file that is still written what is there is
copied, and the file stays. An event that was copied twice has the same id, and counts once.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from finops.spool import SUFFIX, finished

_SENT = ".sent.json"
"""How many bytes of each file that is still written were sent: unchanged ones are not sent again."""


class Place(Protocol):
    """Where events are sent to, such as a bucket; failures raise a `FinopsError`."""

    def replace(self, key: str, content: bytes, /) -> None:
        """Put a file, over an older one if need be; when this returns, it is there whole."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """Files that were moved away, and files of which a copy is there while they are written."""

    moved: int
    copied: int
    unchanged: int


def send(folder: Path, to: Place) -> Sent:
    """Send what lies in the spool `folder`.

    Raises what `to` raises when it cannot be written: what was not sent is in the spool still.
    """
    if not folder.is_dir():
        return Sent(0, 0, 0)
    moved = copied = unchanged = 0
    with _alone(folder):
        before, now = _remembered(folder), dict[str, int]()
        try:
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                handle = finished(path)
                if handle is not None:
                    try:
                        _move(path, to)
                    finally:
                        os.close(handle)
                    moved += 1
                    continue
                content = _whole_lines(path)
                if len(content) > before.get(path.name, 0):
                    to.replace(path.name, content)
                    copied += 1
                else:
                    unchanged += 1
                now[path.name] = len(content)
        finally:
            _remember(folder, {**before, **now})
    return Sent(moved, copied, unchanged)


def _move(path: Path, to: Place) -> None:
    content = path.read_bytes()
    if content:
        to.replace(path.name, content)
    path.unlink()


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else sends from this spool."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remembered(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / _SENT).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}  # then everything is sent once more


def _remember(folder: Path, sizes: Mapping[str, int]) -> None:
    there = {name: size for name, size in sizes.items() if (folder / name).exists()}
    made = folder / f"{_SENT}.tmp"
    made.write_text(json.dumps(there), encoding="utf-8")
    made.replace(folder / _SENT)
