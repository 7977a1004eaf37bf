"""An hour's work: bring charges in, attribute them, publish, alert."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prefect import flow

from finops.errors import FinopsError
from finops.installation import Installation
from finops.ledger import Appended
from finops.partition import Window
from flows.accrue import accrue_all
from flows.attribute import attribute_window, sweep
from flows.ingest import ingest_sources
from flows.publish import billed_periods, still_changing
from providers.intake import Taken
from reports.alerts import Sent
from reports.publishing import Published
from tasks import evidence
from tasks.alert import send_alerts
from tasks.publish import publish_month
from tasks.step import Failure, Outcomes


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one run did, and what it could not do."""

    ingested: tuple[Taken, ...]
    appended: tuple[Appended, ...]
    published: tuple[Published, ...]
    sent: tuple[Sent, ...]
    failures: tuple[Failure, ...]


def run_cycle(
    config: str, sources: Sequence[str] | None, window: Window | None, now: datetime
) -> Cycle:
    """Do an hour's work for `window`, or for all that may still change.

    A source that fails does not stop the others. When every source fails nothing else is done:
    the warehouse and the ledger stay as they were.
    """
    Installation.open(config).demand_complete()
    today = now.date()
    ingested = ingest_sources(config, sources, window, today)
    if ingested.failures and not ingested.results:
        return Cycle((), (), (), (), ingested.failures)
    appended = attribute_window(config, window or sweep(today), now)
    # What a bill has just replaced must be gone before anything is published.
    accrued = accrue_all(config, now, without=[one.what for one in ingested.failures])
    evidence.show_coverage(config)
    evidence.show_reconciliation(ingested.results)
    periods = billed_periods(config, window or still_changing(today))
    published = publish_month.map(config, periods)
    for page in published.results:
        evidence.show_report(page)
    sent, unsent = _alerted(config, periods, now)
    evidence.show_alerts(sent)
    failures = (
        *ingested.failures,
        *appended.failures,
        *accrued.failures,
        *published.failures,
        *unsent,
    )
    posted = (*appended.results, *((accrued.appended,) if accrued.appended else ()))
    return Cycle(ingested.results, posted, published.results, tuple(sent), failures)


def _alerted(
    config: str, periods: Sequence[str], now: datetime
) -> tuple[list[Sent], list[Failure]]:
    sent: list[Sent] = []
    failures: list[Failure] = []
    for period in periods:
        try:
            sent += send_alerts(config, period, now)
        except FinopsError as error:
            failures.append(Failure(f"alerts of {period}", error))
    return sent, failures


@flow(name="cycle", flow_run_name="cycle", log_prints=True)
def cycle(config: str = "finops.toml") -> None:
    """Do an hour's work: bring in what may have changed, attribute, publish, alert.

    Args:
        config: Path of finops.toml on the machine that runs this.
    """
    done = run_cycle(config, None, None, datetime.now(UTC))
    Outcomes((), done.failures).or_raise()
