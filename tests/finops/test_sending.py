"""Sending what lies in the spool: nothing is lost, whoever dies or cannot be reached."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from finops import sending
from finops.errors import WarehouseError
from finops.reported import Event, What, parse
from finops.sending import Sent
from finops.spool import Spool
from finops.warehouse.local import LocalWarehouse


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool")
    yield made
    made.close()


@pytest.fixture
def to(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "sent")


def event(id_: str) -> Event:
    return Event(id_, What.HEARTBEAT, "w", datetime(2026, 10, 1, tzinfo=UTC))


def ids(folder: Path) -> list[str]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.jsonl"))]
    return sorted(parse(line).id for text in texts for line in text.splitlines())


def test_what_is_still_written_is_copied_and_then_moved(spool: Spool, to: LocalWarehouse) -> None:
    spool.append(event("a"))
    assert sending.send(spool.folder, to) == Sent(moved=0, copied=1, unchanged=0)
    assert sending.send(spool.folder, to) == Sent(moved=0, copied=0, unchanged=1)
    spool.append(event("b"))
    assert sending.send(spool.folder, to).copied == 1
    assert ids(to.root) == ["a", "b"]
    spool.append(event("c"))
    spool.close()
    assert sending.send(spool.folder, to) == Sent(moved=1, copied=0, unchanged=0)
    assert ids(to.root) == ["a", "b", "c"]
    assert ids(spool.folder) == []
    spool.append(event("d"))
    sending.send(spool.folder, to)
    assert ids(to.root) == ["a", "b", "c", "d"]


def test_a_place_that_cannot_be_written_costs_nothing(
    spool: Spool, to: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(event("a"))
    spool.close()
    spool.append(event("b"))

    def refused(key: str, content: bytes | Path) -> None:
        raise WarehouseError("s3://nowhere: cannot be reached")

    monkeypatch.setattr(to, "replace", refused)
    with pytest.raises(WarehouseError, match="cannot be reached"):
        sending.send(spool.folder, to)
    assert ids(spool.folder) == ["a", "b"]
    monkeypatch.undo()
    sending.send(spool.folder, to)
    assert ids(to.root) == ["a", "b"]


def test_a_sender_that_died_before_it_removed_the_file_sends_it_again(
    spool: Spool, to: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(event("a"))
    spool.close()

    def died(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", died)
    with pytest.raises(KeyboardInterrupt):
        sending.send(spool.folder, to)
    monkeypatch.undo()
    assert sending.send(spool.folder, to).moved == 1
    assert ids(to.root) == ["a"]


def test_half_a_line_is_not_copied(spool: Spool, to: LocalWarehouse) -> None:
    path = spool.append(event("a"))
    with path.open("ab") as file:
        file.write(b'{"half')
    sending.send(spool.folder, to)
    assert ids(to.root) == ["a"]


def test_a_note_that_is_damaged_only_costs_a_copy(spool: Spool, to: LocalWarehouse) -> None:
    spool.append(event("a"))
    sending.send(spool.folder, to)
    (spool.folder / ".sent.json").write_text("{", encoding="utf-8")
    assert sending.send(spool.folder, to).copied == 1


def test_a_spool_that_is_not_there_has_nothing_to_send(tmp_path: Path, to: LocalWarehouse) -> None:
    assert sending.send(tmp_path / "none", to) == Sent(0, 0, 0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_writing_goes_on_while_it_is_sent(spool: Spool, to: LocalWarehouse) -> None:
    child = os.fork()
    if child == 0:
        try:
            for number in range(300):
                spool.append(event(f"child-{number}"))
                if number % 20 == 0:
                    spool.close()
        finally:
            os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        sending.send(spool.folder, to)
    sending.send(spool.folder, to)
    assert ids(spool.folder) == []
    assert set(ids(to.root)) == {f"child-{number}" for number in range(300)}
