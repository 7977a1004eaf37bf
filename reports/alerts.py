"""Alerting: budgets that passed a threshold are told once, on every configured channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from finops import alerting, budgets, statement
from finops.alerting import Alert, Outbox
from finops.errors import ExportError, Issue
from finops.installation import Installation
from finops.statement import Statement
from reports import publishing, registry


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out on one channel."""

    channel: str
    period: str
    alerts: tuple[Alert, ...]
    issues: tuple[Issue, ...] = ()


def send(installation: Installation, period: str, now: datetime) -> list[Sent]:
    """Tell every budget threshold that was passed in `period` and not told before.

    A channel that fails does not stop the others; raises `ExportError` for it in the end.
    """
    config = installation.config.alerts
    told = publishing.state(installation, period)
    statuses = budgets.statuses(
        installation.ledger.entries(period=period), installation.organization, period
    )
    due = alerting.due(statuses, config.thresholds, period)
    sent: list[Sent] = []
    failed: list[Issue] = []
    for channel in registry.channels(config):
        try:
            sent.append(_deliver(installation, channel, due, told, now))
        except ExportError as error:
            failed.append(Issue(f"alerts.{channel}", str(error)))
    if failed:
        raise ExportError.of(failed)
    return sent


def _deliver(
    installation: Installation,
    channel: str,
    due: Sequence[Alert],
    told: Statement,
    now: datetime,
) -> Sent:
    config = installation.config.alerts
    notifier = registry.notifier(channel, config)
    delivered = Outbox(installation.warehouse).deliver(
        channel,
        due,
        lambda alerts: notifier.send(alerts, statement.summary(told), config.report_url),
        now,
    )
    return Sent(channel, told.period, delivered.alerts, delivered.issues)
