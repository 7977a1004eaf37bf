"""Sentences that several channels and the report have in common."""

from collections.abc import Sequence
from datetime import date

from finops import money
from finops.alerting import Alert
from reports import figures


def title(alerts: Sequence[Alert]) -> str:
    """Name the message: `Budget alert` or `3 budget alerts`, and the month."""
    month = f"{date.fromisoformat(f'{alerts[0].period}-01'):%B %Y}"
    return f"{'Budget alert' if len(alerts) == 1 else f'{len(alerts)} budget alerts'}, {month}"


def mark(alert: Alert) -> str:
    """Give the sign that tells "over" from "reached a threshold" without colour."""
    return "▲" if alert.is_over else "●"


def state(alert: Alert) -> str:
    """Say what happened, without the name: every threshold that is told, in one sentence."""
    reached = " and ".join(
        part
        for part in (
            ", ".join(money.text(threshold) for threshold in alert.passed),
            money.text(alert.threshold),
        )
        if part
    )
    if alert.is_over:
        over = figures.amount(alert.spent - alert.amount)
        return f"is over its budget by {over} {alert.currency}; it passed {reached} %"
    return f"has reached {reached} % of its budget"


def spent(alert: Alert) -> str:
    """Say how much of how much."""
    return (
        f"{figures.amount(alert.spent)} of {figures.amount(alert.amount)} {alert.currency} "
        f"({figures.percent(alert.percent)})"
    )


def remedy(reason: str) -> str | None:
    """Say what would have caught a charge that is unallocated for `reason`.

    `reason` is as attribution writes it; `None` when it is one that attribution does not write.
    Who held the resource comes before a colon: `pod web/api: no tag team, and no other rule …`.
    """
    _, held, why = reason.partition(": ")
    if held and not reason.startswith(("tag ", "no ", "cost center ")):
        return remedy(why)
    if reason.endswith(" names no cost center"):
        return "the tag spelled as a cost center's id, or this spelling as one of its aliases"
    if reason.startswith("no tag "):
        tags = reason.removeprefix("no ").partition(",")[0].replace(" and no ", " or ")
        return f"a {tags} on the resource, or a rule for its account or resource"
    if " is not valid on " in reason:
        return "a rule that names a cost center which exists on that day"
    if reason.startswith("no "):
        return "a rule for the account, service or resource"
    return None
