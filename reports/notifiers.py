"""What a channel for alerts can do. Slack, e-mail and the terminal are below `reports/`."""

from collections.abc import Sequence
from typing import Protocol, Self

from finops.alerting import Alert
from finops.config import AlertsConfig
from finops.errors import Issue


class Notifier(Protocol):
    """A way to tell people about alerts, all those of one run in one message."""

    @classmethod
    def connect(cls, alerts: AlertsConfig) -> Self:
        """Make it from `[alerts]`; raises `ConfigError` naming what is missing."""
        ...

    def send(
        self, alerts: Sequence[Alert], summary: str, report_link: str | None
    ) -> Sequence[Issue]:
        """Send one message; `summary` is plain text, a line per currency.

        Returns what went wrong although the message went out, such as one refused recipient.
        Raises `ExportError` when it did not go out; its message holds no secret.
        """
        ...
