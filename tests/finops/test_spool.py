"""The spool: one locked file a process, whole lines, and callers that share a write."""

import fcntl
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from finops import spool
from finops.errors import WarehouseError
from finops.reported import Event, What, parse
from finops.spool import Spool, finished

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from finops.reported import Event, What
from finops.spool import Spool
path = Spool(Path(sys.argv[1])).append(
    Event("a", What.START, "w", datetime(2026, 10, 1, tzinfo=UTC)))
print(path, flush=True)
sys.stdin.read()
"""


def heartbeat(id_: str) -> Event:
    return Event(id_, What.HEARTBEAT, "w", NOON)


def ids(folder: Path) -> list[str]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.jsonl"))]
    return [parse(line).id for text in texts for line in text.splitlines()]


def test_a_file_is_finished_when_its_process_is_gone_however_it_went(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        path = Path(writer.stdout.readline().strip())
        assert finished(path) is None
        writer.kill()
    handle = finished(path)
    assert handle is not None
    assert finished(path) is None
    os.close(handle)
    assert ids(tmp_path) == ["a"]


def test_a_large_file_is_finished_and_the_next_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_LARGEST_BYTES", 400)
    mine = Spool(tmp_path)
    paths = [mine.append(heartbeat(str(number))) for number in range(9)]
    assert len(set(paths)) > 2
    handle = finished(paths[0])
    assert handle is not None
    os.close(handle)
    assert sorted(ids(tmp_path)) == [str(number) for number in range(9)]


def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    mine.append(heartbeat("a")).unlink()
    mine.append(heartbeat("b"))
    assert ids(tmp_path) == ["b"]


def test_an_empty_file_taken_before_it_was_locked_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    taken: list[Path] = []

    def taking(handle: int, operation: int) -> None:
        if not taken:
            taken.extend(tmp_path.glob("*.jsonl"))
            taken[0].unlink()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", taking)
    path = Spool(tmp_path).append(heartbeat("a"))
    assert path != taken[0]
    assert ids(tmp_path) == ["a"]


def test_who_writes_at_the_same_time_shares_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    write = os.write

    def counted(handle: int, content: bytes) -> int:
        writes.append(len(content))
        return write(handle, content)

    monkeypatch.setattr(os, "write", counted)
    mine = Spool(tmp_path)
    mine._write_lock.acquire()
    threads = [
        threading.Thread(target=mine.append, args=(heartbeat(str(number)),)) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    while len(mine._queue) < 20:
        pass
    mine._write_lock.release()
    for thread in threads:
        thread.join()
    assert len(writes) == 1
    assert sorted(ids(tmp_path)) == sorted(map(str, range(20)))


def test_everybody_whose_write_failed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Spool(tmp_path)
    mine.append(heartbeat("a"))

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(WarehouseError, match=r"Input/output error.*'b' was not reported"):
        mine.append_all([heartbeat("b"), heartbeat("c")])
    monkeypatch.undo()
    mine.append(heartbeat("d"))
    assert ids(tmp_path) == ["a", "d"]
