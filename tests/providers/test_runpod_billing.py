"""RunPod's whole bill: every product, the account's total, and what a key may not see."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops.config import Config, LedgerConfig, SourceConfig
from finops.errors import Terminal
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http, intake
from providers.http import Pace
from providers.intake import Taking
from providers.runpod import RunPod, RunPodSettings
from tests.providers.test_runpod import BILLING, DATED, EMPTY, KEY, PODS, WINDOW, rows
from tests.stubs.scripted import Answer, Script

NO = Answer(b"no", 403)
SOURCE = "gpu-cloud"


@pytest.fixture
def provider(address: str, monkeypatch: pytest.MonkeyPatch) -> RunPod:
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None, lambda: 0.0))
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    return RunPod(SOURCE, RunPodSettings(api_url=address, v1_url=address), Path())


def hour(amount: float, **more: Any) -> dict[str, Any]:
    times = {"startTime": "2026-10-01T03:00:00Z", "endTime": "2026-10-01T04:00:00Z"}
    return {**times, "totalAmount": amount, **more}


def billed(*records: dict[str, Any]) -> Answer:
    total = sum(record["totalAmount"] for record in records)
    document = {"records": records, "metadata": {"totals": {"totalAmount": total}}}
    return Answer(json.dumps(document).encode(), headers=DATED)


def test_by_default_every_product_is_billed_with_its_parts(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", PODS)
    script.on("/v2/billing/serverless", billed(hour(0.5, serverlessId="ep1", feeAmount=0.1)))
    volume = hour(0.75, networkVolumeId="v1", standardAmount=0.25, highPerformanceAmount=0.5)
    script.on("/v2/billing/network-volumes", billed(volume))
    script.on("/v2/billing/clusters", billed(hour(8.5, clusterId="c1", networkingAmount=0.5)))
    script.on("/v2/billing/endpoints", billed(hour(3.25)))
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store).tail(4)
    parts = ("x_FeeCost", "x_StandardStorageCost", "x_HighPerformanceStorageCost")
    assert found.select("ServiceName", "ResourceId", "BilledCost").rows() == [
        ("Serverless", "ep1", "0.5"),
        ("Network Volumes", "v1", "0.75"),
        ("Instant Clusters", "c1", "8.5"),
        ("Public Endpoints", None, "3.25"),
    ]
    assert found.select(parts).rows()[:2] == [("0.1", None, None), (None, "0.25", "0.5")]
    assert found["x_NetworkingCost"].to_list()[2] == "0.5"
    assert found["ChargeDescription"].to_list()[3] == "Public Endpoints"
    assert delivery.issues == ()


def test_a_product_that_the_key_may_not_read_is_named(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v[12]/billing.*", NO)
    script.on("/v2/billing", BILLING)
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", PODS)
    script.on("/v2/billing/(network-volumes|clusters|endpoints)", EMPTY)
    delivery = provider.fetch(WINDOW, store)
    assert rows(provider, delivery, store).height == 4
    (issue,) = delivery.issues
    assert str(issue).startswith("gpu-cloud: serverless are not in this bill")


def test_charges_that_the_key_may_not_read_are_not_taken_back(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v[12]/billing/.*", NO)
    script.on("/v2/billing/pods", billed(hour(2.5, podId="p1")))
    script.on("/v2/billing", billed(hour(4.5)))
    with pytest.raises(Terminal, match=r"billed 4\.5 USD .* only 2\.5 USD .* clusters, public"):
        provider.fetch(WINDOW, store)


def test_the_accounts_total_is_reconciled_with_what_grew_meanwhile(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/.*", EMPTY)
    script.on("/v2/billing/pods", billed(hour(2.5, podId="p1")))
    script.on("/v2/billing", billed(hour(2.25)), billed(hour(2.75)))
    script.on("/v2/pods", PODS)
    (stated,) = provider.fetch(WINDOW, store).stated
    assert stated.billed == {"USD": Decimal("2.75")}
    assert stated.tolerance == Decimal("0.500001")


def later(amount: float, **more: Any) -> dict[str, Any]:
    times = {"startTime": "2026-10-01T04:00:00Z", "endTime": "2026-10-01T05:00:00Z"}
    return {**times, "totalAmount": amount, **more}


def growing(script: Script, *, hidden: float) -> None:
    """Bill an hour that is over and one that grows while it is read, and hide some of the first."""
    script.on("/v2/pods", PODS)
    script.on("/v2/billing/.*", EMPTY)
    script.on("/v2/billing/pods", billed(hour(2.5 - hidden, podId="p1"), later(1.25, podId="p1")))
    script.on(
        "/v2/billing",
        billed(hour(2.5), later(0.75)),
        billed(hour(2.5), later(1.75)),
    )


def test_a_hidden_charge_that_is_smaller_than_what_grew_is_an_issue(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    growing(script, hidden=0.125)
    delivery = provider.fetch(WINDOW, store)
    (issue,) = delivery.issues
    assert "by 0.125 USD in hours that did not change" in issue.message
    assert "(1, the first at 2026-10-01 03:00 UTC)" in issue.message


def test_nothing_hidden_is_no_issue_while_an_hour_grows(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    growing(script, hidden=0)
    assert provider.fetch(WINDOW, store).issues == ()


def test_a_hidden_product_that_is_smaller_than_what_grew_is_refused(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    growing(script, hidden=0.125)
    script.on("/v2/billing/clusters", NO)
    with pytest.raises(Terminal, match=r"billed 0\.125 USD .* billing of clusters"):
        provider.fetch(WINDOW, store)


def test_what_the_total_does_not_know_is_an_issue_too(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    growing(script, hidden=0)
    script.on("/v2/billing/clusters", billed(hour(0.25, clusterId="c1")))
    (issue,) = provider.fetch(WINDOW, store).issues
    assert "by 0.25 USD" in issue.message


@pytest.mark.parametrize(
    "records",
    [
        [{"totalAmount": 2.5}],
        [hour(1.0)],
        [{**hour(2.5), "endTime": "2026-10-02T03:00:00Z"}],
        None,
    ],
    ids=["without time", "not all", "days", "none"],
)
def test_a_total_without_hours_of_its_own_is_compared_as_a_whole(
    records: object, provider: RunPod, script: Script, store: RawStore
) -> None:
    totals = {"totals": {"totalAmount": 2.5}}
    document = {"metadata": totals, **({} if records is None else {"records": records})}
    script.on("/v2/pods", PODS)
    script.on("/v2/billing/.*", EMPTY)
    script.on("/v2/billing/pods", billed(later(2.5, podId="p1")))
    script.on("/v2/billing", Answer(json.dumps(document).encode()))
    delivery = provider.fetch(WINDOW, store)
    assert delivery.issues == ()
    assert delivery.stated[0].billed == {"USD": Decimal("2.5")}


def test_what_nobody_can_see_fails_and_says_how_to_leave_it_out(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v[12]/billing.*", NO)
    script.on("/v2/billing/(pods|clusters|endpoints)", billed(hour(2.5, podId="p1", clusterId="c")))
    script.on("/v2/pods", PODS)
    with pytest.raises(Terminal, match="read access to billing") as caught:
        provider.fetch(WINDOW, store)
    assert "serverless, network_volumes" in str(caught.value)
    assert 'products = ["pods", "clusters", "public_endpoints"]' in str(caught.value)


def test_a_product_that_is_refused_later_keeps_its_charges(
    provider: RunPod, address: str, script: Script, tmp_path: Path
) -> None:
    settings = {"api_url": address, "v1_url": address}
    configured = Config(
        company="Acme",
        ledger=LedgerConfig(origin="acme.example/finops"),
        sources={SOURCE: SourceConfig(provider=provider.NAME, settings=settings)},
        base=tmp_path,
    )
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    script.on("/v2/pods", PODS)
    script.on("/v2/billing/.*", EMPTY)
    script.on("/v2/billing/pods", billed(hour(2.0, podId="p1")))
    script.on("/v2/billing/serverless", billed(hour(100.0, serverlessId="e1")))
    script.on("/v2/billing", billed(hour(102.0)))
    taken = intake.take(configured, warehouse, Taking(SOURCE, WINDOW))
    assert taken.charges
    assert taken.charges.billed == {"USD": Decimal(102)}
    before = {key: warehouse.read(key) for key in warehouse.list("")}
    script.on("/v[12]/billing(/serverless|/endpoints)?", NO)
    with pytest.raises(Terminal, match="may have charges"):
        intake.take(configured, warehouse, Taking(SOURCE, WINDOW))
    assert {key: warehouse.read(key) for key in warehouse.list("")} == before


def test_a_probe_sees_what_the_key_may_not_read(provider: RunPod, script: Script) -> None:
    script.on("/v2/pods", PODS)
    script.on("/v2/billing/.*|/v1/billing/.*", NO)
    script.on("/v2/billing", NO)
    script.on("/v2/billing/pods", BILLING)
    *_, billing = provider.probes().values()
    with pytest.raises(Terminal, match="answered 403 or 404 for the billing of serverless"):
        billing()
