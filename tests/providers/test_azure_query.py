"""Cost Management's Query with the real client: pages, limits, and an export that goes on without."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops.errors import Severity, Terminal, Transient
from finops.raw import Delivery, RawStore
from providers import http
from providers.azure import Azure, AzureSettings
from providers.azure_query import Query, Totals
from providers.http import Pace
from tests.stubs.azure_export import EXPORT, FOCUS, OCTOBER, Delivered, write
from tests.stubs.scripted import Answer, Script

SCOPE = "/subscriptions/7d0f1c52-9a41-4f6e-8c1d-2b5f0e7a1c10"
PATH = f"{SCOPE}/providers/Microsoft.CostManagement/query"
TOKEN = "eyJ0b2tlbiB0aGF0IG5vYm9keSBtYXkgc2Vl"
LIMIT = "x-ms-ratelimit-microsoft.costmanagement"
EARLY, LATE = "2026-10-20T04:00:00Z", "2026-11-06T04:00:00Z"
SUM = Decimal("37644.365")
"""What tests/fixtures/azure/focus.csv bills in EUR."""


@pytest.fixture
def waits(address: str, script: Script, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the machine an identity of the script's, and collect the pauses that would be made."""
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(0.4, pauses.append, lambda: 0.0))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{address}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "made-up")
    token = {"access_token": TOKEN, "expires_on": "4102444800", "token_type": "Bearer"}
    script.on("/identity", Answer(json.dumps(token).encode()))
    return pauses


def reply(*rows: list[Any], columns: str = "Cost UsageDate Currency", link: str = "") -> Answer:
    named = [{"name": name, "type": "Number"} for name in columns.split()]
    properties: dict[str, Any] = {"columns": named, "rows": rows}
    if link:
        properties["nextLink"] = link
    return Answer(json.dumps({"properties": properties}).encode())


def totals(address: str, may_ask: Callable[[], bool] = lambda: True) -> Totals:
    return Query(SCOPE, address, may_ask).totals(OCTOBER)


def test_days_are_added_up_by_month_and_currency(
    script: Script, address: str, waits: list[float]
) -> None:
    rows = ([0.1, 20261001, "EUR"], [0.2, 20261002, "EUR"], [5, 20261002, "USD"])
    script.on(PATH, reply(*rows, [7.5, 20261101, "EUR"]), method="POST")
    found = totals(address)
    assert found.months == {
        "2026-10": {"EUR": Decimal("0.3"), "USD": Decimal(5)},
        "2026-11": {"EUR": Decimal("7.5")},
    }
    (asked,) = script.asked(PATH)
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.parameters["api-version"] == "2025-03-01"


def test_columns_are_found_by_name(script: Script, address: str, waits: list[float]) -> None:
    columns = "Currency ResourceGroup UsageDate Cost"
    script.on(PATH, reply(["EUR", "rg", 20261001, 4.25], columns=columns), method="POST")
    assert totals(address).months == {"2026-10": {"EUR": Decimal("4.25")}}


def test_an_empty_window_is_no_fault(script: Script, address: str, waits: list[float]) -> None:
    script.on(PATH, Answer(b"", 204), method="POST")
    assert totals(address) == Totals({}, ())


def test_every_page_is_followed(script: Script, address: str, waits: list[float]) -> None:
    link = f"{address}{PATH}?api-version=2025-03-01&$skiptoken=abc"
    first = reply([1, 20261001, "EUR"], link=link)
    script.on(PATH, first, reply([2, 20261002, "EUR"]), method="POST")
    found = totals(address)
    assert found.months == {"2026-10": {"EUR": Decimal(3)}}
    assert len(found.replies) == 2
    assert script.asked(PATH)[1].parameters["$skiptoken"] == "abc"


def test_a_page_that_comes_again_is_refused(
    script: Script, address: str, waits: list[float]
) -> None:
    again = reply([1, 20261001, "EUR"], link=f"{address}{PATH}?$skiptoken=abc")
    script.on(PATH, again, method="POST")
    with pytest.raises(Transient, match="read before"):
        totals(address)


def test_a_page_that_fails_gives_no_totals(
    script: Script, address: str, waits: list[float]
) -> None:
    first = reply([1, 20261001, "EUR"], link=f"{address}{PATH}?$skiptoken=abc")
    script.on(PATH, first, Answer(b"", 503), method="POST")
    with pytest.raises(Transient, match="answered 503 in try 5 of 5"):
        totals(address)


