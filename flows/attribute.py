"""Say whose the charges are, and post it to the ledger."""

from datetime import UTC, date, datetime, timedelta

from prefect import flow
from prefect.runtime import flow_run

from finops.ledger import Appended
from finops.partition import Window
from flows.ingest import chosen_window
from tasks.attribute import attribute_partition, find_changes, post
from tasks.step import Outcomes

SWEEP_DAYS = 60
"""How far back the hourly sweep looks for partitions that an earlier run left unposted."""


def attribute_window(config: str, window: Window, now: datetime) -> Outcomes[Appended]:
    """Attribute what changed in `window` and append the difference to the ledger."""
    attributed = attribute_partition.map(config, find_changes(config, window))
    if not attributed.results:
        return Outcomes((), attributed.failures)
    run_id = flow_run.id
    appended = post(config, attributed.results, now, None if run_id is None else str(run_id))
    return Outcomes(() if appended is None else (appended,), attributed.failures)


@flow(name="attribute", flow_run_name="attribute", log_prints=True)
def attribute(
    config: str = "finops.toml", start: date | None = None, end: date | None = None
) -> None:
    """Say whose each charge is by the rules of organization.toml, and post it to the ledger.

    What the ledger already says is not said again; what changed becomes corrections.

    Args:
        config: Path of finops.toml on the machine that runs this.
        start: First day (UTC). Leave empty for the last sixty days.
        end: The day after the last one (UTC). Leave empty for today.
    """
    now = datetime.now(UTC)
    window = chosen_window(start, end, now.date()) or sweep(now.date())
    for appended in attribute_window(config, window, now).or_raise():
        print(f"batch {appended.index}: {appended.rows} entries")  # noqa: T201 - Prefect logs it


def sweep(today: date) -> Window:
    """Cover every day that an hourly run looks at again."""
    return Window(today - timedelta(days=SWEEP_DAYS), today + timedelta(days=1))
