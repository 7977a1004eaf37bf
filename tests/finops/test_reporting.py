"""Appending events: whole lines, one file a process, and nothing half-written."""

import errno
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finops.errors import WarehouseError
from finops.reported import Event, What, parse
from finops.reporting import append

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
_CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from finops.reported import Event, What
from finops.reporting import append
for place in range(20):
    event = Event(f"{sys.argv[2]}-{place}", What.HEARTBEAT, "w", datetime(2026, 10, 1, tzinfo=UTC))
    append(Path(sys.argv[1]), event, is_durable=False)
"""


def heartbeat(name: str, at: datetime = NOON) -> Event:
    return Event(name, What.HEARTBEAT, "w", at)


def read(folder: Path) -> list[str]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.jsonl"))]
    assert all(text.endswith("\n") for text in texts)
    return sorted(parse(line).id for text in texts for line in text.splitlines())


def test_a_file_a_process_and_day(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    first = append(folder, heartbeat("a"))
    assert append(folder, heartbeat("b")) == first
    assert append(folder, heartbeat("c", NOON + timedelta(days=1))) != first
    assert first.name.startswith(f"2026-10-01-{os.getpid()}-")
    assert read(folder) == ["a", "b", "c"]


def test_threads_and_processes_lose_nothing(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path), name]) for name in "xy"
    ]
    threads = [
        threading.Thread(
            target=lambda mine: [append(tmp_path, heartbeat(f"{mine}-{n}")) for n in range(20)],
            args=(mine,),
        )
        for mine in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait() for child in children] == [0, 0]
    assert len(list(tmp_path.glob("*.jsonl"))) == 3
    assert read(tmp_path) == sorted(f"{mine}-{n}" for mine in "abxy" for n in range(20))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path, heartbeat("a"))
    write = os.write

    def full(handle: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[:-10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(WarehouseError, match=r"No space left.*'b' was not reported"):
        append(tmp_path, heartbeat("b"))
    monkeypatch.undo()
    append(tmp_path, heartbeat("c"))
    assert read(tmp_path) == ["a", "c"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("a file")
    with pytest.raises(WarehouseError, match="cannot be written"):
        append(tmp_path / "events", heartbeat("a"))
