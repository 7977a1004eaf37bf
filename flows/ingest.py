"""Bring charges in."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from prefect import flow

from finops.installation import Installation
from finops.partition import Window
from providers import intake
from providers.intake import Taken, Taking
from tasks import evidence
from tasks.ingest import ingest_source
from tasks.step import Outcomes


def ingest_sources(
    config: str, sources: Sequence[str] | None, window: Window | None, today: date
) -> Outcomes[Taken]:
    """Take in the sources (all when None) for `window`, or for what may still change."""
    settings = Installation.open(config).config
    takings = [
        Taking(name, window or intake.lookback(settings, name, today))
        for name in intake.chosen(settings, sources)
    ]
    return ingest_source.map(config, takings)


@flow(name="ingest", flow_run_name="ingest {sources}", log_prints=True)
def ingest(
    config: str = "finops.toml",
    sources: list[str] | None = None,
    start: date | None = None,
    end: date | None = None,
) -> None:
    """Bring the charges of one or more sources into the warehouse.

    Running it again replaces what it brought before: nothing is ever counted twice.

    Args:
        config: Path of finops.toml on the machine that runs this.
        sources: Names of the sources, as in finops.toml; leave empty for all of them.
        start: First day (UTC). Leave empty for the days that may still change.
        end: The day after the last one (UTC). Leave empty for today.
    """
    now = datetime.now(UTC)
    window = chosen_window(start, end, now.date())
    outcomes = ingest_sources(config, sources, window, now.date())
    evidence.show_reconciliation(outcomes.results)
    for one in outcomes.or_raise():
        print(one)  # noqa: T201 - Prefect logs it


def chosen_window(start: date | None, end: date | None, today: date) -> Window | None:
    """Make a window of what a form gave; None when it gave no start."""
    if start is None:
        return None
    return Window(start, end or date.fromordinal(today.toordinal() + 1))