def test_the_token_never_goes_to_another_host(
    script: Script, address: str, waits: list[float]
) -> None:
    first = reply([1, 20261001, "EUR"], link="https://elsewhere.example/query?$skiptoken=abc")
    script.on(PATH, first, method="POST")
    with pytest.raises(Terminal, match=r"elsewhere\.example, which is not where"):
        totals(address)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "3"}, 3),
        ({f"{LIMIT}-qpu-retry-after": "9"}, 9),
        (
            {
                "Retry-After": "2",
                f"{LIMIT}-qpu-retry-after": "11",
                f"{LIMIT}-entity-retry-after": "17",
                f"{LIMIT}-clienttype-retry-after": "5",
            },
            17,
        ),
        ({}, 1),
        ({f"{LIMIT}-tenant-retry-after": "9000"}, 120),
    ],
)
def test_the_longest_of_all_limits_is_waited_for(
    headers: dict[str, str], pause: float, script: Script, address: str, waits: list[float]
) -> None:
    busy = Answer(b'{"error": {"code": "429"}}', 429, headers)
    script.on(PATH, busy, reply([1, 20261001, "EUR"]), method="POST")
    assert totals(address).months == {"2026-10": {"EUR": Decimal(1)}}
    assert waits == [pause]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Answer(b'{"error": {"code": "AuthorizationFailed"}}', 403), Terminal, "Management Reader"),
        (Answer(b"{}", 401), Terminal, "not accepted"),
        (Answer(b"{}", 400), Terminal, "answered 400"),
        (Answer(b"", 302, {"Location": "http://127.0.0.1:9/"}), Terminal, "answered 302"),
        (Answer(b"<html>", 200, {"Content-Type": "text/html"}), Transient, "text/html"),
        (Answer(b'{"properties": {"rows": [['), Transient, "complete"),
        (Answer(b"[]"), Transient, "no properties"),
        (reply([1, 20261001], columns="Cost UsageDate"), Transient, "not as it is known"),
        (reply(["much", 20261001, "EUR"]), Transient, "not as it is known"),
        (Answer(b"{}", reset_after=1), Transient, "try 5 of 5"),
    ],
)
def test_faults_are_said_without_the_token(
    answer: Answer,
    error: type[Exception],
    says: str,
    script: Script,
    address: str,
    waits: list[float],
) -> None:
    script.on(PATH, answer, method="POST")
    with pytest.raises(error, match=says) as caught:
        totals(address)
    assert TOKEN not in str(caught.value)


def test_a_machine_without_identity(
    script: Script, address: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    script.on("/identity", Answer(b'{"error": "no"}', 400))
    with pytest.raises(Terminal, match="no usable Azure identity"):
        totals(address)


class Source:
    """A copied export that is held against the script's Query."""

    def __init__(self, folder: Path, address: str, script: Script, store: RawStore) -> None:
        self.script = script
        self._folder = folder
        self.address = address
        self._store = store

    def answer(self, answer: Answer) -> None:
        self.script.on(PATH, answer, method="POST")

    def fetch(self, made: str = LATE, **settings: Any) -> Delivery:
        write(self._folder, Delivered({"part_0_0001.csv": FOCUS}, made=made))
        chosen = {"export": EXPORT, "query_scope": SCOPE, "query_url": self.address} | settings
        provider = Azure("az", AzureSettings.model_validate(chosen), self._folder)
        return provider.fetch(OCTOBER, self._store)


@pytest.fixture
def source(
    script: Script, address: str, waits: list[float], store: RawStore, tmp_path: Path
) -> Source:
    return Source(tmp_path, address, script, store)


@pytest.mark.parametrize(("made", "tolerance"), [(LATE, "0.01"), (EARLY, "752.8873")])
def test_a_month_is_held_against_query(made: str, tolerance: str, source: Source) -> None:
    source.answer(reply([float(SUM), 20261001, "EUR"]))
    delivery = source.fetch(made)
    counted, stated = delivery.stated
    assert counted.rows == 14
    assert stated.what == "Cost Management for 2026-10"
    assert stated.billed == {"EUR": SUM}
    assert stated.tolerance == Decimal(tolerance)
    assert stated.raw_ids == {delivery.objects[1].sha256}
    assert delivery.issues == ()


def test_an_export_counts_without_query(source: Source) -> None:
    source.answer(Answer(b'{"error": {"code": "AuthorizationFailed"}}', 403))
    delivery = source.fetch()
    assert len(delivery.objects) == 2
    (issue,) = delivery.issues
    assert issue.severity is Severity.WARNING
    assert issue.message.startswith("not reconciled: Cost Management /subscriptions/")
    assert "403 AuthorizationFailed; grant the role Cost Management Reader" in issue.message


def test_the_days_requests_are_counted(source: Source) -> None:
    source.answer(reply([float(SUM), 20261001, "EUR"]))
    assert source.fetch(queries_per_day=1).issues == ()
    (issue,) = source.fetch(queries_per_day=1).issues
    assert issue.severity is Severity.INFO
    assert issue.message == "the day's 1 requests to Cost Management are made; not reconciled"
    assert len(source.script.asked(PATH)) == 1


def test_a_total_that_is_not_stated_is_said(source: Source) -> None:
    source.answer(Answer(b"", 204))
    delivery = source.fetch()
    (issue,) = delivery.issues
    assert "states no cost for it" in issue.message
    assert len(delivery.stated) == 1


def test_the_total_is_a_probe_of_its_own(source: Source) -> None:
    source.answer(Answer(b'{"error": {"code": "AuthorizationFailed"}}', 403))
    settings = AzureSettings(export=EXPORT, query_scope=SCOPE, query_url=source.address)
    probes = Azure("az", settings, Path()).probes()
    with pytest.raises(Terminal, match="grant the role Cost Management Reader"):
        probes["Cost Management tells totals"]()
