"""Which budget alerts are due, and the outbox that sends each of them once.

An alert is *claimed* in the warehouse before it is sent, and marked *sent* after. Two runs at the
same time cannot both claim it. A process that dies in between leaves a claim that the next run
takes over when it is old enough: then an alert may arrive twice, but it is never lost.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from finops import money
from finops.budgets import BudgetStatus
from finops.errors import ExportError, Issue
from finops.warehouse import Warehouse

PREFIX = "alerts"
CLAIM_EXPIRES_AFTER = timedelta(minutes=15)
_HUNDRED = Decimal(100)
_SENT_AT = "sent_at"
_CLAIMED_AT = "claimed_at"


@dataclass(frozen=True, slots=True)
class Alert:
    """A budget of the billing month `period` has reached `threshold` percent."""

    cost_center: str
    name: str
    period: str
    threshold: Decimal
    percent: Decimal
    spent: Decimal
    amount: Decimal
    currency: str
    owners: tuple[str, ...]
    passed: tuple[Decimal, ...] = ()
    """Lower thresholds that were reached at the same time, and are told with this one."""

    @property
    def key(self) -> str:
        """The alert's identity: period, cost center and threshold, and no figure that moves."""
        return f"{self.period}-{self.cost_center}-{money.text(self.threshold)}"

    @property
    def is_over(self) -> bool:
        """Tell whether more was spent than the budget."""
        return self.spent > self.amount


def due(
    statuses: Iterable[BudgetStatus], thresholds: Iterable[Decimal], period: str
) -> list[Alert]:
    """List an alert for every threshold a budget has reached, in the order of `statuses`.

    Thresholds are percent of the budget; within a cost center the highest comes first.
    """
    highest_first = sorted(set(thresholds), reverse=True)
    return [
        _alert(status, threshold, period)
        for status in statuses
        for threshold in highest_first
        if _reaches(status, threshold)
    ]


def _reaches(status: BudgetStatus, threshold: Decimal) -> bool:
    """Compare the amounts themselves: `status.percent` is rounded."""
    at = money.CONTEXT.divide(money.CONTEXT.multiply(status.amount, threshold), _HUNDRED)
    return status.spent >= at


def _alert(status: BudgetStatus, threshold: Decimal, period: str) -> Alert:
    return Alert(
        cost_center=status.cost_center,
        name=status.name,
        period=period,
        threshold=threshold,
        percent=status.percent,
        spent=status.spent,
        amount=status.amount,
        currency=status.currency,
        owners=status.owners,
    )


Send = Callable[[Sequence[Alert]], Sequence[Issue]]
"""Sends alerts in one message; returns what went wrong although it went out, or raises."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one `deliver` sent, and what went wrong although the message went out."""

    alerts: tuple[Alert, ...] = ()
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send `alert`, held by the object at `key`."""

    alert: Alert
    key: str


class Outbox:
    """Remembers in the warehouse which alerts went out, per period and channel.

    Layout: `alerts/period=2026-10/<channel>/<alert key>.json`; a claim that was taken over from a
    run that died ends in `.retry-2.json`, and so on. Every one of them is made with `create`.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def deliver(
        self, channel: str, alerts: Sequence[Alert], send: Send, now: datetime
    ) -> Delivered:
        """Send those of `alerts` that never went out on `channel`, together in one call of `send`.

        `alerts` are all that are due. A cost center that passed several thresholds at once is
        told of them together. When `send` raises, nothing counts
        as sent and the error passes through. `now` is in UTC.
        """
        claims = [claim for alert in alerts if (claim := self._claim(channel, alert, now))]
        told = _told_together([claim.alert for claim in claims])
        try:
            issues = tuple(send(told)) if told else ()
        except BaseException:
            for claim in claims:
                self._warehouse.delete(claim.key)
            raise
        for claim in claims:
            self._warehouse.replace(claim.key, _mark(claim.alert, _SENT_AT, now))
        return Delivered(told, issues)

    def _claim(self, channel: str, alert: Alert, now: datetime) -> Claim | None:
        """Claim an alert; `None` when it was sent, or when another run is sending it."""
        attempt = 1
        while True:
            key = _key(channel, alert, attempt)
            if self._warehouse.create(key, _mark(alert, _CLAIMED_AT, now)):
                return Claim(alert, key)
            if not self._expired(key, now):
                return None
            attempt += 1

    def _expired(self, key: str, now: datetime) -> bool:
        """Tell whether the claim at `key` was left behind by a run that died."""
        try:
            content = self._warehouse.read(key)
        except KeyError:
            # Released since `create` failed: that run said why, and the next one tries again.
            return False
        try:
            mark = json.loads(content)
            if _SENT_AT in mark:
                return False
            return now - datetime.fromisoformat(mark[_CLAIMED_AT]) > CLAIM_EXPIRES_AFTER
        except (ValueError, TypeError, KeyError):
            raise ExportError(
                f"{self._warehouse.url}/{key}: is not the mark of an alert; "
                f"delete it, and the alert is sent again"
            ) from None


def _told_together(claimed: Sequence[Alert]) -> tuple[Alert, ...]:
    """Tell each cost center once: its highest threshold, which names the lower ones."""
    by_center: dict[str, list[Alert]] = {}
    for alert in claimed:
        by_center.setdefault(alert.cost_center, []).append(alert)
    told = []
    for alerts in by_center.values():
        *lower, highest = sorted(alerts, key=lambda alert: alert.threshold)
        told.append(replace(highest, passed=tuple(alert.threshold for alert in lower)))
    return tuple(told)


def _key(channel: str, alert: Alert, attempt: int) -> str:
    suffix = "" if attempt == 1 else f".retry-{attempt}"
    return f"{PREFIX}/period={alert.period}/{channel}/{alert.key}{suffix}.json"


def _mark(alert: Alert, event: str, now: datetime) -> bytes:
    """Write what was said and when. Owners stay out: people's addresses belong in no log."""
    facts = {
        "cost_center": alert.cost_center,
        "threshold_percent": money.text(alert.threshold),
        "percent": money.text(alert.percent),
        "spent": money.text(alert.spent),
        "budget": money.text(alert.amount),
        "currency": alert.currency,
        event: now.isoformat(),
    }
    return json.dumps(facts, sort_keys=True, indent=1).encode() + b"\n"
