import hashlib
import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.errors import DataError, WarehouseError
from finops.partition import Partition, Window
from finops.raw import RawStore, Scope
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import snapshot


def test_bytes_are_kept_verbatim_with_their_receipt(warehouse: LocalWarehouse) -> None:
    content = b"\x00\xff not text\r\n"
    kept = RawStore(warehouse).keep(content, "bill", {"endpoint": "https://a.example/bill"})
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert kept.size_bytes == len(content)
    assert warehouse.read(kept.key) == content
    (receipt,) = warehouse.list(f"{kept.key}.")
    assert json.loads(warehouse.read(receipt)) == {
        "name": "bill",
        "sha256": kept.sha256,
        "size_bytes": len(content),
        "endpoint": "https://a.example/bill",
    }


def test_a_file_is_kept_as_its_bytes_are(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(b"x" * 3_000_000)
    store = RawStore(warehouse)
    assert store.keep(path, "a") == store.keep(path.read_bytes(), "a")
    assert path.exists()


def test_what_is_kept_is_never_rewritten(warehouse: LocalWarehouse) -> None:
    RawStore(warehouse).keep(b"1", "bill", {"etag": "first"})
    before = snapshot(warehouse.root)
    RawStore(warehouse).keep(b"1", "bill", {"etag": "second"})
    assert snapshot(warehouse.root) == before


def test_the_same_bytes_under_two_names_have_two_receipts(warehouse: LocalWarehouse) -> None:
    store = RawStore(warehouse)
    first, second = store.keep(b"1", "a"), store.keep(b"1", "b")
    assert first.key == second.key
    assert len(list(warehouse.list(f"{first.key}."))) == 2


def test_withdrawing_takes_back_only_what_was_added(warehouse: LocalWarehouse) -> None:
    RawStore(warehouse).keep(b"1", "a")
    before = snapshot(warehouse.root)
    store = RawStore(warehouse)
    store.keep(b"1", "a")
    store.keep(b"1", "other name")
    store.keep(b"2", "b")
    store.withdraw()
    assert snapshot(warehouse.root) == before


def test_what_is_known_by_name_is_found_again_until_its_bytes_change(
    warehouse: LocalWarehouse,
) -> None:
    kept = RawStore(warehouse).keep_known(b"rows", "day", {"kind": "rows"})
    store = RawStore(warehouse)
    assert store.known("day") == kept
    assert store.known("other day") is None
    (warehouse.root / kept.key).write_bytes(b"changed")
    assert store.known("day") is None
    warehouse.delete(kept.key)
    assert store.known("day") is None


def test_a_withdrawn_name_is_not_known(warehouse: LocalWarehouse) -> None:
    store = RawStore(warehouse)
    store.keep_known(b"rows", "day", {})
    store.withdraw()
    assert store.known("day") is None
    assert snapshot(warehouse.root) == {}


def test_a_file_that_cannot_be_read_is_not_kept(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RawStore(warehouse).keep(tmp_path / "gone", "a")
    assert list(warehouse.list("")) == []


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "warehouse").write_bytes(b"a file, no folder")
    with pytest.raises(WarehouseError, match="cannot write"):
        RawStore(LocalWarehouse(tmp_path / "warehouse")).keep(b"1", "a")


NOON = datetime(2026, 10, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def remembered(warehouse: LocalWarehouse, *hours: int, source: str = "gpus") -> None:
    for hour in hours:
        store = RawStore(warehouse)
        kept = store.keep(f"{hour}".encode(), "instances", {"hour": str(hour)})
        store.remember(source, NOON + hour * HOUR, [kept])


def seen(warehouse: LocalWarehouse, start: int, end: int) -> list[str]:
    found = RawStore(warehouse).samples("gpus", NOON + start * HOUR, NOON + end * HOUR)
    return [kept.receipt["hour"] for kept in found]


def test_samples_are_given_by_time_with_their_neighbors(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, 6, 3, 0, 4, 5, 1, 2)
    remembered(warehouse, 3, source="other")
    assert seen(warehouse, 2, 4) == ["1", "2", "3", "4"]
    assert seen(warehouse, 0, 9) == ["0", "1", "2", "3", "4", "5", "6"]
    assert seen(warehouse, -9, -8) == ["0"]
    assert seen(warehouse, 8, 9) == ["6"]
    assert RawStore(warehouse).samples("nobody", NOON, NOON + HOUR) == []


def test_all_replies_of_one_sample_come_together(warehouse: LocalWarehouse) -> None:
    store = RawStore(warehouse)
    kept = [store.keep(name.encode(), name) for name in ("instances", "prices")]
    store.remember("gpus", NOON, kept)
    assert sorted(RawStore(warehouse).samples("gpus", NOON + HOUR, NOON + 2 * HOUR), key=str) == (
        sorted(kept, key=str)
    )


def test_the_same_reply_at_two_times_is_two_samples_of_one_object(
    warehouse: LocalWarehouse,
) -> None:
    store = RawStore(warehouse)
    for hour in range(2):
        store.remember("gpus", NOON + hour * HOUR, [store.keep(b"idle", "x", {"hour": f"{hour}"})])
    assert seen(warehouse, 0, 2) == ["0", "1"]


def test_a_sample_outlives_the_delivery_it_came_with(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, 0)
    store = RawStore(warehouse)
    sample = store.keep(b"new", "instances", {"hour": "1"})
    store.remember("gpus", NOON + HOUR, [sample])
    before = snapshot(warehouse.root)
    store.keep(b"new", "other name")
    store.keep(b"events", "events")
    store.withdraw()
    assert snapshot(warehouse.root) == before
    assert seen(warehouse, 0, 2) == ["0", "1"]
    assert RawStore(warehouse).path(sample).read_bytes() == b"new"


def test_a_damaged_note_of_a_sample_is_named(warehouse: LocalWarehouse) -> None:
    remembered(warehouse, 0)
    (key,) = warehouse.list("samples/")
    for damaged in (b"{", b"[]", b'{"sha256": "1"}'):
        warehouse.replace(key, damaged)
        with pytest.raises(DataError, match=r"samples/source=gpus/.*restore it"):
            seen(warehouse, 0, 1)


OCTOBER_3 = date(2026, 10, 3)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(), False),
        (Scope(frozenset({"2026-10"})), True),
        (Scope(frozenset({"2026-11"})), False),
        (Scope(days=Window(OCTOBER_3, date(2026, 10, 4))), True),
        (Scope(days=Window(date(2026, 10, 2), OCTOBER_3)), False),
        (Scope(frozenset({"2026-11"}), Window(OCTOBER_3, date(2026, 10, 4))), True),
    ],
)
def test_what_a_delivery_speaks_for(scope: Scope, covered: bool) -> None:  # noqa: FBT001
    assert scope.covers(Partition("aws", "main", "2026-10", OCTOBER_3)) is covered


@given(st.binary(max_size=64), st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_bytes_under_any_name(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = LocalWarehouse(Path(folder))
        kept = RawStore(warehouse).keep(content, name)
        (receipt,) = warehouse.list(f"{kept.key}.")
        assert warehouse.read(kept.key) == content
        assert json.loads(warehouse.read(receipt))["name"] == name


def test_what_another_source_keeps_is_not_withdrawn(warehouse: LocalWarehouse) -> None:
    first, second = RawStore(warehouse, "account-a"), RawStore(warehouse, "account-b")
    kept = first.keep(b"the public price list", "/instance-types")
    second.keep(b"the public price list", "/instance-types")
    first.withdraw()
    assert warehouse.read(kept.key) == b"the public price list"
    assert len(list(warehouse.list(f"{kept.key}."))) == 1
    second.withdraw()
    assert warehouse.exists(kept.key)
    third = RawStore(warehouse, "account-c")
    alone = third.keep(b"only mine", "/bill")
    third.withdraw()
    assert not list(warehouse.list(alone.key))
