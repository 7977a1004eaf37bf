"""The spool: a local folder in which events are safe until somebody takes them.

A process appends to a file of its own, which it keeps locked while it lives. A file without lock
is finished: nobody appends to it any more, so that it may be sent and removed. Callers that write
at the same time share one write and one sync.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path

from finops import forks
from finops.errors import WarehouseError
from finops.reported import Event

SUFFIX = ".jsonl"
_LARGEST_BYTES = 1 << 20
"""A file that is larger is finished, and the next one begun: what is sent anew stays small."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that somebody waits for, until its file is known or why there is none."""

    event: Event
    line: bytes
    file: "Future[Path]"


class Spool:
    """A file of this process's own in `folder`, which is made when absent."""

    def __init__(self, folder: Path, *, is_durable: bool = True) -> None:
        """Write to `folder`; with `is_durable` what was written survives a power cut too."""
        self.folder = folder
        self._is_durable = is_durable
        self._begin()
        forks.remember(self)

    def _begin(self) -> None:
        self._queue: list[_Waiting] = []
        self._queue_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._handle: int | None = None
        self._path = self.folder
        self._day: date | None = None

    def append(self, event: Event) -> Path:
        """Append `event`; when this returns the whole line is there. Gives the file.

        Raises `WarehouseError` when it cannot be written, and then nothing of it was.
        """
        return self.append_all([event])[0]

    def append_all(self, events: Iterable[Event]) -> list[Path]:
        """Append several events at once, as `append` does."""
        files = [self.queue(event) for event in events]
        self.write()
        return [file.result() for file in files]

    def queue(self, event: Event) -> "Future[Path]":
        """Have `event` written by the next `write`, whoever calls it; gives what `append` does."""
        one = _Waiting(event, event.line().encode(), Future())
        one.file.set_running_or_notify_cancel()  # so that who gives up waiting cannot undo it
        with self._queue_lock:
            self._queue.append(one)
        return one.file

    def write(self) -> None:
        """Write what has queued up; when this returns all that was queued before is decided."""
        with self._write_lock:
            # Empty when another caller wrote for us while we waited for the lock.
            with self._queue_lock:
                batch, self._queue = self._queue, []
            if batch:
                self._write(batch)

    def close(self) -> None:
        """Finish the file; the next event begins another one."""
        with self._write_lock:
            self._finish()

    def begin_in_child(self) -> None:
        """Leave the parent's file to the parent: a forked child writes one of its own."""
        if self._handle is not None:
            os.close(self._handle)
        self._begin()

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            path = self._append(batch[0].event.at.astimezone(UTC).date(), batch)
        except OSError as error:
            for one in batch:
                one.file.set_exception(self._refusal(one.event, error))
        else:
            for one in batch:
                one.file.set_result(path)

    def _append(self, day: date, batch: Sequence[_Waiting]) -> Path:
        handle = self._opened(day)
        before = os.fstat(handle).st_size
        lines = b"".join(one.line for one in batch)
        try:
            written = 0
            while written < len(lines):
                written += os.write(handle, lines[written:])
            if self._is_durable:
                os.fdatasync(handle)
        except OSError:
            # Half a line would swallow the next one.
            os.ftruncate(handle, before)
            raise
        path = self._path
        if before + len(lines) > _LARGEST_BYTES:
            self._finish()
        return path

    def _opened(self, day: date) -> int:
        if self._handle is not None and (day != self._day or not self._path.exists()):
            self._finish()
        if self._handle is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handle, self._path = _begun(self.folder, day)
            self._day = day
            if self._is_durable:
                _sync_folder(self.folder)
        return self._handle

    def _finish(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _refusal(self, event: Event, error: OSError) -> WarehouseError:
        refusal = WarehouseError(
            f"{self.folder}: cannot be written ({error.strerror or error}); free some space or "
            f"check the permissions, the event {event.id!r} was not reported"
        )
        refusal.__cause__ = error
        return refusal


def finished(path: Path) -> int | None:
    """Open and lock a file of the spool that nobody writes any more; `None` when somebody does.

    The handle is the caller's to close. While it is open nobody else takes the file either.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _begun(folder: Path, day: date) -> tuple[int, Path]:
    """Make a file named as no other on any machine, and lock it."""
    while True:
        path = folder / f"{day.isoformat()}-{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, path
        # A sender took the empty file for a finished one before it was locked.
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
