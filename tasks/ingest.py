"""Taking in charges."""

from finops.charges import Ingested
from finops.installation import Installation
from providers import intake
from providers.intake import Taking
from tasks.step import step


@step("ingest-{taking.source}", tags=["ingest"])
def ingest_source(config: str, taking: Taking) -> Ingested:
    """Take in one source and window."""
    installation = Installation.open(config)
    return intake.take(installation.config, installation.warehouse, taking)
