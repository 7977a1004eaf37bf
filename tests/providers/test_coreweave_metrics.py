"""CoreWeave's metrics: nodes counted each minute become instance-hours, priced like the export."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from providers import http
from providers.coreweave import CoreWeave, CoreWeaveSettings
from providers.http import Pace
from tests.stubs.prometheus_server import served_prometheus
from tests.stubs.scripted import Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures" / "coreweave"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 2))


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(5, pauses.append, lambda: 0.0))
    monkeypatch.setenv("COREWEAVE_API_TOKEN", "CW-SECRET-TOKEN-123")
    return pauses


def counting(**settings: Any) -> CoreWeave:
    told = {"rate_card": FIXTURES / "rates.csv", "mode": "prometheus", **settings}
    return CoreWeave("gpu-cloud", CoreWeaveSettings.model_validate(told), Path())


def rows(provider: CoreWeave, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = provider.charges(delivery, store.path)
    return pl.concat(canonical(bill.rows, bill.raw.name) for bill in bills).collect()


def test_rows_of_metrics(store: RawStore) -> None:
    provider = counting(recorded=FIXTURES)
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store)
    facts = ("ResourceId", "SkuId", "PricingQuantity", "BilledCost", "x_GpuHours")
    assert found.select(facts).rows() == [
        ("dev", "cd-gp-i64-erapids", 1, None, None),
        ("train", "gd-8xh100ib-i128", 16, Decimal("787.84"), 128),
        (
            "train",
            "gd-8xh100ib-i128",
            Decimal("15.666666666666666667"),
            Decimal("771.426666666666666683"),
            Decimal("125.333333333333333336"),
        ),
    ]
    assert found["BillingAccountId"].unique().to_list() == ["acme-org"]
    assert found["x_CostSource"].unique().to_list() == ["rate_card"]
    (issue,) = delivery.issues
    assert "cd-gp-i64-erapids: 1 Instance-Hour in 1 rows have no price" in str(issue)


def test_metrics_are_asked_for_just_before_each_hour_ends(
    script: Script, address: str, store: RawStore
) -> None:
    empty = Answer(b'{"status": "success", "data": {"resultType": "matrix", "result": []}}')
    script.on("/prom/api/v1/query_range", empty)
    provider = counting(prometheus_url=f"{address}/prom")
    delivery = provider.fetch(WINDOW, store)
    assert delivery.is_empty_for_sure
    assert len(script.requests) == 2
    asked = script.requests[0].parameters
    assert asked["start"] == "2026-10-01T00:59:30Z"
    assert asked["end"] == "2026-10-01T23:59:30Z"
    assert asked["step"] == "3600s"


@pytest.mark.slow
def test_metrics_of_a_real_prometheus(tmp_path: Path, store: RawStore) -> None:
    def series(cluster: str) -> str:
        labels = f'cluster="{cluster}",cluster_org="acme-org"'
        kind = 'label_node_kubernetes_io_instance_type="gd-8xh100ib-i128"'
        return f"billing:instance:total{{{labels},{kind}}}"

    def counted(minutes: range, count: Callable[[int], str]) -> list[tuple[datetime, str]]:
        start = datetime(2026, 10, 1, 3, tzinfo=UTC)
        return [(start + timedelta(minutes=minute), count(minute)) for minute in minutes]

    samples = {
        # Two hours of 16 nodes, then a node less from half past on, to the end of the third hour.
        series("train"): counted(range(180), lambda minute: "16" if minute < 150 else "15"),
        # One node for a quarter of an hour; Prometheus looks back five minutes after its end.
        series("dev"): counted(range(60, 75), lambda _: "1"),
    }
    with served_prometheus(tmp_path, samples) as server:
        provider = counting(prometheus_url=server.address)
        delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store).select(
        "ResourceId", pl.col("ChargePeriodStart").dt.hour(), "PricingQuantity"
    )
    quantities = {(cluster, at): quantity for cluster, at, quantity in found.rows()}
    assert [quantities["train", at] for at in (3, 4, 5)] == [16, 16, Decimal("15.5")]
    assert Decimal("0.25") <= quantities["dev", 4] < Decimal("0.34")
