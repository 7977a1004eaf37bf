"""Publishing reports."""

from finops.installation import Installation
from reports import publishing
from reports.publishing import Published
from tasks.step import step


@step("publish-{period}", tags=["report"])
def publish_month(config: str, period: str) -> Published:
    """Render the monthly report of one period."""
    return publishing.publish(Installation.open(config), "monthly", period)
