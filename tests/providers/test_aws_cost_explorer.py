"""Cost Explorer against moto's server: totals, pages, the allowance, and what a refusal does."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from finops import charges
from finops.charges import Ingested
from finops.errors import Terminal, Transient
from finops.partition import Window
from finops.purse import Purse
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import aws, aws_cost_explorer
from providers.aws import Aws, AwsSettings
from providers.aws_access import Access
from providers.aws_cost_explorer import AllowanceSpent, CostExplorer, asked_months
from providers.base import Probe
from tests.stubs.aws_export import CUR, OCTOBER, Export
from tests.stubs.scripted import Answer, Script

TODAY = date(2026, 10, 20)


def month(amount: str, *, estimated: bool = True, token: str | None = None) -> dict[str, Any]:
    result = {
        "TimePeriod": {"Start": "2026-10-01", "End": "2026-10-21"},
        "Total": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}},
        "Groups": [],
        "Estimated": estimated,
    }
    return {"ResultsByTime": [result]} | ({"NextPageToken": token} if token else {})


@pytest.fixture
def explain(s3_address: str, bucket: object) -> Iterator[Any]:
    """Give moto the pages that it is to answer with."""

    def queue(*pages: dict[str, Any]) -> None:
        address = f"{s3_address}/moto-api/static/ce/cost-and-usage-results"
        assert httpx.post(address, json={"results": list(pages)}).status_code == 201

    yield queue
    httpx.post(f"{s3_address}/moto-api/reset")


@pytest.fixture
def october(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2026, 10, 20, 12, tzinfo=tz or UTC)

    monkeypatch.setattr(aws, "datetime", Clock)


def taken(export: Export, warehouse: LocalWarehouse, **settings: Any) -> Ingested:
    url = f"s3://{export.bucket.name}/billing/focus-hourly"
    model = AwsSettings.model_validate({"export": url, "cost_explorer": settings})
    provider = Aws("aws-main", model, Path())
    store = RawStore(warehouse)
    delivery = provider.fetch(OCTOBER, store)
    return charges.write(provider.charges(delivery, store.path), delivery, warehouse)


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


@pytest.fixture
def delivered(export: Export) -> Export:
    export.deliver({"cur-00001.csv": CUR})
    return export


@pytest.mark.usefixtures("october")
def test_a_month_that_agrees_to_the_cent_of_its_doubles(
    delivered: Export, warehouse: LocalWarehouse, explain: Any
) -> None:
    billed = taken(delivered, warehouse).billed["USD"]
    explain(month(str(billed), estimated=False))
    found = taken(delivered, LocalWarehouse(warehouse.root / "again"))
    assert [(each.what, each.agrees) for each in found.reconciled] == [
        ("Cost Explorer, 2026-10", True)
    ]


@pytest.mark.usefixtures("october")
def test_a_closed_month_that_differs_is_an_issue_and_the_export_counts(
    delivered: Export, warehouse: LocalWarehouse, explain: Any
) -> None:
    explain(month("1000000", estimated=False))
    found = taken(delivered, warehouse)
    (issue,) = [issue for issue in found.issues if "Cost Explorer" in issue.message]
    assert "Cost Explorer, 2026-10 states 1000000 USD but" in issue.message
    assert found.rows > 0
    kept = [warehouse.read(key) for key in warehouse.list("raw/")]
    assert any(b"Cost Explorer 2026-10-01..2026-10-21" in content for content in kept)


@pytest.mark.usefixtures("october")
def test_an_open_month_may_be_a_little_ahead(
    delivered: Export, warehouse: LocalWarehouse, explain: Any
) -> None:
    billed = taken(delivered, warehouse).billed["USD"]
    explain(month(str(billed * Decimal("1.019"))), month(str(billed * Decimal("1.021"))))
    agrees = taken(delivered, LocalWarehouse(warehouse.root / "b"), tolerance_percent=2)
    assert [each.agrees for each in agrees.reconciled] == [True]


@pytest.mark.usefixtures("october")
def test_the_days_allowance_is_kept_over_runs(
    delivered: Export, warehouse: LocalWarehouse, explain: Any
) -> None:
    explain(month("1"))
    first = taken(delivered, warehouse, daily_budget=Decimal("0.01"))
    second = taken(delivered, warehouse, daily_budget=Decimal("0.019"))
    assert len(first.reconciled) == 1
    assert second.reconciled == ()
    (said,) = [issue.message for issue in second.issues if "spent" in issue.message]
    assert said == "the day's 0.019 USD for Cost Explorer are spent; not reconciled"


@pytest.mark.usefixtures("october")
def test_without_permission_the_export_still_counts(
    delivered: Export,
    warehouse: LocalWarehouse,
    script: Script,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    denied = {"__type": "AccessDeniedException", "message": "not authorized"}
    script.on("/", Answer(json.dumps(denied).encode(), 400), method="POST")
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", address)
    found = taken(delivered, warehouse)
    (issue,) = [issue for issue in found.issues if "not reconciled" in issue.message]
    assert "grant ce:GetCostAndUsage" in issue.message
    assert found.rows > 0


def test_every_page_is_a_request_that_is_paid_for(explain: Any, warehouse: LocalWarehouse) -> None:
    explain(month("1", token="page-2"), month("2"))
    purse = Purse(warehouse, "ce", TODAY, 5)
    replies = CostExplorer(Access(), purse.take).replies(
        Window(date(2026, 9, 1), date(2026, 10, 21))
    )
    assert [total.amounts["USD"] for total in aws_cost_explorer.totals(replies)] == [1, 2]
    assert purse.spent() == 2


def test_no_coin_no_request(
    script: Script, address: str, monkeypatch: pytest.MonkeyPatch, warehouse: LocalWarehouse
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", address)
    with pytest.raises(AllowanceSpent):
        CostExplorer(Access(region="us-east-1"), Purse(warehouse, "ce", TODAY, 0).take).replies(
            OCTOBER
        )
    assert script.requests == []


@pytest.mark.parametrize(
    ("window", "asked"),
    [
        ("2026-10-05 2026-10-06", "2026-10-01..2026-10-21"),
        ("2026-08-15 2026-09-02", "2026-08-01..2026-10-01"),
        ("2024-01-01 2026-09-02", "2025-10-01..2026-10-01"),
        ("2026-11-01 2026-12-01", None),
        ("2024-01-01 2024-02-01", None),
    ],
)
def test_which_months_are_asked_for(window: str, asked: str | None) -> None:
    start, end = map(date.fromisoformat, window.split())
    found = asked_months(Window(start, end), TODAY)
    assert (str(found) if found else None) == asked


def test_a_reply_of_another_shape_is_transient() -> None:
    with pytest.raises(Transient, match="not as it is known"):
        list(aws_cost_explorer.totals([{"ResultsByTime": [{"Total": {}}]}]))


def test_the_permission_is_named(
    script: Script,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    warehouse: LocalWarehouse,
    credentials: None,
) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode()
    script.on("/", Answer(body, 400), method="POST")
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", address)
    with pytest.raises(Terminal, match="grant ce:GetCostAndUsage"):
        CostExplorer(Access(), Purse(warehouse, "ce", TODAY, 1).take).replies(OCTOBER)


def probes(**settings: Any) -> dict[str, Probe]:
    model = {"export": "s3://bill/exports/x", "region": "us-east-1", **settings}
    return dict(Aws("aws-main", AwsSettings.model_validate(model), Path()).probes())


PROBE = "Cost Explorer tells totals (for 0.01 USD)"


@pytest.mark.usefixtures("october")
def test_the_probe_asks_once_whatever_the_pages(
    script: Script, address: str, monkeypatch: pytest.MonkeyPatch, credentials: None
) -> None:
    page = json.dumps(month("1", token="page-2")).encode()
    script.on("/", Answer(page), method="POST")
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", address)
    *_, (name, probe) = probes(cost_explorer={}).items()
    assert name == PROBE
    probe()
    assert len(script.requests) == 1


def test_the_probe_names_the_permission(
    script: Script, address: str, monkeypatch: pytest.MonkeyPatch, credentials: None
) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode()
    script.on("/", Answer(body, 400), method="POST")
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", address)
    with pytest.raises(Terminal, match="grant ce:GetCostAndUsage"):
        probes(cost_explorer={})[PROBE]()
    assert len(script.requests) == 1


@pytest.mark.parametrize("settings", [{}, {"cost_explorer": {"daily_budget": 0}}])
def test_who_pays_for_no_request_is_not_asked_for_a_coin(settings: dict[str, Any]) -> None:
    assert PROBE not in probes(**settings)
