"""Send budget alerts."""

from datetime import UTC, datetime

from prefect import flow

from finops.partition import parse_period, period_of
from tasks import evidence
from tasks.alert import send_alerts


@flow(name="alert", flow_run_name="alert {period}", log_prints=True)
def alert(config: str = "finops.toml", period: str | None = None) -> None:
    """Tell the budget thresholds that were passed and not told before.

    Args:
        config: Path of finops.toml on the machine that runs this.
        period: The month, such as 2026-10. Leave empty for the current one (UTC).
    """
    now = datetime.now(UTC)
    month = parse_period(period) if period else period_of(now.date())
    sent = send_alerts(config, month, now)
    evidence.show_alerts(sent)
    for each in sent:
        print(f"{each.channel}: {len(each.alerts)} alerts")  # noqa: T201 - Prefect logs it
