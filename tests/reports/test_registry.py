"""The registry: every name leads to something, and configuration chooses the channels."""

import pytest

from finops.config import AlertsConfig, EmailConfig, SlackConfig
from finops.errors import ConfigError
from reports import registry
from tests.reports.company import statement

SLACK = SlackConfig()
EMAIL = EmailConfig(host="127.0.0.1", sender="finops@northlight.example")


@pytest.mark.parametrize("name", registry.REPORTS)
def test_every_report_renders(name: str) -> None:
    assert registry.renderer(name)(statement()).startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("name", registry.NOTIFIERS)
def test_every_notifier_connects(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINOPS_SLACK_WEBHOOK", "https://hooks.slack.example/secret")
    made = registry.notifier(name, AlertsConfig(slack=SLACK, email=EMAIL))
    assert callable(made.send)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="write one of monthly"):
        registry.renderer("weekly")
    with pytest.raises(ConfigError, match="write one of slack, email, terminal"):
        registry.notifier("pigeon", AlertsConfig())


@pytest.mark.parametrize(
    ("alerts", "channels"),
    [
        (AlertsConfig(), ("terminal",)),
        (AlertsConfig(slack=SLACK), ("slack",)),
        (AlertsConfig(slack=SLACK, email=EMAIL), ("slack", "email")),
        (AlertsConfig(slack=SLACK, email=EMAIL, print_only=True), ("terminal",)),
    ],
)
def test_configuration_chooses_the_channels(
    alerts: AlertsConfig, channels: tuple[str, ...]
) -> None:
    assert registry.channels(alerts) == channels
