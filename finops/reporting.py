"""Reporting a workload: append its events to a file that only this process writes.

One file a process and UTC day, so that nobody waits for anybody and no line is torn by another.
"""

import os
import secrets
import threading
from datetime import UTC
from functools import cache
from pathlib import Path

from finops.errors import WarehouseError
from finops.reported import Event

_ONE_AT_A_TIME = threading.Lock()


def append(folder: Path, event: Event, *, is_durable: bool = True) -> Path:
    """Append `event` to this process's file in `folder` (made when absent); gives the file.

    When this returns, the whole line is there; with `is_durable` it survives a power cut too.
    Raises `WarehouseError` when it cannot be written, and then nothing of it was.
    """
    path = folder / f"{event.at.astimezone(UTC):%Y-%m-%d}-{_process(os.getpid())}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _ONE_AT_A_TIME:
            _append(path, event.line().encode(), is_durable=is_durable)
    except OSError as error:
        raise WarehouseError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or check "
            f"the permissions, the event {event.id!r} was not reported"
        ) from error
    return path


@cache
def _process(pid: int) -> str:
    """Name this process, and a forked child differently, as no other on any machine."""
    return f"{pid}-{secrets.token_hex(8)}"


def _append(path: Path, line: bytes, *, is_durable: bool) -> None:
    is_new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        before = os.fstat(handle).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(handle, line[written:])
        except OSError:
            # Half a line would swallow the next one.
            os.ftruncate(handle, before)
            raise
        if is_durable:
            os.fsync(handle)
    finally:
        os.close(handle)
    if is_new and is_durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
