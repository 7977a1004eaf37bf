"""CoreWeave: quantities of the export or of metrics, shared among plans, priced by the rate card."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finops import charges, checks
from finops.charges import Ingested
from finops.errors import ConfigError, DataError, Severity, Terminal
from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from providers import coreweave_usage, http
from providers.coreweave import CoreWeave, CoreWeaveSettings
from providers.coreweave_usage import Usage
from providers.http import Pace
from tests.stubs.rig_coreweave import page
from tests.stubs.scripted import Answer, Request, Script, serve

FIXTURES = Path(__file__).parent.parent / "fixtures" / "coreweave"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 2))
TOKEN = "CW-SECRET-TOKEN-123"
FOCUS = "/v1/billing/focus"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(5, pauses.append, lambda: 0.0))
    monkeypatch.setenv("COREWEAVE_API_TOKEN", TOKEN)
    return pauses


def recorded(**settings: Any) -> CoreWeave:
    told = {"rate_card": FIXTURES / "rates.csv", "recorded": FIXTURES, **settings}
    return CoreWeave("gpu-cloud", CoreWeaveSettings.model_validate(told), Path())


def asking(address: str, **settings: Any) -> CoreWeave:
    told = {"rate_card": FIXTURES / "rates.csv", "api_url": address, **settings}
    return CoreWeave("gpu-cloud", CoreWeaveSettings.model_validate(told), Path())


def rows(provider: CoreWeave, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = provider.charges(delivery, store.path)
    return pl.concat(canonical(bill.rows, bill.raw.name) for bill in bills).collect()


def taken(provider: CoreWeave, window: Window, folder: Path) -> tuple[Ingested, LocalWarehouse]:
    warehouse = LocalWarehouse(folder / "warehouse")
    store = RawStore(warehouse)
    delivery = provider.fetch(window, store)
    return charges.write(provider.charges(delivery, store.path), delivery, warehouse), warehouse


def extra(found: pl.DataFrame, name: str) -> list[Any]:
    """Read a column that FOCUS does not know."""
    return [json.loads(text).get(name) for text in found["x_SourceColumns"]]


def test_rows_of_the_export(store: RawStore) -> None:
    provider = recorded()
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store)
    assert found["BilledCost"].to_list() == [
        Decimal("787.84"),
        Decimal("196.96"),
        Decimal("787.84"),
        Decimal("196.96"),
        Decimal("4.915248"),
    ]
    first = found.row(0, named=True)
    assert first["ChargePeriodStart"] == datetime(2026, 10, 1, 3, tzinfo=UTC)
    assert first["x_CostSource"] == "rate_card"
    assert (first["ResourceId"], first["ResourceName"]) == ("c-1", "train")
    assert (first["BillingAccountId"], first["BillingCurrency"]) == ("acme-org", "USD")
    assert (first["x_InstanceType"], first["RegionName"]) == ("gd-8xh100ib-i128", "US-EAST-04A")
    assert (first["x_GpuModel"], first["x_GpuCount"], first["x_GpuHours"]) == ("H100", 8, 128)
    assert (first["ContractedUnitPrice"], first["ListCost"]) == (
        Decimal("49.24"),
        Decimal("787.84"),
    )
    storage = found.row(4, named=True)
    assert (storage["ServiceCategory"], storage["ResourceId"]) == ("Storage", None)
    assert (storage["x_InstanceType"], storage["x_GpuHours"]) == (None, None)
    assert storage["ListCost"] is None
    assert found["x_Provisional"].to_list() == [False, False, True, True, False]
    assert delivery.issues == ()


def test_rows_are_a_whole_focus_bill(store: RawStore) -> None:
    provider = recorded()
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert checks.counts(found) == {"ListCost: is missing": 1}


def test_the_kept_rate_card_prices_again_what_was_kept(tmp_path: Path, store: RawStore) -> None:
    (tmp_path / "rates.csv").write_bytes((FIXTURES / "rates.csv").read_bytes())
    provider = recorded(rate_card=tmp_path / "rates.csv")
    delivery = provider.fetch(WINDOW, store)
    first = rows(provider, delivery, store)
    (tmp_path / "rates.csv").unlink()
    assert rows(provider, delivery, store).equals(first)


def test_plans_have_their_own_prices_and_share_each_location(store: RawStore) -> None:
    provider = recorded(rate_card=FIXTURES / "rates_by_plan.csv", capacity_plans=True)
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store)
    assert found["PricingQuantity"].to_list() == [4, 12, 1, 3, 4, 12, 1, 3, Decimal("51200.5")]
    assert extra(found, "x_CapacityPlan")[:3] == ["on-demand", "reserved", "on-demand"]
    assert extra(found, "x_CapacityPlan")[-1] is None
    assert found["BilledCost"].to_list()[:2] == [Decimal("196.96"), Decimal(354)]
    assert found["PricingQuantity"].sum() == Decimal("51240.5")
    assert delivery.issues == ()


class TwoViews(Script):
    """Answers each presentation of the usage with its own page."""

    def __init__(self, by_view: dict[str, Answer]) -> None:
        super().__init__()
        self._by_view = by_view

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        return self._by_view[request.parameters["group_by"]]


def hour(quantity: object, hour: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "ChargePeriodStart": f"2026-10-01T{hour:02}:00:00Z",
        "ChargePeriodEnd": f"2026-10-01T{hour + 1:02}:00:00Z",
        "PricingQuantity": quantity,
        "PricingUnit": "Instance-Hour",
        "SkuId": "gd-8xh100ib-i128",
        "x_ProductFamily": "GPU Compute",
        "x_ClusterId": "c-1",
        **more,
    }


def test_both_views_are_asked_for_and_a_difference_is_an_issue(store: RawStore) -> None:
    plans = page(hour(12, x_CapacityPlan="reserved"), hour(5, hour=4, x_CapacityPlan="spot"))
    script = TwoViews({"location": page(hour(16)), "capacity_plan": plans})
    with serve(script) as address:
        provider = asking(address, capacity_plans=True)
        delivery = provider.fetch(WINDOW, store)
    assert [request.parameters["group_by"] for request in script.requests] == [
        "location",
        "capacity_plan",
    ]
    found = rows(provider, delivery, store)
    assert found["PricingQuantity"].to_list() == [16]
    (issue,) = delivery.issues
    assert issue.severity is Severity.WARNING
    assert "differ for 2 hours of a SKU, first gd-8xh100ib-i128 at 2026-10-01 03:00 by -4" in str(
        issue
    )


def usage(quantity: Decimal, plan: str | None = None, place: int = 0) -> Usage:
    start = datetime(2026, 10, 1, 3, tzinfo=UTC)
    return Usage(place, start, start + timedelta(hours=1), "h100", "Hour", quantity, plan, {})


@given(
    st.lists(st.decimals(-9999, 9999, places=7), min_size=1, max_size=5),
    st.lists(st.decimals(0, 9999, places=7), max_size=4),
)
def test_the_parts_of_a_location_equal_the_whole(
    located: list[Decimal], planned: list[Decimal]
) -> None:
    plans = coreweave_usage.shares(
        usage(quantity, f"plan-{place}") for place, quantity in enumerate(planned)
    )
    wholes = [usage(quantity, place=place) for place, quantity in enumerate(located)]
    parts = list(coreweave_usage.apportioned(wholes, plans))
    for whole in wholes:
        own = [part.quantity or Decimal(0) for part in parts if part.place == whole.place]
        assert sum(own) == whole.quantity


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"SkuId": "b300-8x"}, "16 Instance-Hour in 2 rows have no price"),
        ({"PricingUnit": "GPU-Hour"}, "prices it per Instance-Hour: add a price per GPU-Hour"),
        ({"SkuId": None}, "left out the SKU"),
        ({"PricingQuantity": None}, "0 Instance-Hour in 2 rows"),
    ],
)
def test_what_has_no_price_waits_in_quarantine_and_is_named(
    record: dict[str, Any], said: str, script: Script, address: str, tmp_path: Path
) -> None:
    script.on(FOCUS, page(hour(1), hour(8) | record, hour(8, hour=4) | record))
    ingested, warehouse = taken(asking(address), WINDOW, tmp_path)
    assert (ingested.rows, ingested.quarantined_rows) == (3, 2)
    assert ingested.billed == {"USD": Decimal("49.24")}
    (issue,) = (issue for issue in ingested.issues if "wait in quarantine" in str(issue))
    assert issue.severity is Severity.QUARANTINE
    assert said in str(issue)
    assert "gpu-cloud: " in str(issue)
    (key,) = warehouse.list("quarantine/")
    waiting = pl.read_parquet(warehouse.local(key))
    assert waiting[checks.REASON].to_list() == ["BilledCost: is missing"] * 2


def test_a_price_that_arrives_later_frees_what_waits(
    script: Script, address: str, tmp_path: Path
) -> None:
    script.on(FOCUS, page(hour(8, SkuId="b300-8x")))
    card = tmp_path / "rates.csv"
    card.write_text("sku_id,unit,price,currency\n")
    waiting, _ = taken(asking(address, rate_card=card), WINDOW, tmp_path)
    assert waiting.quarantined_rows == 1
    card.write_text("sku_id,unit,price,currency\nb300-8x,Instance-Hour,10,USD\n")
    priced, warehouse = taken(asking(address, rate_card=card), WINDOW, tmp_path)
    assert (priced.quarantined_rows, priced.billed) == (0, {"USD": Decimal(80)})
    assert list(warehouse.list("quarantine/")) == []


def test_costs_that_coreweave_states_are_kept_but_do_not_count(
    script: Script, address: str, store: RawStore
) -> None:
    script.on(FOCUS, page(hour(1, BilledCost=40.5, EffectiveCost=0, BilledUnits=None)))
    provider = asking(address)
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store)
    assert found["BilledCost"].to_list() == [Decimal("49.24")]
    assert extra(found, "x_StatedBilledCost") == ["40.5"]
    (issue,) = delivery.issues
    assert "states costs itself in 1 rows" in str(issue)


@pytest.mark.parametrize(
    ("start", "end", "month"),
    [
        ("2026-09-30T21:00:00Z", "2026-10-31T21:00:00Z", 10),  # 17:00 in New York
        ("2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z", 10),
        ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z", 9),  # billed in another month than used
        ("2026-09-30T21:00:00Z", None, 10),
        ("2026-08-01T00:00:00Z", "2026-11-01T00:00:00Z", 10),
    ],
)
def test_the_billing_period_is_the_month_that_holds_most_of_what_is_delivered(
    start: str, end: str | None, month: int, script: Script, address: str, store: RawStore
) -> None:
    period: dict[str, Any] = {"BillingPeriodStart": start, "BillingPeriodEnd": end}
    script.on("/v1/billing/focus", page(hour(1, **period)))
    provider = asking(address)
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["BillingPeriodStart"].to_list() == [datetime(2026, month, 1, tzinfo=UTC)]
    assert found["BillingPeriodEnd"].to_list() == [datetime(2026, month + 1, 1, tzinfo=UTC)]
    assert extra(found, "x_StatedBillingPeriodStart") == [start]
    assert checks.counts(found) == {}


def test_gpu_hours_that_are_counted_as_such(script: Script, address: str, store: RawStore) -> None:
    script.on(FOCUS, page(hour(128, PricingUnit="GPU-Hours"), hour(2, SkuId="unheard-of")))
    provider = asking(address)
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found.select("x_GpuModel", "x_GpuHours").rows() == [("H100", 128), (None, None)]


def test_a_page_is_asked_for_with_the_token_of_the_one_before(
    script: Script, address: str, store: RawStore
) -> None:
    script.on(FOCUS, page(hour(1), token="next-1"), page(hour(2, hour=4)))
    provider = asking(address)
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["PricingQuantity"].to_list() == [1, 2]
    first, second = script.requests
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.parameters == {
        "start_time": "2026-10-01T00:00:00Z",
        "end_time": "2026-10-02T00:00:00Z",
        "group_by": "location",
        "format": "json",
        "page_size": "1000",
    }
    assert second.parameters == {**first.parameters, "page_token": "next-1"}


def test_a_long_window_is_asked_for_ninety_days_at_a_time(
    script: Script, address: str, store: RawStore
) -> None:
    script.on(FOCUS, page(hour(1)))
    provider = asking(address)
    delivery = provider.fetch(Window(date(2026, 6, 1), date(2026, 10, 2)), store)
    asked = [
        (request.parameters["start_time"][:10], request.parameters["end_time"][:10])
        for request in script.requests
    ]
    empty = ("2026-06-01", "2026-08-30")
    assert asked == [empty, empty, ("2026-08-30", "2026-10-02")]
    assert rows(provider, delivery, store).height == 1


@pytest.mark.parametrize("as_of", ["yesterday", 5])
def test_a_page_of_unknown_age_is_refused(
    as_of: object, script: Script, address: str, store: RawStore
) -> None:
    body = json.dumps({"data": [hour(1)], "data_as_of": as_of}).encode()
    script.on(FOCUS, Answer(body))
    with pytest.raises(DataError, match="data_as_of"):
        asking(address).fetch(WINDOW, store)


def test_without_data_as_of_what_had_not_ended_is_provisional(
    script: Script, address: str, store: RawStore
) -> None:
    dated = {"Content-Type": "application/json", "Date": "Thu, 01 Oct 2026 04:30:00 GMT"}
    body = json.dumps({"data": [hour(1), hour(1, hour=4)]}).encode()
    script.on(FOCUS, Answer(body, headers=dated))
    provider = asking(address)
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["x_Provisional"].to_list() == [False, True]


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"rows": []}', b'{"data": [{"SkuId": "x"}]}', b'{"data": [7]}', b"7"]
    + [json.dumps({"data": [hour(1, **{name: True})]}).encode() for name in coreweave_usage._TOLD],
)
def test_unknown_shapes_are_refused(
    body: bytes, script: Script, address: str, store: RawStore
) -> None:
    script.on(FOCUS, Answer(body))
    with pytest.raises(DataError, match="not CoreWeave usage as it is known"):
        asking(address).fetch(WINDOW, store)


def test_403_says_whom_to_ask(script: Script, address: str, store: RawStore) -> None:
    script.on(FOCUS, Answer(b'{"message": "forbidden"}', 403))
    with pytest.raises(
        Terminal, match="not enabled for your organization: ask CoreWeave's support"
    ):
        asking(address).fetch(WINDOW, store)


def test_probes_in_the_order_of_setting_up(script: Script, address: str, tmp_path: Path) -> None:
    script.on(FOCUS, page(hour(1)))
    probes = asking(address).probes()
    assert list(probes) == ["the rate card can be read", "the token may read the billing export"]
    for probe in probes.values():
        probe()
    with pytest.raises(ConfigError, match=r"rate_card: .*none\.csv cannot be read .*write your"):
        asking(address, rate_card=tmp_path / "none.csv").probes()["the rate card can be read"]()


def test_prices_of_plans_need_plans(address: str, store: RawStore) -> None:
    with pytest.raises(ConfigError, match="set capacity_plans = true"):
        asking(address, rate_card=FIXTURES / "rates_by_plan.csv").fetch(WINDOW, store)


def test_a_missing_token_is_named(
    address: str, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COREWEAVE_API_TOKEN")
    with pytest.raises(ConfigError, match=r"sources\.gpu-cloud: .* COREWEAVE_API_TOKEN"):
        asking(address).fetch(WINDOW, store)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rate_card": "x", "api_url": "coreweave.com"},
        {"rate_card": "x", "mode": "csv"},
        {"rate_card": "x", "mode": "prometheus"},
        {
            "rate_card": "x",
            "mode": "prometheus",
            "prometheus_url": "https://x",
            "capacity_plans": True,
        },
        {"rate_card": "x", "token": "x"},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CoreWeaveSettings.model_validate(settings)


def test_same_replies_same_rows(store: RawStore) -> None:
    provider = recorded()
    first = rows(provider, provider.fetch(WINDOW, store), store)
    assert first.equals(rows(provider, provider.fetch(WINDOW, store), store))
