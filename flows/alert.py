"""Send budget alerts."""

from datetime import UTC, datetime

from prefect import flow

from flows.publish import chosen_periods
from tasks import evidence
from tasks.alert import send_alerts


@flow(name="alert", flow_run_name="alert {period}", log_prints=True)
def alert(config: str = "finops.toml", period: str | None = None) -> None:
    """Tell the budget thresholds that were passed and not told before.

    Args:
        config: Path of finops.toml on the machine that runs this.
        period: The month, such as 2026-10. Leave empty for those that may still change.
    """
    now = datetime.now(UTC)
    months = chosen_periods(config, period)
    sent = [each for month in months for each in send_alerts(config, month, now)]
    evidence.show_alerts(sent)
    for each in sent:
        print(f"{each.channel}: {len(each.alerts)} alerts")  # noqa: T201 - Prefect logs it
