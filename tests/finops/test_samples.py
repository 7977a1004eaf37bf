import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.errors import DataError
from finops.raw import RawStore
from finops.samples import Samples
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import snapshot

NOON = datetime(2026, 10, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Counting(LocalWarehouse):
    """Tells which keys were listed, and which objects were opened."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: list[str] = []
        self.opened: list[str] = []

    def list(self, prefix: str) -> Iterator[str]:
        for key in super().list(prefix):
            self.listed.append(key)
            yield key

    def read(self, key: str) -> bytes:
        self.opened.append(key)
        return super().read(key)


def remembered(warehouse: LocalWarehouse, *hours: int, source: str = "gpus") -> None:
    for hour in hours:
        store = RawStore(warehouse)
        kept = store.keep(f"{hour}".encode(), "instances", {"hour": str(hour)})
        Samples(store, source).remember(NOON + hour * HOUR, [kept])


def seen(warehouse: LocalWarehouse, start: int, end: int) -> list[str]:
    found = Samples(RawStore(warehouse), "gpus").between(NOON + start * HOUR, NOON + end * HOUR)
    return [kept.receipt["hour"] for kept in found]


def test_samples_are_given_by_time_with_their_neighbors(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, 6, 3, 0, 4, 5, 1, 2)
    remembered(warehouse, 3, source="other")
    assert seen(warehouse, 2, 4) == ["1", "2", "3", "4"]
    assert seen(warehouse, 0, 9) == ["0", "1", "2", "3", "4", "5", "6"]
    assert seen(warehouse, -9, -8) == ["0"]
    assert seen(warehouse, 8, 9) == ["6"]
    assert Samples(RawStore(warehouse), "nobody").between(NOON, NOON + HOUR) == []


def test_all_replies_of_one_sample_come_together(warehouse: LocalWarehouse) -> None:
    store = RawStore(warehouse)
    kept = [store.keep(name.encode(), name) for name in ("instances", "prices")]
    Samples(store, "gpus").remember(NOON, kept)
    assert Samples(RawStore(warehouse), "gpus").between(NOON + HOUR, NOON + 2 * HOUR) == kept
    assert len(list(warehouse.list("samples/day="))) == 1


def test_the_same_reply_at_two_times_is_two_samples_of_one_object(
    warehouse: LocalWarehouse,
) -> None:
    store = RawStore(warehouse)
    for hour in range(2):
        Samples(store, "gpus").remember(
            NOON + hour * HOUR, [store.keep(b"idle", "x", {"hour": f"{hour}"})]
        )
    assert seen(warehouse, 0, 2) == ["0", "1"]


def test_a_sample_outlives_the_delivery_it_came_with(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, 0)
    store = RawStore(warehouse)
    sample = store.keep(b"new", "instances", {"hour": "1"})
    Samples(store, "gpus").remember(NOON + HOUR, [sample])
    before = snapshot(warehouse.root)
    store.keep(b"new", "other name")
    store.keep(b"events", "events")
    store.withdraw()
    assert snapshot(warehouse.root) == before
    assert seen(warehouse, 0, 2) == ["0", "1"]
    assert RawStore(warehouse).path(sample).read_bytes() == b"new"


def test_a_damaged_note_of_a_sample_is_named(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, 0)
    (key,) = warehouse.list("samples/day=")
    for damaged in (b"{", b"[1]", b"[]", b'{"sha256": "1"}'):
        warehouse.replace(key, damaged)
        with pytest.raises(DataError, match=r"samples/day=2026-10-03/source=gpus/.*restore it"):
            seen(warehouse, 0, 1)


def test_what_a_run_reads_does_not_grow_with_history(tmp_path: Path) -> None:
    told = []
    for name, first_hour in ("young", -72), ("old", -2400):
        warehouse = Counting(tmp_path / name)
        remembered(warehouse, *range(first_hour, 0, 6))
        warehouse.listed.clear()
        warehouse.opened.clear()
        assert len(seen(warehouse, -24, 0)) == 5
        told.append((len(warehouse.opened), len(warehouse.listed)))
    (few_opened, few_listed), (opened, listed) = told
    assert opened == few_opened
    assert listed - few_listed == 97  # one mark a day of history, no note


def test_notes_of_before_there_were_days_in_keys_are_found(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, *range(-48, 1, 12))
    for key in list(warehouse.list("samples/day=")):
        note = json.loads(warehouse.read(key))[0]
        at = key.split("/")[-2]
        warehouse.replace(f"samples/source=gpus/{at}/name.json", json.dumps(note).encode())
        warehouse.delete(key)
    for mark in list(warehouse.list("samples/days/")):
        warehouse.delete(mark)
    remembered(warehouse, 6)
    assert seen(warehouse, -100, 100) == ["-48", "-36", "-24", "-12", "0", "6"]
    assert seen(warehouse, -30, -20) == ["-36", "-24", "-12"]
    assert list(warehouse.list("samples/source=")) == []


def test_a_day_whose_notes_are_gone_is_passed_over(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, -72, -24, 24, 72)
    for day in ("2026-10-02", "2026-10-04"):
        (key,) = warehouse.list(f"samples/day={day}/")
        warehouse.delete(key)
    assert seen(warehouse, 0, 1) == ["-72", "72"]


@given(
    st.sets(st.integers(-200, 200), max_size=12),
    st.integers(-220, 220),
    st.integers(0, 100),
)
def test_any_window_has_its_samples_and_one_neighbor_on_each_side(
    hours: set[int], start: int, length: int
) -> None:
    end = start + length
    with tempfile.TemporaryDirectory() as folder:
        warehouse = LocalWarehouse(Path(folder))
        remembered(warehouse, *hours)
        expected = [
            *sorted(hour for hour in hours if hour < start)[-1:],
            *sorted(hour for hour in hours if start <= hour < end),
            *sorted(hour for hour in hours if hour >= end)[:1],
        ]
        assert seen(warehouse, start, end) == [str(hour) for hour in expected]
