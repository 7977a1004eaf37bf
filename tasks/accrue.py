"""Estimating what reported work costs."""

from finops.accruals import Accrued
from finops.installation import Installation
from providers import accruing
from providers.accruing import Accruing
from tasks.step import step


@step("accrue-{one.source}", tags=["accrue"])
def accrue_source(config: str, one: Accruing) -> Accrued:
    """Bring the estimates of one source up to date."""
    return accruing.accrue(Installation.open(config), one)
