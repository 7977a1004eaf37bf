"""Alerts: due at a threshold, and sent once per period and channel whatever happens."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops.alerting import CLAIM_EXPIRES_AFTER, Alert, Outbox, due
from finops.budgets import statuses
from finops.errors import ExportError, Issue
from finops.warehouse.local import LocalWarehouse
from tests.reports.company import PERIOD, entry, ledger, parsed

NOW = datetime(2026, 10, 24, 12, tzinfo=UTC)
THRESHOLDS = (Decimal(50), Decimal(80), Decimal(100))


class Channel:
    """Remembers what it was told; fails while `fault` is set."""

    def __init__(self) -> None:
        self.messages: list[list[str]] = []
        self.thresholds: list[str] = []
        self.fault: BaseException | None = None

    def send(self, alerts: Sequence[Alert]) -> Sequence[Issue]:
        if self.fault is not None:
            raise self.fault
        self.messages.append([f"{alert.cost_center} {alert.threshold}" for alert in alerts])
        self.thresholds += [
            f"{alert.cost_center} {threshold}"
            for alert in alerts
            for threshold in (*alert.passed, alert.threshold)
        ]
        return ()


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path)


def alerts_at(**spent: str) -> list[Alert]:
    rows = [entry(amount, cost_center=center) for center, amount in spent.items()]
    return due(statuses(ledger(rows), parsed(), PERIOD), THRESHOLDS, PERIOD)


def keys(warehouse: LocalWarehouse) -> list[str]:
    return [key.removeprefix("alerts/period=2026-10/") for key in warehouse.list("alerts/")]


@pytest.mark.parametrize(
    ("spent", "reached"),
    [("5499.99", []), ("5500", [50]), ("8800", [80, 50]), ("99999", [100, 80, 50])],
)
def test_a_threshold_is_due_when_it_is_reached(spent: str, reached: list[int]) -> None:
    found = [alert for alert in alerts_at(perception=spent) if alert.cost_center == "perception"]
    assert [alert.threshold for alert in found] == reached


def test_a_threshold_between_two_rounded_percents_is_compared_exactly() -> None:
    found = statuses(ledger([entry("3666.67", cost_center="perception")]), parsed(), PERIOD)
    assert due(found, [Decimal("33.3333")], PERIOD)
    assert not due(found, [Decimal("33.3334")], PERIOD)


def test_the_key_does_not_move_with_the_amounts() -> None:
    (alert,) = alerts_at(product="15000")
    (later,) = alerts_at(product="15001")
    assert alert.key == later.key == "2026-10-product-50"


def test_nothing_due_sends_nothing(warehouse: LocalWarehouse) -> None:
    channel = Channel()
    assert Outbox(warehouse).deliver("slack", [], channel.send, NOW).alerts == ()
    assert channel.messages == []


def test_all_new_alerts_go_out_once_in_one_message(warehouse: LocalWarehouse) -> None:
    channel, alerts = Channel(), alerts_at(perception="6000", product="15000")
    for hour in range(3):
        Outbox(warehouse).deliver("slack", alerts, channel.send, NOW + timedelta(hours=hour))
    assert channel.messages == [["perception 50", "product 50"]]


def test_channels_do_not_know_of_each_other(warehouse: LocalWarehouse) -> None:
    slack, email = Channel(), Channel()
    for name, channel in (("slack", slack), ("email", email)):
        Outbox(warehouse).deliver(name, alerts_at(product="15000"), channel.send, NOW)
    assert slack.messages == email.messages == [["product 50"]]


def test_another_period_is_told_again(warehouse: LocalWarehouse) -> None:
    channel = Channel()
    rows = [entry("15000", cost_center="product", period="2026-11")]
    november = due(statuses(ledger(rows), parsed(), "2026-11"), THRESHOLDS, "2026-11")
    Outbox(warehouse).deliver("slack", alerts_at(product="15000"), channel.send, NOW)
    Outbox(warehouse).deliver("slack", november, channel.send, NOW)
    assert channel.messages == [["product 50"], ["product 50"]]


def test_several_thresholds_at_once_are_told_together(warehouse: LocalWarehouse) -> None:
    channel = Channel()
    alerts = alerts_at(product="31000")
    (told,) = Outbox(warehouse).deliver("slack", alerts, channel.send, NOW).alerts
    assert channel.messages == [["product 100"]]
    assert (*told.passed, told.threshold) == THRESHOLDS


def test_a_higher_threshold_is_a_new_alert(warehouse: LocalWarehouse) -> None:
    channel = Channel()
    Outbox(warehouse).deliver("slack", alerts_at(product="15000"), channel.send, NOW)
    Outbox(warehouse).deliver("slack", alerts_at(product="24000"), channel.send, NOW)
    assert channel.messages == [["product 50"], ["product 80"]]


def test_a_credit_that_lowers_the_spend_tells_nothing(warehouse: LocalWarehouse) -> None:
    channel = Channel()
    Outbox(warehouse).deliver("slack", alerts_at(product="31000"), channel.send, NOW)
    Outbox(warehouse).deliver("slack", alerts_at(product="25000"), channel.send, NOW)
    assert channel.messages == [["product 100"]]


@pytest.mark.parametrize("fault", [ExportError("refused"), KeyboardInterrupt()])
def test_a_failed_send_counts_as_not_sent(warehouse: LocalWarehouse, fault: BaseException) -> None:
    channel, alerts = Channel(), alerts_at(product="31000")
    channel.fault = fault
    with pytest.raises(type(fault)):
        Outbox(warehouse).deliver("slack", alerts, channel.send, NOW)
    assert keys(warehouse) == []

    channel.fault = None
    Outbox(warehouse).deliver("slack", alerts, channel.send, NOW)
    assert channel.messages == [["product 100"]]


class PowerCut(BaseException):
    """Ends a run as if the machine had stopped."""


class DyingWarehouse(LocalWarehouse):
    """Stops the run when it comes to marking alerts as sent."""

    def replace(self, key: str, content: bytes | Path) -> None:
        raise PowerCut


def test_a_run_that_died_after_sending_is_repeated_only_when_its_claim_is_old(
    tmp_path: Path,
) -> None:
    channel, alerts = Channel(), alerts_at(product="15000")
    with pytest.raises(PowerCut):
        Outbox(DyingWarehouse(tmp_path)).deliver("slack", alerts, channel.send, NOW)
    outbox = Outbox(LocalWarehouse(tmp_path))

    outbox.deliver("slack", alerts, channel.send, NOW + CLAIM_EXPIRES_AFTER)
    assert len(channel.messages) == 1
    late = NOW + CLAIM_EXPIRES_AFTER + timedelta(seconds=1)
    outbox.deliver("slack", alerts, channel.send, late)
    assert len(channel.messages) == 2
    outbox.deliver("slack", alerts, channel.send, late + timedelta(days=1))
    assert len(channel.messages) == 2
    assert keys(LocalWarehouse(tmp_path)) == [
        "slack/2026-10-product-50.json",
        "slack/2026-10-product-50.retry-2.json",
    ]


def test_one_of_many_runs_at_the_same_time_sends(warehouse: LocalWarehouse) -> None:
    channel, alerts = Channel(), alerts_at(perception="12000", product="15000")
    together = threading.Barrier(6)

    def run() -> None:
        together.wait()
        Outbox(warehouse).deliver("slack", alerts, channel.send, NOW)

    runs = [threading.Thread(target=run) for _ in range(6)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert sorted(channel.thresholds) == [
        *("perception 100", "perception 50", "perception 80", "product 50"),
    ]


def test_a_damaged_mark_is_named(warehouse: LocalWarehouse) -> None:
    key = "alerts/period=2026-10/slack/2026-10-product-50.json"
    for garbage in (b"", b"[]", b"7", b"{}", b'{"claimed_at": 3}', b"\xff"):
        warehouse.replace(key, garbage)
        with pytest.raises(ExportError, match=r"2026-10-product-50\.json: is not the mark"):
            Outbox(warehouse).deliver("slack", alerts_at(product="15000"), Channel().send, NOW)


def test_a_mark_names_no_person(warehouse: LocalWarehouse) -> None:
    Outbox(warehouse).deliver("slack", alerts_at(perception="6000"), Channel().send, NOW)
    (key,) = warehouse.list("alerts/")
    mark = warehouse.read(key)
    assert b'"spent": "6000"' in mark
    assert b"ada" not in mark


def test_what_went_wrong_beside_the_message_is_passed_on(warehouse: LocalWarehouse) -> None:
    issue = Issue("e-mail to nobody@x.example", "was refused")
    delivered = Outbox(warehouse).deliver(
        "email", alerts_at(product="15000"), lambda _: [issue], NOW
    )
    assert delivered.issues == (issue,)
    assert len(delivered.alerts) == 1
