"""Sending budget alerts."""

from datetime import datetime

from finops.installation import Installation
from reports import alerts
from reports.alerts import Sent
from tasks.step import step


@step("alert-{period}", tags=["alert"])
def send_alerts(config: str, period: str, now: datetime) -> list[Sent]:
    """Tell the budget thresholds of one period that were not told before."""
    return alerts.send(Installation.open(config), period, now)
