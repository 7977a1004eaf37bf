"""Render the reports."""

from datetime import UTC, date, datetime, timedelta

from prefect import flow

from finops.installation import Installation
from finops.partition import Window, parse_period
from tasks import evidence
from tasks.publish import publish_month

RESTATED = timedelta(days=15)
"""How long after its end a month is published again every hour: providers still restate it."""


def still_changing(today: date) -> Window:
    """Cover the days that a report or an alert may still change for."""
    return Window(today - RESTATED, today + timedelta(days=1))


def billed_periods(config: str, window: Window) -> list[str]:
    """Name the billing months that the ledger has entries of which touch `window`, in order.

    A September charge on October's bill belongs to October: both months have changed.
    """
    posted = Installation.open(config).ledger.partition_idem()
    return sorted({partition.period for partition in posted if partition.touches(window)})


def chosen_periods(config: str, period: str | None) -> list[str]:
    """Name the month that a form gave, or those that may still change when it gave none."""
    if period:
        return [parse_period(period)]
    return billed_periods(config, still_changing(datetime.now(UTC).date()))


@flow(name="publish", flow_run_name="publish {period}", log_prints=True)
def publish(config: str = "finops.toml", period: str | None = None) -> None:
    """Render the report of a billing month from the ledger.

    Args:
        config: Path of finops.toml on the machine that runs this.
        period: The month, such as 2026-10. Leave empty for those that may still change.
    """
    for published in publish_month.map(config, chosen_periods(config, period)).or_raise():
        evidence.show_report(published)
        print(published.summary)  # noqa: T201 - Prefect logs it
