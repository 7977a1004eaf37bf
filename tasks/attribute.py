"""Attributing partitions and posting the difference to the ledger."""

from collections.abc import Sequence
from datetime import datetime

from finops import posting
from finops.installation import Installation
from finops.ledger import Appended
from finops.partition import Partition, Window
from finops.posting import Attributed
from tasks.step import step


@step("find-changes")
def find_changes(config: str, window: Window) -> list[Partition]:
    """List the partitions whose charges or rules changed since they were posted."""
    installation = Installation.open(config)
    return posting.changed(
        installation.warehouse, installation.ledger, installation.organization, window
    )


@step("attribute-{partition.source}-{partition.day}", tags=["attribute"])
def attribute_partition(config: str, partition: Partition) -> Attributed:
    """Write and prove the allocations of one partition."""
    installation = Installation.open(config)
    return posting.attribute(installation.warehouse, partition, installation.organization)


@step("post", tags=["ledger"])
def post(
    config: str, attributed: Sequence[Attributed], now: datetime, flow_run_id: str | None
) -> Appended | None:
    """Append what changed as one batch, signed."""
    installation = Installation.open(config)
    return posting.post(
        installation.warehouse,
        installation.ledger_for_writing(),
        attributed,
        installation.batch_facts(now, flow_run_id),
    )
