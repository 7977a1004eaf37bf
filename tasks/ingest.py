"""Taking in what sources have to tell."""

from finops import credentials
from finops.installation import Installation
from providers import intake
from providers.intake import Taken, Taking
from tasks.step import step
from tasks.vault import prefect_secret


@step("ingest-{taking.source}", tags=["ingest"])
def ingest_source(config: str, taking: Taking) -> Taken:
    """Take in one source and window."""
    installation = Installation.open(config)
    with credentials.also_from(prefect_secret):
        return intake.take(installation.config, installation.warehouse, taking)
