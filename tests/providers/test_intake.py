"""Taking in one source: all of it, or nothing."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops import charges, config, progress, replacement
from finops.config import Config
from finops.errors import ConfigError, DataError, Terminal, WarehouseError
from finops.partition import Window
from finops.warehouse.local import LocalWarehouse
from providers import intake
from providers.intake import Taking
from tests.finops.broken_stores import Killed, KilledAt
from tests.finops.company import csv, kept_charges, snapshot

OCTOBER = Taking("acme", Window.of_period("2026-10"))


@pytest.fixture
def configured(tmp_path: Path) -> Config:
    path = tmp_path / "finops.toml"
    path.write_text(
        'company = "Acme"\n[ledger]\norigin = "acme.example/finops"\n'
        '[sources.acme]\nprovider = "focus"\npath = "bills"\n'
    )
    (tmp_path / "bills").mkdir()
    return config.load(path)


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


def bring(configured: Config, text: str, name: str = "bill.csv") -> None:
    (configured.base / "bills" / name).write_bytes(csv(text))


def test_no_bills_leave_nothing(configured: Config, warehouse: LocalWarehouse) -> None:
    with pytest.raises(Terminal):
        intake.take(configured, warehouse, OCTOBER)
    assert snapshot(warehouse.root) == {}
    assert not intake.is_taken(configured, warehouse, OCTOBER)


@pytest.mark.parametrize("bad", ["BilledCost\nNaN", "BilledCost,ChargePeriodEnd\n1,2026-01-01"])
def test_one_bad_file_refuses_the_delivery(
    bad: str, configured: Config, warehouse: LocalWarehouse
) -> None:
    bring(configured, "BilledCost\n5")
    intake.take(configured, warehouse, OCTOBER)
    before = snapshot(warehouse.root)
    bring(configured, "BilledCost\n6", "another.csv")
    bring(configured, bad, "bad.csv")
    with pytest.raises(DataError, match=r"^bad\.csv: row 1: "):
        intake.take(configured, warehouse, OCTOBER)
    assert snapshot(warehouse.root) == before


def test_what_came_is_written_down(configured: Config, warehouse: LocalWarehouse) -> None:
    bring(configured, "BilledCost,BillingCurrency\n5,USD\n0.50,usd")
    heard = Heard()
    with progress.heard_by(heard):
        ingested = intake.take(configured, warehouse, OCTOBER)
    assert heard.rows == {"acme": 2}
    assert intake.is_taken(configured, warehouse, OCTOBER)
    (key,) = warehouse.list("ingests/")
    assert key == "ingests/provider=focus/source=acme/2026-10-01_2026-11-01.json"
    receipt = json.loads(warehouse.read(key))
    assert receipt["billed"] == {"USD": "5", "usd": "0.5"}
    assert receipt["quarantined"] == {"usd": "0.5"}
    assert (receipt["rows"], receipt["quarantined_rows"]) == (2, 1)
    assert len(receipt["issues"]) == len(ingested.issues)


class Heard(progress.Listener):
    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def advance(self, what: str, units: int) -> None:
        self.rows[what] = self.rows.get(what, 0) + units


def test_taking_again_changes_no_byte(configured: Config, warehouse: LocalWarehouse) -> None:
    bring(configured, "BilledCost\n5")
    intake.take(configured, warehouse, OCTOBER)
    before = snapshot(warehouse.root)
    intake.take(configured, warehouse, OCTOBER)
    assert snapshot(warehouse.root) == before


def test_a_re_delivered_month_replaces_its_file(
    configured: Config, warehouse: LocalWarehouse
) -> None:
    bring(configured, "BilledCost\n5")
    intake.take(configured, warehouse, OCTOBER)
    bring(configured, "BilledCost\n7")
    intake.take(configured, warehouse, OCTOBER)
    assert kept_charges(warehouse).get_column("BilledCost").to_list() == [7]


def test_killed_anywhere_every_charge_has_its_raw_bytes(
    configured: Config, warehouse: LocalWarehouse, tmp_path: Path
) -> None:
    alive, calls = True, 0
    while alive:
        store = LocalWarehouse(tmp_path / f"warehouse-{calls}")
        bring(configured, "ChargePeriodStart,BilledCost\n2026-10-02,1\n2026-10-03,1")
        intake.take(configured, store, OCTOBER)
        bring(configured, "ChargePeriodStart,BilledCost\n2026-10-03,2\n2026-10-04,2")
        try:
            intake.take(configured, KilledAt(store, calls), OCTOBER)
            alive = False
        except Killed:
            replacement.finish(store)
        costs = kept_charges(store).get_column("BilledCost").to_list()
        assert costs in ([1, 1], [2, 2])
        assert all(store.exists(f"raw/{raw}") for raw in kept_charges(store)["x_RawId"].unique())
        intake.take(configured, store, OCTOBER)
        assert kept_charges(store).get_column("BilledCost").to_list() == [2, 2]
        calls += 2
    assert calls > 15


class Stumbling(KilledAt):
    """Fails at its first move, and works again afterwards."""

    def move(self, key: str, to: str) -> bool:
        raise WarehouseError(f"cannot write {to}: the connection was lost")


def test_a_fault_after_the_decision_keeps_the_evidence(
    configured: Config, warehouse: LocalWarehouse
) -> None:
    bring(configured, "BilledCost\n5")
    with pytest.raises(WarehouseError, match="the connection was lost"):
        intake.take(configured, Stumbling(warehouse, 10**6), OCTOBER)
    assert replacement.finish(warehouse) == 1
    (raw,) = kept_charges(warehouse).get_column("x_RawId")
    assert warehouse.exists(f"raw/{raw}")


def test_money_is_never_counted_twice(configured: Config, warehouse: LocalWarehouse) -> None:
    bring(configured, "ChargePeriodStart,BilledCost\n2026-10-30,3\n2026-10-31,4")
    windows = [OCTOBER.window, Window(date(2026, 10, 20), date(2026, 11, 3)), OCTOBER.window]
    for window in windows:
        intake.take(configured, warehouse, Taking("acme", window))
    total = sum(Decimal(each) for each in kept_charges(warehouse).get_column("BilledCost"))
    assert total == 7
    assert len(charges.partitions(warehouse)) == 2


def test_lookback(configured: Config) -> None:
    window = intake.lookback(configured, "acme", date(2026, 11, 3))
    assert window.end == date(2026, 11, 4)
    assert window.start < date(2026, 11, 1)
    with pytest.raises(ConfigError, match="there is no source 'other'"):
        intake.lookback(configured, "other", date(2026, 11, 3))
