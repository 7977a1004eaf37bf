"""RunPod: fetching over real sockets, both API generations, and the rows made of them."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from finops import checks
from finops.errors import ConfigError, DataError, Terminal, Transient
from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from providers import http
from providers.http import Pace
from providers.runpod import RunPod, RunPodSettings
from tests.stubs.scripted import JSON, Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures" / "runpod"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 4))
KEY = "rpa_SECRETKEY123"
DATED = JSON | {"Date": "Thu, 01 Oct 2026 04:30:00 GMT"}
EMPTY = Answer(b'{"records": [], "metadata": {"totals": {"totalAmount": 0}}}')


def saved(path: str) -> Answer:
    return Answer((FIXTURES / f"{path}.json").read_bytes(), headers=DATED)


BILLING, PODS = saved("v2/billing/pods"), saved("v2/pods")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the client impatient, and collect the pauses it would make."""
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(20.0, pauses.append, lambda: 0.0))
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    return pauses


@pytest.fixture
def provider(address: str, waits: list[float]) -> RunPod:
    settings = RunPodSettings(api_url=address, v1_url=address, products=("pods",))
    return RunPod("gpu-cloud", settings, Path())


def recorded(account: str | None = None, tag_env: tuple[str, ...] = ("TEAM", "PROJECT")) -> RunPod:
    settings = RunPodSettings(recorded=Path("runpod"), billing_account=account, tag_env=tag_env)
    return RunPod("gpu-cloud", settings, FIXTURES.parent)


def rows(provider: RunPod, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = [bill.rows for bill in provider.charges(delivery, store.path)]
    return pl.concat(bills, how="diagonal").collect()


def test_rows_of_v2(provider: RunPod, script: Script, store: RawStore) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", PODS)
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store)
    assert delivery.scope.days == WINDOW
    assert delivery.scope.periods == frozenset()
    assert found["BilledCost"].to_list() == ["4.82", "2.4300000000000001", "0.69", "0.0000001"]
    assert found["ResourceId"].to_list() == ["p1", "p1", "gone", "cpu1"]
    assert found["x_GpuHours"].to_list() == ["2", "1", None, None]
    assert found["x_GpuModel"].to_list() == ["H100", "H100", None, None]
    assert found["x_GpuCount"].to_list() == [2, 2, None, None]
    assert found["x_InstanceType"].to_list() == [*["NVIDIA H100 80GB HBM3"] * 2, None, None]
    assert found["Tags"].to_list()[1:] == [
        '{"project": "detector", "team": "vision"}',
        None,
        None,
    ]
    assert found["x_Provisional"].to_list() == [False, True, True, True]
    assert found["ChargePeriodStart"][0] == datetime(2026, 10, 1, 3, tzinfo=UTC)
    assert found["BillingPeriodEnd"][0] == datetime(2026, 11, 1, tzinfo=UTC)
    assert found["~row"].to_list() == [1, 2, 3, 4]


def test_rows_are_a_whole_focus_bill(store: RawStore) -> None:
    provider = recorded(account="acme-gpu")
    delivery = provider.fetch(WINDOW, store)
    bill = next(provider.charges(delivery, store.path))
    lifted = canonical(bill.rows, bill.raw.name).collect()
    assert lifted["BilledCost"].sum() == Decimal("7.9400001000000001")
    assert lifted["x_GpuHours"].sum() == Decimal(3)
    assert lifted["BillingAccountId"].unique().to_list() == ["acme-gpu"]
    assert checks.counts(lifted) == {}


