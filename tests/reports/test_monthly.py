"""The monthly page: self-contained, escaped, adding up, and the same bytes every time."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from finops.budgets import BudgetStatus
from reports.monthly import render, verdict
from tests.reports.alerts_sample import HOSTILE
from tests.reports.company import entry, statement

TITLE = re.compile(r'title="(-?[0-9.]+)"')


class HtmlExtension(SingleFileSnapshotExtension):
    """Keeps the page as an HTML file that a browser can open."""

    file_extension = "html"
    _write_mode = WriteMode.TEXT


@pytest.fixture(scope="module")
def page() -> str:
    return render(statement())


def section(page: str, heading: str) -> str:
    """Cut the first section under `heading` out of the page."""
    return page.split(f"<h3>{heading}</h3>", 1)[1].split("</section>", 1)[0]


def body_rows(table: str) -> list[list[Decimal]]:
    rows = table.split("<tbody>", 1)[1].split("</tbody>", 1)[0].split("</tr>")
    return [[Decimal(value) for value in TITLE.findall(row)] for row in rows if "<td" in row]


def foot(table: str) -> list[Decimal]:
    return [Decimal(value) for value in TITLE.findall(table.split("<tfoot>", 1)[1])]


def test_the_page_is_as_it_was(page: str, snapshot: SnapshotAssertion) -> None:
    assert page == snapshot(extension_class=HtmlExtension)


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    assert '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';' in page
    assert not re.search(r"<script|<link|<iframe|<img|@import|url\(|javascript:|\son\w+=", page)
    assert not re.search(r"https?://", page)


def test_it_is_told_how_it_was_decided_when_workloads_explain_some_of_it(page: str) -> None:
    assert "How it was decided" not in page
    steps = [("5", "workload"), ("2", "idle"), ("4", "rule"), ("1", "workload")]
    made = statement([entry(billed, step=step, cost_center="web") for billed, step in steps])
    table = section(render(made), "How it was decided")
    assert re.findall(r'scope="row">([^<]+)<', table) == [
        "Held by workloads",
        "Idle: held by nobody",
        "By rules",
    ]
    assert body_rows(table) == [[Decimal(each)] * 2 for each in (6, 2, 4)]


def test_a_hostile_name_is_text() -> None:
    made = statement([entry("5", cost_center=HOSTILE, service_provider=HOSTILE, service=HOSTILE)])
    shown = render(made)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_a_hostile_reason_and_example_are_text() -> None:
    made = statement([entry("5", reason=HOSTILE, resource=HOSTILE, account='"><b>')])
    shown = render(made)
    assert "<script" not in shown
    assert "<b>" not in shown


def test_row_order_does_not_change_the_page() -> None:
    rows = [entry("5", cost_center="web", charge_id="a"), entry("7", charge_id="b")]
    assert render(statement(rows)) == render(statement(rows[::-1]))


def test_cost_centers_and_unallocated_add_up(page: str) -> None:
    table = section(page, "Cost centers")
    assert sum(row[0] for row in body_rows(table) if len(row) == 2) == foot(table)[0]


def test_providers_add_up(page: str) -> None:
    table = section(page, "Providers")
    assert [sum(column) for column in zip(*body_rows(table), strict=True)] == foot(table)


def test_days_add_up(page: str) -> None:
    for *providers, total in body_rows(section(page, "Day by day")):
        assert sum(providers) == total


def test_over_budget_is_marked_with_more_than_colour(page: str) -> None:
    assert "▲ over by 508.67" in section(page, "Budgets")


def test_all_sections_are_there(page: str) -> None:
    headings = re.findall("<h3>(.*?)</h3>", page.split("<h2>EUR</h2>", 1)[0])
    assert headings == [
        "Budgets",
        "Cost centers",
        "Day by day",
        "Providers",
        "GPU prices",
        "What changed most",
        "Unallocated, and why",
        "Quarantined",
    ]


def test_the_reader_is_told_how_to_check(page: str) -> None:
    footer = page.split("<footer>", 1)[1]
    assert "northlight.example/finops" in footer
    assert "qtbFx4kkJcTXYLcMG1YDhYNdQKtB2iCCRoaVNEmXUC0=" in footer
    assert "finops ledger verify" in footer


def test_a_ledger_without_checkpoint_says_so() -> None:
    assert "no signed checkpoint yet" in render(replace(statement(), checkpoint=None))


def test_an_empty_month_is_a_page_too() -> None:
    assert "holds no charges of this month" in render(statement([]))
    bare = replace(statement([]), currencies=())
    assert "Nothing was billed" in render(bare)


def test_a_complete_month_has_no_pace() -> None:
    shown = render(statement([entry("5", cost_center="web", day=date(2026, 10, 31))]))
    assert "The whole month" in shown
    assert "at this pace" not in shown


@pytest.mark.parametrize(
    ("spent", "forecast", "words"),
    [
        ("101", None, "over by 1.00"),
        ("100", None, "close to its limit"),
        ("80", "100", "close to its limit"),
        ("60", "100.01", "heading over at this pace"),
        ("79", None, "within budget"),
    ],
)
def test_verdicts(spent: str, forecast: str | None, words: str) -> None:
    amount = Decimal(spent)
    status = BudgetStatus(
        cost_center="web",
        name="Web",
        currency="USD",
        amount=Decimal(100),
        spent=amount,
        percent=amount,
        remaining=100 - amount,
        forecast=None if forecast is None else Decimal(forecast),
        owners=(),
    )
    assert verdict(status).words == words
