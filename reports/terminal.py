"""Alerts in the terminal: for trying things out, and for `print_only`."""

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.text import Text

from finops import progress
from finops.alerting import Alert
from finops.config import AlertsConfig
from finops.errors import Issue
from reports import wording


class Terminal:
    """Prints alerts, a line and its figures each."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()

    @classmethod
    def connect(cls, alerts: AlertsConfig) -> Self:  # noqa: ARG003 - it needs nothing of it
        """Make it; there is nothing to set."""
        return cls()

    def send(
        self, alerts: Sequence[Alert], summary: str, report_link: str | None
    ) -> Sequence[Issue]:
        """Send one message; see `Notifier.send`."""
        with progress.aside():
            self._show(alerts, summary, report_link)
        return ()

    def _show(self, alerts: Sequence[Alert], summary: str, report_link: str | None) -> None:
        self._print(Text(wording.title(alerts), style="bold"))
        for alert in alerts:
            style = "bold red" if alert.is_over else "yellow"
            line = Text(f"  {wording.mark(alert)} ", style=style)
            line.append(f"{alert.name} {wording.state(alert)}", style=style)
            self._print(line.append(f": {wording.spent(alert)}", style="default"))
        self._print(Text(summary, style="dim"))
        if report_link:
            self._print(Text(f"Report: {report_link}", style="dim"))

    def _print(self, line: Text) -> None:
        """Leave wrapping to the terminal, so that a line can be searched and copied whole."""
        self._console.print(line, soft_wrap=True)
