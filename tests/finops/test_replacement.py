import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finops import replacement
from finops.warehouse.local import LocalWarehouse
from tests.finops.broken_stores import Killed, KilledAt
from tests.finops.company import snapshot

OLD = {"t/a": b"old a", "t/b": b"old b", "t/gone": b"old gone"}
NEW = {"t/a": b"new a", "t/b": b"new b", "t/c": b"new c"}


@pytest.fixture
def filled(warehouse: LocalWarehouse) -> LocalWarehouse:
    for key, content in OLD.items():
        warehouse.replace(key, content)
    return warehouse


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return written(tmp_path)


def written(folder: Path) -> dict[str, Path]:
    paths = {key: folder / key.replace("/", "-") for key in NEW}
    for key, path in paths.items():
        path.write_bytes(NEW[key])
    return paths


def table(warehouse: LocalWarehouse) -> dict[str, bytes]:
    return {key: warehouse.read(key) for key in warehouse.list("t/")}


def test_all_of_it(filled: LocalWarehouse, files: dict[str, Path]) -> None:
    replacement.replace_all(filled, "acme", files, gone=["t/gone", "t/never-was"])
    assert table(filled) == NEW
    assert list(filled.list("")) == sorted(NEW)
    assert not any(path.exists() for path in files.values())
    assert not replacement.is_decided(filled, "acme")


def crash_points(folder: Path) -> Iterator[int]:
    """Count the calls of an undisturbed replacement."""
    warehouse = LocalWarehouse(folder / "counting")
    counter = KilledAt(warehouse, 10**6)
    (folder / "files").mkdir()
    replacement.replace_all(counter, "acme", written(folder / "files"), gone=["t/gone"])
    yield from range(counter.calls)


def test_killed_anywhere_it_is_all_or_nothing(tmp_path: Path) -> None:
    outcomes = []
    for last in crash_points(tmp_path):
        folder = tmp_path / str(last)
        folder.mkdir()
        warehouse = LocalWarehouse(folder / "warehouse")
        for key, content in OLD.items():
            warehouse.replace(key, content)
        with pytest.raises(Killed):
            replacement.replace_all(
                KilledAt(warehouse, last), "acme", written(folder), gone=["t/gone"]
            )
        decided = replacement.is_decided(warehouse, "acme")
        assert replacement.finish(warehouse) == int(decided)
        assert table(warehouse) == (NEW if decided else OLD)
        outcomes.append(decided)
        replacement.replace_all(warehouse, "acme", written(folder), gone=["t/gone"])
        assert table(warehouse) == NEW
    assert outcomes == sorted(outcomes), "once decided, it stays decided"
    assert set(outcomes) == {True, False}


def test_killed_again_and_again_while_finishing(filled: LocalWarehouse) -> None:
    for key, content in NEW.items():
        filled.replace(f"staging/1/{key}", content)
    moves = {f"staging/1/{key}": key for key in NEW}
    plan = json.dumps({"moves": moves, "gone": ["t/gone"]})
    filled.replace("intents/acme/1.json", plan.encode())
    deaths = 0
    while replacement.is_decided(filled, "acme"):
        try:
            replacement.finish(KilledAt(filled, deaths))
        except Killed:
            deaths += 1
    assert deaths > len(NEW)
    assert table(filled) == NEW
    assert list(filled.list("")) == sorted(NEW)


def test_a_fault_before_the_decision_leaves_nothing(
    filled: LocalWarehouse, files: dict[str, Path]
) -> None:
    before = snapshot(filled.root)
    files["t/c"].unlink()
    with pytest.raises(Exception, match="cannot write"):
        replacement.replace_all(filled, "acme", files)
    assert snapshot(filled.root) == before


def test_an_owner_finishes_only_its_own(filled: LocalWarehouse, files: dict[str, Path]) -> None:
    filled.replace("intents/acme/1.json", b'{"moves": {}, "gone": ["t/a"]}')
    filled.replace("intents/acme-2/2.json", b'{"moves": {}, "gone": ["t/b"]}')
    assert replacement.finish(filled, "acme") == 1
    assert sorted(table(filled)) == ["t/b", "t/gone"]
    assert replacement.is_decided(filled, "acme-2")
    assert replacement.finish(filled) == 1
    assert sorted(table(filled)) == ["t/gone"]


def test_a_new_replacement_finishes_the_old_one_first(
    filled: LocalWarehouse, files: dict[str, Path]
) -> None:
    filled.replace("staging/1/t/a", b"from the old one")
    filled.replace("staging/1/t/z", b"from the old one")
    plan = b'{"moves": {"staging/1/t/a": "t/a", "staging/1/t/z": "t/z"}, "gone": []}'
    filled.replace("intents/acme/z.json", plan)
    replacement.replace_all(filled, "acme", files, gone=["t/gone"])
    assert table(filled) == {**NEW, "t/z": b"from the old one"}


def test_what_a_killed_run_staged_is_swept_a_day_later(
    filled: LocalWarehouse, files: dict[str, Path]
) -> None:
    with pytest.raises(Killed):
        replacement.replace_all(KilledAt(filled, 5), "acme", files)
    staged = list(filled.list("staging/"))
    assert staged
    now = datetime.now(UTC)
    assert replacement.sweep(filled, now + timedelta(hours=23)) == 0
    assert list(filled.list("staging/")) == staged
    assert replacement.sweep(filled, now + timedelta(hours=25)) == len(staged)
    assert list(filled.list("")) == sorted(OLD)


def test_what_was_decided_is_never_swept(filled: LocalWarehouse) -> None:
    intent = "20200101T000000Z-1"
    filled.replace(f"staging/{intent}/t/a", b"new a")
    plan = {"moves": {f"staging/{intent}/t/a": "t/a"}, "gone": []}
    filled.replace(f"intents/acme/{intent}.json", json.dumps(plan).encode())
    assert replacement.sweep(filled, datetime.now(UTC)) == 0
    assert replacement.finish(filled) == 1
    assert filled.read("t/a") == b"new a"
