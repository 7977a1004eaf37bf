import hashlib
import json
import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.errors import WarehouseError
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


def test_a_file_that_cannot_be_read_is_not_kept(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RawStore(warehouse).keep(tmp_path / "gone", "a")
    assert list(warehouse.list("")) == []


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "warehouse").write_bytes(b"a file, no folder")
    with pytest.raises(WarehouseError, match="cannot write"):
        RawStore(LocalWarehouse(tmp_path / "warehouse")).keep(b"1", "a")


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
