"""Artifacts: what a person would look at in Prefect's UI. Outside a flow run they are not made."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from finops import coverage, money, quarantine
from finops.accruals import Accrued
from finops.installation import Installation
from providers.intake import Taken
from reports.alerts import Sent
from reports.publishing import Published


def show_coverage(config: str) -> None:
    """Show how much of every currency has an owner."""
    if FlowRunContext.get() is None:
        return
    installation = Installation.open(config)
    covered = coverage.coverage(
        installation.ledger.entries(), quarantine.summary(installation.warehouse)
    )
    rows = [
        {
            "currency": each.currency,
            "billed": money.text(each.billed),
            "allocated": money.text(each.allocated),
            "unallocated": money.text(each.unallocated),
            "quarantined": money.text(each.quarantined),
            "coverage": money.text(each.coverage),
        }
        for each in covered
    ]
    create_table_artifact(key="coverage", table=rows, description="Coverage, all periods")


def show_reconciliation(taken: Sequence[Taken]) -> None:
    """Show what providers state beside what was read."""
    if FlowRunContext.get() is None:
        return
    rows = [
        {
            "source": one.source,
            "stated by": each.what,
            "unit": each.unit,
            "stated": money.text(each.stated),
            "read": money.text(each.found),
            "agrees": "yes" if each.agrees else "NO",
        }
        for one in taken
        if one.charges
        for each in one.charges.reconciled
    ]
    if rows:
        create_table_artifact(key="reconciliation", table=rows, description="Provider totals")


def show_estimates(accrued: Sequence[Accrued]) -> None:
    """Show how far estimates were from the bills that replaced them."""
    if FlowRunContext.get() is None:
        return
    rows = [
        {
            "source": one.source,
            "provider": each.provider,
            "currency": each.currency,
            "estimated": money.text(each.estimated),
            "billed": money.text(each.billed),
            "error": money.text(each.error),
        }
        for one in accrued
        for each in one.compared
    ]
    if rows:
        create_table_artifact(key="estimates", table=rows, description="Estimates against bills")


def show_report(published: Published) -> None:
    """Show the month in a line and where its report is."""
    if FlowRunContext.get() is not None:
        create_markdown_artifact(
            key="report", markdown=f"{published.summary}\n\nReport: `{published.path}`"
        )


def show_alerts(sent: list[Sent]) -> None:
    """Show which alerts went out, and where."""
    if FlowRunContext.get() is None:
        return
    rows = [
        {
            "channel": each.channel,
            "cost center": alert.name,
            "threshold": f"{money.text(alert.threshold)} %",
            "spent": f"{money.text(alert.spent)} {alert.currency}",
        }
        for each in sent
        for alert in each.alerts
    ]
    create_table_artifact(key="alerts", table=rows, description="Alerts sent by this run")
