"""Bring in a range of the past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from prefect import flow

from finops.errors import ConfigError
from finops.installation import Installation
from finops.ledger import Appended
from finops.partition import Window
from flows.attribute import attribute_window
from providers import intake
from providers.intake import Taken, Taking
from tasks import evidence
from tasks.ingest import ingest_source
from tasks.step import Failure, Outcomes

MOST_DAYS = 800


class IfExists(StrEnum):
    """What to do with a month that an earlier backfill brought in."""

    SKIP = "skip"
    OVERWRITE = "overwrite"


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill planned, skipped, did and could not do."""

    planned: tuple[Taking, ...]
    skipped: tuple[Taking, ...]
    ingested: tuple[Taken, ...]
    appended: tuple[Appended, ...]
    failures: tuple[Failure, ...]


def backfill_window(
    config: str,
    sources: Sequence[str],
    window: Window,
    if_exists: IfExists,
    now: datetime,
    *,
    dry_run: bool,
) -> Backfill:
    """Take in `window` month by month; a run that was cut off goes on where it stopped."""
    installation = Installation.open(config)
    installation.demand_complete()
    wanted = [
        Taking(source, month)
        for source in intake.chosen(installation.config, sources)
        for month in _months(window)
    ]
    skipped = [
        taking
        for taking in wanted
        if if_exists is IfExists.SKIP
        and intake.is_taken(installation.config, installation.warehouse, taking)
    ]
    planned = tuple(taking for taking in wanted if taking not in skipped)
    if dry_run:
        return Backfill(planned, tuple(skipped), (), (), ())
    ingested = ingest_source.map(config, planned)
    appended = attribute_window(config, window, now)
    evidence.show_coverage(config)
    evidence.show_reconciliation(ingested.results)
    failures = (*ingested.failures, *appended.failures)
    return Backfill(planned, tuple(skipped), ingested.results, appended.results, failures)


def _months(window: Window) -> Iterator[Window]:
    if (window.end - window.start).days > MOST_DAYS:
        raise ConfigError(f"{window} is more than {MOST_DAYS} days; backfill it in smaller ranges")
    for period in window.periods():
        month = Window.of_period(period)
        yield Window(max(month.start, window.start), min(month.end, window.end))


@flow(name="backfill", flow_run_name="backfill {start} to {end}", log_prints=True)
def backfill(
    start: date,
    end: date,
    sources: list[str] | None = None,
    if_exists: IfExists = IfExists.SKIP,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a switch in the form
    config: str = "finops.toml",
) -> None:
    """Bring in a range of past days, month by month, and post them to the ledger.

    It is safe to run again, and goes on where it was cut off. Charges are never counted twice.

    Args:
        start: First day to bring in (UTC).
        end: The day after the last one (UTC).
        sources: Names of the sources, as in finops.toml; leave empty for all of them.
        if_exists: "skip" leaves months alone that an earlier backfill finished; "overwrite"
            asks the provider again, and changes become corrections in the ledger.
        dry_run: Only list what would be brought in; nothing is fetched or written.
        config: Path of finops.toml on the machine that runs this.
    """
    now = datetime.now(UTC)
    window = Window(start, end)
    done = backfill_window(config, sources or [], window, if_exists, now, dry_run=dry_run)
    for taking in done.skipped:
        print(f"skipped {taking.source} {taking.window}: brought in before")  # noqa: T201
    for taking in done.planned:
        print(f"{'would bring' if dry_run else 'brought'} in {taking.source} {taking.window}")  # noqa: T201
    Outcomes((), done.failures).or_raise()
