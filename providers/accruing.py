"""Accruing: the events of one source, read as they are now, become estimates."""

from dataclasses import dataclass
from datetime import datetime

from finops import accruals
from finops.accruals import Accrued
from finops.errors import ConfigError
from finops.installation import Installation
from providers import registry
from providers.sdk import Sdk


@dataclass(frozen=True, slots=True)
class Accruing:
    """A source of reported work, and up to when (UTC) to estimate it."""

    source: str
    until: datetime


def sources(installation: Installation) -> list[str]:
    """Name the sources of reported work."""
    configured = installation.config.sources.items()
    return [name for name, source in configured if source.provider == Sdk.NAME]


def accrue(installation: Installation, accruing: Accruing) -> Accrued:
    """Bring the estimates of one source up to date; raises `ProviderError` when it cannot be read."""
    source, config = accruing.source, installation.config
    provider = registry.connect(source, config.source(source), config.base)
    if not isinstance(provider, Sdk):
        raise ConfigError(f"sources.{source}: reports no work as it runs; name one of provider sdk")
    reported = provider.reported(accruing.until)
    return accruals.accrue(
        installation.warehouse, installation.ledger, source, reported.rows, accruing.until
    )
