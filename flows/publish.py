"""Render the reports."""

from datetime import UTC, datetime

from prefect import flow

from finops.partition import parse_period, period_of
from tasks import evidence
from tasks.publish import publish_month


@flow(name="publish", flow_run_name="publish {period}", log_prints=True)
def publish(config: str = "finops.toml", period: str | None = None) -> None:
    """Render the report of a billing month from the ledger.

    Args:
        config: Path of finops.toml on the machine that runs this.
        period: The month, such as 2026-10. Leave empty for the current one (UTC).
    """
    month = parse_period(period) if period else period_of(datetime.now(UTC).date())
    published = publish_month(config, month)
    evidence.show_report(published)
    print(published.summary)  # noqa: T201 - Prefect logs it
