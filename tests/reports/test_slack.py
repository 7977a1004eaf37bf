"""Slack: within its limits, escaped, patient, and the webhook's URL stays secret."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from finops.config import AlertsConfig, SlackConfig
from finops.errors import ConfigError, ExportError
from reports import slack
from reports.slack import Slack
from tests.reports.alerts_sample import HOSTILE, alert

SECRET = "T0/B0/webhook-secret"
Answer = tuple[int, str, dict[str, str]]


class Webhook:
    """A local stand-in for Slack's incoming webhook: answers in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, "ok", {})]
        self.received: list[dict[str, object]] = []
        self.url = ""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    stub = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stub.received.append(json.loads(body))
            status, text, headers = (
                stub.answers.pop(0) if len(stub.answers) > 1 else stub.answers[0]
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/services/{SECRET}"
    yield stub
    server.shutdown()
    server.server_close()


def refused(webhook: Webhook, *answers: Answer) -> str:
    webhook.answers = list(answers)
    with pytest.raises(ExportError) as raised:
        Slack(webhook.url).send([alert()], "all is well", None)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    return str(raised.value)


def test_a_webhook_that_is_gone_is_said_with_what_to_do(webhook: Webhook) -> None:
    message = refused(webhook, (404, "no_service", {}))
    assert "404" in message
    assert "no_service" in message
    assert "make a new one" in message
    assert len(webhook.received) == 1


def test_a_message_that_is_not_accepted_is_not_tried_again(webhook: Webhook) -> None:
    assert "invalid_blocks" in refused(webhook, (400, "invalid_blocks", {}))
    assert len(webhook.received) == 1


def test_a_broken_slack_is_tried_again_and_then_reported(webhook: Webhook) -> None:
    assert "500" in refused(webhook, (500, "fatal", {}))
    assert len(webhook.received) == 3


def test_an_hour_of_rate_limit_is_not_waited_for(webhook: Webhook) -> None:
    assert "429" in refused(webhook, (429, "rate_limited", {"Retry-After": "3600"}))
    assert len(webhook.received) == 1


def test_nobody_listening_is_reported_without_the_url() -> None:
    with pytest.raises(ExportError, match="could not be reached") as raised:
        Slack(f"http://127.0.0.1:9/{SECRET}").send([alert()], "", None)
    assert SECRET not in str(raised.value)


def test_a_rate_limit_is_waited_for(webhook: Webhook) -> None:
    webhook.answers = [(429, "rate_limited", {"Retry-After": "1"}), (200, "ok", {})]
    Slack(webhook.url).send([alert()], "all is well", None)
    assert len(webhook.received) == 2


def test_a_message_has_a_fallback_a_summary_and_a_link(webhook: Webhook) -> None:
    Slack(webhook.url).send([alert()], "all is well", "https://reports.example/a|b?x=1&y=2")
    (message,) = webhook.received
    assert message["text"] == "Budget alert, October 2026"
    posted = json.dumps(message["blocks"], ensure_ascii=False)
    assert "all is well" in posted
    assert "<https://reports.example/a%7Cb?x=1&amp;y=2|Open the report>" in posted


def test_a_name_rings_nobodys_phone(webhook: Webhook) -> None:
    Slack(webhook.url).send([alert(HOSTILE)], HOSTILE, None)
    posted = json.dumps(webhook.received, ensure_ascii=False)
    assert "<" not in posted
    assert "&lt;!channel&gt; &amp; " in posted


@pytest.mark.parametrize("count", [1, 46, 47, 500])
@pytest.mark.parametrize("name", ["Perception", "&" * 3000, "<!channel> " * 200])
def test_a_message_stays_within_slacks_limits(count: int, name: str) -> None:
    made = slack.blocks([alert(name)] * count, "&" * 9000, "https://x.example/" + "y" * 1900)
    texts = [
        block["text"]["text"] if "text" in block else block["elements"][0]["text"] for block in made
    ]
    assert len(made) <= slack.BLOCKS_MOST
    assert len(json.dumps(made, ensure_ascii=False)) < 13_000
    assert sum(map(len, texts)) < slack.TOTAL_MOST
    assert all(len(text) <= slack.SECTION_MOST for text in texts)
    assert not any("&am…" in text or "&…" in text for text in texts)
    shown = sum("of its budget" in text for text in texts)
    more = [text for text in texts if "more" in text]
    assert more == ([f"… and {count - shown} more"] if shown < count else [])


def test_the_webhook_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = AlertsConfig(slack=SlackConfig(webhook_env="NORTHLIGHT_HOOK"))
    monkeypatch.delenv("NORTHLIGHT_HOOK", raising=False)
    with pytest.raises(ConfigError, match="NORTHLIGHT_HOOK"):
        Slack.connect(alerts)
    monkeypatch.setenv("NORTHLIGHT_HOOK", SECRET)
    with pytest.raises(ConfigError, match="holds no https") as raised:
        Slack.connect(alerts)
    assert SECRET not in str(raised.value)
