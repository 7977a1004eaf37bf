"""The real BigQuery client against an emulator that runs the SQL: both kinds of export."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import polars as pl
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from finops import charges
from finops.errors import Terminal
from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from providers import gcp_bigquery
from providers.gcp import Gcp, GcpSettings
from tests.stubs import bqemulator
from tests.stubs.bigquery import DETAILED, FOCUS

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gcp"
OCTOBER = Window.of_period("2026-10")
NO_RETRY: Any = None

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bqemulator.running(tmp_path_factory.mktemp("bqemulator") / "log") as address:
        yield address


class Export:
    """A billing export that a test fills as Google does: by adding rows."""

    def __init__(self, address: str, name: str, schema: Sequence[dict[str, Any]]) -> None:
        self.name = f"acme-billing.exports.{name}"
        self._address = address
        self._client = bigquery.Client(
            project="acme-billing",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=address),
        )
        self._client.create_dataset("exports", exists_ok=True, retry=NO_RETRY, timeout=30)
        table = bigquery.Table(self.name, [bigquery.SchemaField.from_api_repr(f) for f in schema])
        table.time_partitioning = bigquery.TimePartitioning()
        self._client.create_table(table, retry=NO_RETRY, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        faults = self._client.insert_rows_json(self.name, rows, retry=NO_RETRY, timeout=30)
        assert faults == []

    def provider(self, **more: Any) -> Gcp:
        settings = {"table": self.name, "project": "acme-finops", "api_url": self._address}
        return Gcp("gcp", GcpSettings(**settings, **more), Path())


def saved(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()]


@pytest.fixture
def detailed(emulator: str, request: pytest.FixtureRequest) -> Iterator[Export]:
    name = f"gcp_billing_export_resource_v1_{abs(hash(request.node.name))}"
    with Export(emulator, name, DETAILED) as export:
        export.add(saved("detailed.ndjson"))
        yield export


def rows(provider: Gcp, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = [canonical(bill.rows, bill.raw.name) for bill in provider.charges(delivery, store.path)]
    return pl.concat(bills).drop("x_RawRow", "^~.*$").collect().sort(pl.all().cast(pl.String))


def recorded(name: str, store: RawStore) -> pl.DataFrame:
    provider = Gcp("gcp", GcpSettings(recorded=Path(name)), FIXTURES)
    return rows(provider, provider.fetch(OCTOBER, store), store)


def same(found: pl.DataFrame, expected: pl.DataFrame) -> bool:
    """Compare charges; what FOCUS does not know may be spelled differently."""
    return found.drop("x_SourceColumns").equals(expected.drop("x_SourceColumns"))


def test_the_detailed_export_gives_the_rows_of_its_own_json(
    detailed: Export, store: RawStore
) -> None:
    provider = detailed.provider()
    delivery = provider.fetch(OCTOBER, store)
    found = rows(provider, delivery, store)
    assert same(found, recorded("detailed.ndjson", store))
    assert sorted(kept.name.split("/")[1] for kept in delivery.objects[1:]) == [
        "invoice=202609",
        "invoice=202610",
        "invoice=202610",
        "invoice=202610",
    ]
    (stated,) = delivery.stated
    assert stated.rows == 11


def test_the_focus_export_gives_the_rows_of_its_own_json(emulator: str, store: RawStore) -> None:
    with Export(emulator, "gcp_billing_export_focus_01A2B3", FOCUS) as export:
        export.add(saved("focus.ndjson"))
        provider = export.provider()
        found = rows(provider, provider.fetch(OCTOBER, store), store)
    assert same(found, recorded("focus.ndjson", store))
    assert found["BilledCost"].sum() == Decimal("83.300000001")


def test_charges_add_up_to_what_bigquery_states(detailed: Export, tmp_path: Path) -> None:
    warehouse = LocalWarehouse(tmp_path / "w")
    store = RawStore(warehouse)
    provider = detailed.provider()
    delivery = provider.fetch(OCTOBER, store)
    taken = charges.write(provider.charges(delivery, store.path), delivery, warehouse)
    assert [(each.unit, each.agrees) for each in taken.reconciled] == [
        ("rows", True),
        ("USD", True),
    ]
    assert taken.issues == ()
    assert {(each.period, each.day.isoformat()) for each in taken.partitions} == {
        ("2026-09", "2026-10-01"),
        ("2026-10", "2026-09-14"),
        ("2026-10", "2026-10-01"),
        ("2026-10", "2026-10-02"),
    }


def test_only_days_that_gained_rows_are_read_again(detailed: Export, store: RawStore) -> None:
    provider = detailed.provider()
    before = {kept.name: kept for kept in provider.fetch(OCTOBER, store).objects}
    late = saved("detailed.ndjson")[3] | {"export_time": "2026-10-05T00:00:00Z", "cost": 9.5}
    detailed.add([late])
    delivery = provider.fetch(OCTOBER, store)
    new = [kept for kept in delivery.objects if kept.name not in before]
    assert [kept.receipt["day"] for kept in new] == ["2026-10-01"]
    asked = json.loads(new[0].receipt["parameters"])
    assert asked["wanted"] == ["2026-10-01/202610"]
    found = rows(provider, delivery, store)
    assert found.height == 12
    assert found["BilledCost"].sum() == Decimal("126.2760001")
    afresh = detailed.provider(reuse_unchanged=False)
    assert same(found, rows(afresh, afresh.fetch(OCTOBER, store), store))


def test_the_same_rows_are_the_same_bytes_in_any_order_of_pages(
    detailed: Export, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = detailed.provider(reuse_unchanged=False)
    before = [kept.sha256 for kept in provider.fetch(OCTOBER, store).objects[1:]]
    monkeypatch.setattr(gcp_bigquery, "_PAGE_ROWS", 2)
    assert [kept.sha256 for kept in provider.fetch(OCTOBER, store).objects[1:]] == before


def test_a_window_takes_its_days_and_its_invoice_month(detailed: Export, store: RawStore) -> None:
    provider = detailed.provider()
    window = Window.of_period("2026-09")
    found = rows(provider, provider.fetch(window, store), store)
    assert sorted(found["ChargePeriodStart"].dt.date().cast(pl.String)) == [
        "2026-09-14",
        "2026-10-01",
    ]


def test_probes_pass_and_a_missing_table_is_named(detailed: Export, emulator: str) -> None:
    for probe in detailed.provider().probes().values():
        probe()
    settings = GcpSettings(table="acme-billing.exports.nothing", api_url=emulator)
    with pytest.raises(Terminal, match=r"answered 404 .*; correct table"):
        list(Gcp("gcp", settings, Path()).probes().values())[1]()
