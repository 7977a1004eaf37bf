"""Alerts to Slack, through an incoming webhook.

Slack's limits: 150 characters in a header, 3,000 in a section, 50 blocks, and, unwritten, about
13,000 characters in all. Ours are tighter. Text from outside is escaped: a team that calls itself
`<!channel>` must not ring everybody's phone.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry import HttpRequest, HttpResponse, RetryState
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.webhook import WebhookClient

from finops import credentials
from finops.alerting import Alert
from finops.config import AlertsConfig, SlackConfig
from finops.errors import ConfigError, ExportError, Issue
from reports import wording

HEADER_MOST = 150
SECTION_MOST = 3_000
BLOCKS_MOST = 50
TOTAL_MOST = 10_000
_SUMMARY_MOST = 1_500
_NAME_MOST = 200
_LINK_MOST = 2_000
_ALERTS_TOTAL_MOST = TOTAL_MOST - HEADER_MOST - _SUMMARY_MOST - _LINK_MOST - 500
_RESERVED_BLOCKS = 4
_TIMEOUT_SECONDS = 5
_LONGEST_WAIT_SECONDS = 60
_OK = 200

Block = dict[str, Any]


class _PatientWithRateLimits(RateLimitErrorRetryHandler):
    """Waits as long as Slack says, but not for an hour: the next run can send as well."""

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        told = response.headers.get("Retry-After", ["1"]) if response is not None else ["1"]
        seconds = told[0] if isinstance(told, list) else told
        soon = seconds.isdigit() and int(seconds) <= _LONGEST_WAIT_SECONDS
        return soon and super()._can_retry(
            state=state, request=request, response=response, error=error
        )


class Slack:
    """Sends alerts to the channel of one webhook, whose URL is a secret."""

    def __init__(self, webhook_url: str) -> None:
        self._client = WebhookClient(
            webhook_url,
            timeout=_TIMEOUT_SECONDS,
            retry_handlers=[
                ConnectionErrorRetryHandler(max_retry_count=2),
                _PatientWithRateLimits(max_retry_count=2),
                ServerErrorRetryHandler(max_retry_count=2),
            ],
        )

    @classmethod
    def connect(cls, alerts: AlertsConfig) -> Self:
        """Read the webhook's URL from the environment variable that `[alerts.slack]` names."""
        variable = (alerts.slack or SlackConfig()).webhook_env
        url = credentials.read(variable, "finops.toml: alerts.slack")
        if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ConfigError(
                f"finops.toml: alerts.slack: the environment variable {variable} holds no https:// "
                f"address; copy the webhook's URL from the Slack app's page"
            )
        return cls(url)

    def send(
        self, alerts: Sequence[Alert], summary: str, report_link: str | None
    ) -> Sequence[Issue]:
        """Send one message; see `Notifier.send`."""
        try:
            answer = self._client.send(
                text=_escaped(wording.title(alerts)), blocks=blocks(alerts, summary, report_link)
            )
        except (OSError, SlackClientError) as error:
            # `from None`: the cause may quote the webhook's URL.
            raise ExportError(
                f"Slack could not be reached ({type(error).__name__}); the alerts go out with the "
                f"next run, check the network if this goes on"
            ) from None
        if answer.status_code != _OK:
            raise ExportError(_refusal(answer.status_code, answer.body))
        return ()


def _refusal(status: int, body: str) -> str:
    said = " ".join(body.split())[:100] or "nothing"
    if status in {403, 404, 410}:
        advice = "the webhook is no longer valid: make a new one and set it in the environment"
    elif status == 429 or status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        advice = "the alerts go out with the next run"
    else:
        advice = "the message was not accepted; nothing was posted"
    return f"Slack answered {status} and said {said!r}; {advice}"


def blocks(alerts: Sequence[Alert], summary: str, report_link: str | None) -> list[Block]:
    """Lay out a message within Slack's limits; alerts that do not fit are counted."""
    sections = list(_fitting(alerts))
    made = [_header(wording.title(alerts)), *sections]
    left_out = len(alerts) - len(sections)
    if left_out:
        made.append(_section(f"… and {left_out} more"))
    made.append(_context(_cut(_escaped(summary), _SUMMARY_MOST)))
    if report_link and len(report_link) <= _LINK_MOST:
        made.append(_section(f"<{_escaped(report_link).replace('|', '%7C')}|Open the report>"))
    return made


def _fitting(alerts: Sequence[Alert]) -> Iterator[Block]:
    used = 0
    for alert in alerts[: BLOCKS_MOST - _RESERVED_BLOCKS]:
        text = _line(alert)
        used += len(text)
        if used > _ALERTS_TOTAL_MOST:
            return
        yield _section(text)


def _line(alert: Alert) -> str:
    """Write one alert. Marks of mrkdwn in the name are harmless; `<` and `&` are not."""
    name = _cut(_escaped(alert.name), _NAME_MOST)
    return f"{wording.mark(alert)} *{name}* {wording.state(alert)}\n{wording.spent(alert)}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    """Shorten escaped text without leaving half an entity such as `&am`."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    last = kept.rfind("&")
    if last >= 0 and ";" not in kept[last:]:
        kept = kept[:last]
    return f"{kept}…"


def _header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text[:HEADER_MOST]}}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:SECTION_MOST]}}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
