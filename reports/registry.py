"""The one list of reports and notifiers: a name and where its function or class is.

Nothing is imported until it is used. A notifier's name is also the name of its channel in the
outbox, and of its table below `[alerts]` in `finops.toml`.
"""

import importlib
from collections.abc import Callable
from typing import Any, cast

from finops.config import AlertsConfig
from finops.errors import ConfigError
from finops.statement import Statement
from reports.notifiers import Notifier

REPORTS = {"monthly": "reports.monthly:render"}
NOTIFIERS = {
    "slack": "reports.slack:Slack",
    "email": "reports.mail:Email",
    "terminal": "reports.terminal:Terminal",
}
TERMINAL = "terminal"


def renderer(name: str) -> Callable[[Statement], str]:
    """Import the function that renders the report called `name`; raises `ConfigError`."""
    return cast("Callable[[Statement], str]", _imported(REPORTS, name, "report"))


def channels(alerts: AlertsConfig) -> tuple[str, ...]:
    """Name the channels `[alerts]` asks for; the terminal, when it asks for none or to print."""
    configured = tuple(name for name in NOTIFIERS if getattr(alerts, name, None) is not None)
    return (TERMINAL,) if alerts.print_only or not configured else configured


def notifier(name: str, alerts: AlertsConfig) -> Notifier:
    """Make the notifier called `name`; raises `ConfigError` naming what is missing for it."""
    return cast("Notifier", _imported(NOTIFIERS, name, "notifier").connect(alerts))


def _imported(registry: dict[str, str], name: str, kind: str) -> Any:
    if name not in registry:
        raise ConfigError(f"there is no {kind} {name!r}; write one of {', '.join(registry)}")
    module, _, attribute = registry[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
