from finops import known
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import snapshot


def test_what_is_known_by_name_is_found_again_until_its_bytes_change(
    warehouse: LocalWarehouse,
) -> None:
    kept = known.keep(RawStore(warehouse), b"rows", "day", {"kind": "rows"})
    store = RawStore(warehouse)
    assert known.find(store, "day") == kept
    assert known.find(store, "other day") is None
    (warehouse.root / kept.key).write_bytes(b"changed")
    assert known.find(store, "day") is None
    warehouse.delete(kept.key)
    assert known.find(store, "day") is None


def test_a_withdrawn_name_is_not_known(warehouse: LocalWarehouse) -> None:
    store = RawStore(warehouse)
    known.keep(store, b"rows", "day", {})
    store.withdraw()
    assert known.find(store, "day") is None
    assert snapshot(warehouse.root) == {}
