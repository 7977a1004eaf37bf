"""Reporting a workload in a few lines, where `finops.AttributionEngine` is too much."""

from functools import cache
from pathlib import Path

from finops.reported import Event
from finops.spool import Spool


def append(folder: Path, event: Event, *, is_durable: bool = True) -> Path:
    """Append `event` to this process's file in `folder` (made when absent); gives the file.

    When this returns, the whole line is there; with `is_durable` it survives a power cut too.
    Raises `WarehouseError` when it cannot be written, and then nothing of it was.
    """
    return _spool(folder, is_durable).append(event)


@cache
def _spool(folder: Path, is_durable: bool) -> Spool:  # noqa: FBT001 - a key of the cache
    return Spool(folder, is_durable=is_durable)
