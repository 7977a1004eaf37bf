"""Estimate what work costs while it runs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run

from finops.accruals import Accrued
from finops.installation import Installation
from finops.ledger import Appended
from providers import accruing
from providers.accruing import Accruing
from tasks import evidence
from tasks.accrue import accrue_source
from tasks.attribute import attribute_partition, post
from tasks.step import Failure, Outcomes


@dataclass(frozen=True, slots=True)
class Accrual:
    """What one accrual estimated, posted, and could not do."""

    accrued: tuple[Accrued, ...]
    appended: Appended | None
    failures: tuple[Failure, ...]


def accrue_all(config: str, now: datetime, without: Collection[str] = ()) -> Accrual:
    """Estimate all reported work, and post what changed; what was cut off the hourly sweep posts.

    Sources in `without` are left as they are.
    """
    sources = [name for name in accruing.sources(Installation.open(config)) if name not in without]
    accrued = accrue_source.map(config, [Accruing(source, now) for source in sources])
    changed = [partition for one in accrued.results for partition in one.changed]
    attributed = attribute_partition.map(config, changed)
    failures = (*accrued.failures, *attributed.failures)
    if not attributed.results:
        return Accrual(accrued.results, None, failures)
    run_id = flow_run.id
    appended = post(config, attributed.results, now, None if run_id is None else str(run_id))
    return Accrual(accrued.results, appended, failures)


@flow(name="accrue", flow_run_name="accrue", log_prints=True)
def accrue(config: str = "finops.toml") -> None:
    """Estimate what reported work costs while it runs, until its bill arrives.

    Estimates are charges like others, and are reversed when the ledger has the bill.

    Args:
        config: Path of finops.toml on the machine that runs this.
    """
    done = accrue_all(config, datetime.now(UTC))
    evidence.show_estimates(done.accrued)
    Outcomes((), done.failures).or_raise()
