"""What `finops serve` serves: a deployment for every flow, hourly where it should be.

Every provider's ingest has a schedule of its own, so that one that is slow or paused does not
hold up the others; attribution, report and alerts follow ten minutes later.
"""

from collections import defaultdict
from typing import Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import Flow
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from finops.config import Config
from flows.accrue import accrue
from flows.alert import alert
from flows.attribute import attribute
from flows.backfill import backfill
from flows.cycle import cycle
from flows.ingest import ingest
from flows.publish import publish

INGEST_AT = "5 * * * *"
ACCRUE_AT = "* * * * *"
FOLLOW_UP_AT = {"attribute": "15 * * * *", "publish": "20 * * * *", "alert": "25 * * * *"}

# Never two at once, and none dropped: a slow hour makes the next one wait.
_ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
)


def deployments(config: Config, path: str) -> list[RunnerDeployment]:
    """Make the deployments for the sources of `config`, read from `path`."""
    by_provider: dict[str, list[str]] = defaultdict(list)
    for name, source in config.sources.items():
        by_provider[source.provider].append(name)
    hourly = [
        _deployment(ingest, f"ingest-{provider}", {"config": path, "sources": names}, INGEST_AT)
        for provider, names in sorted(by_provider.items())
    ]
    follow_up = [
        _deployment(flow, flow.name, {"config": path}, FOLLOW_UP_AT[flow.name])
        for flow in (attribute, publish, alert)
    ]
    # Only where work is reported: a run a minute that finds nothing would fill the history.
    if "sdk" in by_provider:
        follow_up.append(_deployment(accrue, accrue.name, {"config": path}, ACCRUE_AT))
    # Filled in with every source, so that the form needs no knowledge of finops.toml.
    every = {"config": path, "sources": list(config.sources)}
    by_hand = [_deployment(flow, flow.name, every) for flow in (ingest, backfill)]
    return [*hourly, *follow_up, *by_hand, _deployment(cycle, cycle.name, {"config": path})]


def _often(cron: str) -> str:
    return "every-minute" if cron == ACCRUE_AT else "hourly"


def _deployment(
    flow: Flow[..., None], name: str, parameters: dict[str, Any], cron: str | None = None
) -> RunnerDeployment:
    schedules = [Cron(cron, timezone="UTC", slug=_often(cron))] if cron else None
    made = flow.to_deployment(
        name=name,
        parameters=parameters,
        schedules=schedules,
        concurrency_limit=_ONE_AT_A_TIME,
        tags=["finops"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment), "called outside an event loop"
    return made