def test_every_product_that_is_asked_for(
    address: str, waits: list[float], script: Script, store: RawStore
) -> None:
    hour = '"startTime": "2026-10-01T03:00:00Z", "endTime": "2026-10-01T04:00:00Z"'
    serverless = f'{{{hour}, "serverlessId": "ep1", "totalAmount": 0.5, "feeAmount": 0.1}}'
    metadata = '"metadata": {"totals": {"totalAmount": 0.5}}'
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", PODS)
    script.on(
        "/v2/billing/serverless", Answer(f'{{"records": [{serverless}], {metadata}}}'.encode())
    )
    script.on("/v2/billing/network-volumes", EMPTY)
    settings = RunPodSettings(
        api_url=address, v1_url=address, products=("pods", "serverless", "network_volumes")
    )
    provider = RunPod("gpu-cloud", settings, Path())
    found = rows(provider, provider.fetch(WINDOW, store), store)
    last = found.row(-1, named=True)
    assert found.height == 5
    assert (last["ResourceId"], last["BilledCost"], last["x_GpuHours"]) == ("ep1", "0.5", None)
    assert (last["ServiceName"], last["ResourceType"]) == ("Serverless", "Endpoint")
    assert len(script.asked("/v2/billing/network-volumes")) == 2


def test_a_product_that_is_named_must_be_readable(
    address: str, waits: list[float], script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/clusters", Answer(b"no", 403))
    settings = RunPodSettings(api_url=address, v1_url=address, products=("clusters",))
    with pytest.raises(Terminal, match="403"):
        RunPod("gpu-cloud", settings, Path()).fetch(WINDOW, store)


def test_one_product_on_v1_lists_pods_there(
    address: str, waits: list[float], script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/.*", Answer(b"no", 403))
    script.on("/v1/pods", saved("v1/pods"))
    script.on(
        "/v1/billing/networkvolumes",
        Answer(b'[{"time": "2026-10-03 00:00:00", "networkVolumeId": "v1", "amount": 0.01}]'),
    )
    settings = RunPodSettings(api_url=address, v1_url=address, products=("network_volumes",))
    provider = RunPod("gpu-cloud", settings, Path())
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found.select("ResourceId", "ServiceCategory", "BilledCost").rows() == [
        ("v1", "Storage", "0.01")
    ]


def test_asks_for_hours_of_the_window(provider: RunPod, script: Script, store: RawStore) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", PODS)
    provider.fetch(WINDOW, store)
    assert script.asked("/v2/billing/pods")[0].parameters == {
        "bucketSize": "hour",
        "startTime": "2026-10-01T00:00:00Z",
        "endTime": "2026-10-04T00:00:00Z",
    }


@pytest.mark.parametrize("status", [403, 404])
def test_falls_back_to_v1(status: int, provider: RunPod, script: Script, store: RawStore) -> None:
    script.on("/v2/billing/pods", Answer(b"no", status))
    script.on("/v1/billing/pods", saved("v1/billing/pods"))
    script.on("/v1/pods", saved("v1/pods"))
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["BilledCost"].to_list() == ["2.39", "4.78", "0.69"]
    assert found["x_GpuHours"].to_list() == ["1", "2", None]
    assert found["ConsumedQuantity"].to_list() == ["0.5", "1", "1"]
    assert found["RegionId"].to_list() == ["EU-NL-1", "EU-NL-1", None]
    assert found["RegionName"].to_list() == ["EU-NL-1", "EU-NL-1", None]
    assert found["ChargePeriodStart"][0] == datetime(2026, 10, 1, 3, tzinfo=UTC)
    assert script.asked("/v1/billing/pods")[0].parameters["grouping"] == "podId"


def test_403_on_both_generations_names_the_scope(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v[12]/billing/pods", Answer(b"no", 403))
    with pytest.raises(Terminal, match="read access to billing and pods"):
        provider.fetch(WINDOW, store)


def test_403_on_pods_is_no_half_delivery(
    provider: RunPod, script: Script, store: RawStore, tmp_path: Path
) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", Answer(b"no", 403))
    with pytest.raises(Terminal, match="billing and pods"):
        provider.fetch(WINDOW, store)
    assert list((tmp_path / "warehouse").rglob("raw/*")) == []


def test_rows_that_miss_the_total_are_refused(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    short = json.loads(BILLING.body)
    del short["records"][0]
    script.on("/v2/billing/pods", Answer(json.dumps(short).encode()))
    with pytest.raises(Transient, match=r"add up to 7\.94.* states 10\.37"):
        provider.fetch(WINDOW, store)


def test_reply_without_total_is_refused(provider: RunPod, script: Script, store: RawStore) -> None:
    script.on("/v2/billing/pods", Answer(b'{"records": []}'))
    with pytest.raises(Transient, match="cannot be checked"):
        provider.fetch(WINDOW, store)


@pytest.mark.parametrize("second", [EMPTY, BILLING], ids=["empty", "found"])
def test_empty_window_is_asked_for_twice(
    second: Answer, provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/pods", EMPTY, second)
    script.on("/v2/pods", PODS)
    delivery = provider.fetch(WINDOW, store)
    assert len(script.asked("/v2/billing/pods")) == 2
    assert delivery.scope.days == WINDOW
    heights = [bill.rows.collect().height for bill in provider.charges(delivery, store.path)]
    assert heights == ([] if second is EMPTY else [4])


@pytest.mark.parametrize(
    "body",
    [
        b'{"records": [{"podId": "p1"}], "metadata": {"totals": {"totalAmount": 0}}}',
        b'{"message": "hello"}',
        b'[{"podId": "p1", "amount": 1}]',
        b'"hello"',
    ],
)
def test_unknown_shapes_are_refused(
    body: bytes, provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/pods", Answer(body))
    with pytest.raises((DataError, Transient), match="/v2/billing/pods"):
        provider.fetch(WINDOW, store)


def test_pods_of_unknown_shape_are_refused(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", Answer(b'{"message": "hello"}'))
    with pytest.raises(DataError, match="not a list of RunPod pods"):
        provider.fetch(WINDOW, store)


def test_missing_key(provider: RunPod, store: RawStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "  ")
    with pytest.raises(ConfigError, match=r"sources\.gpu-cloud: .* RUNPOD_API_KEY"):
        provider.fetch(WINDOW, store)


def test_secrets_in_the_environment_do_not_become_tags(store: RawStore) -> None:
    provider = recorded(tag_env=("TEAM",))
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["Tags"].drop_nulls().unique().to_list() == ['{"team": "vision"}']


def test_price_that_cannot_explain_the_amount_leaves_hours_unknown(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    cheaper = PODS.body.replace(b'"costPerHr": 4.78', b'"costPerHr": 1.5')
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", Answer(cheaper))
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["x_GpuHours"].to_list()[:2] == [None, None]
    assert found["x_GpuModel"].to_list()[:2] == ["H100", "H100"]


def test_a_rounded_price_does_not_make_an_hour_longer(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", Answer(PODS.body.replace(b'"costPerHr": 4.78', b'"costPerHr": 4.77')))
    found = rows(provider, provider.fetch(WINDOW, store), store)
    assert found["x_GpuHours"][0] == "2"


def test_recorded_replies_need_no_key(store: RawStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    provider = recorded()
    delivery = provider.fetch(WINDOW, store)
    assert rows(provider, delivery, store).height == 4
    assert delivery.objects[0].receipt["kind"] == "billing"


def test_missing_recording_says_what_to_save(tmp_path: Path, store: RawStore) -> None:
    provider = RunPod("gpu-cloud", RunPodSettings(recorded=Path("none")), tmp_path)
    with pytest.raises(Terminal, match=r"save the provider's reply to /v1/billing/pods there"):
        provider.fetch(WINDOW, store)


def test_same_replies_same_rows(store: RawStore) -> None:
    provider = recorded()
    first, second = (rows(provider, provider.fetch(WINDOW, store), store) for _ in "12")
    assert first.equals(second)


@pytest.mark.parametrize(
    "settings", [{"api_url": "runpod.io"}, {"products": ["x"]}, {"key": "x"}, {"tag_env": 3}]
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunPodSettings.model_validate(settings)
