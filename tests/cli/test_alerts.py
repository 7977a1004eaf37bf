"""Budget alerts, end to end: a real SMTP server, and a stub where Slack would be."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.cli.test_run import SEPTEMBER
from tests.conftest import Finops


class Mailbox:
    """Keeps what the SMTP server receives."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.messages.append(parsed)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.fixture
def slack() -> Iterator[tuple[list[bytes], str]]:
    received: list[bytes] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    Thread(target=server.serve_forever, daemon=True).start()
    yield received, f"http://127.0.0.1:{server.server_address[1]}/services/T0/B0/hook"
    server.shutdown()
    server.server_close()


def test_a_passed_threshold_is_told_once_by_mail_and_slack(
    acme: Path,
    finops: Finops,
    mailbox: tuple[Mailbox, int],
    slack: tuple[list[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box, port = mailbox
    posts, url = slack
    monkeypatch.setenv("FINOPS_SLACK_WEBHOOK", url)
    settings = acme / "finops.toml"
    text = settings.read_text(encoding="utf-8").replace("print_only = true", "print_only = false")
    settings.write_text(
        text
        + f"""
[alerts.slack]
webhook_env = "FINOPS_SLACK_WEBHOOK"

[alerts.email]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "finops@acme.example"
recipients = ["finance@acme.example"]
""",
        encoding="utf-8",
    )
    organization = acme / "organization.toml"
    rules = organization.read_text(encoding="utf-8")
    organization.write_text(rules.replace("amount = 40", "amount = 2"), encoding="utf-8")

    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    (mail,), (post,) = box.messages, posts
    assert mail["To"] == "finance@acme.example"
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert "Vision" in plain.get_content()
    assert "September 2024" in plain.get_content()
    assert b"blocks" in post
    assert b"Vision" in post

    assert finops("run", *SEPTEMBER).code == 0
    assert (len(box.messages), len(posts)) == (1, 1)


def test_a_mail_server_that_is_down_is_said_and_tried_again(
    acme: Path, finops: Finops, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    settings = acme / "finops.toml"
    text = settings.read_text(encoding="utf-8").replace("print_only = true", "print_only = false")
    mail = '\n[alerts.email]\nhost = "127.0.0.1"\nport = 9\nsecurity = "none"\nsender = "f@a.example"\nrecipients = ["a@a.example"]\n'
    settings.write_text(text + mail, encoding="utf-8")
    organization = acme / "organization.toml"
    rules = organization.read_text(encoding="utf-8")
    organization.write_text(rules.replace("amount = 40", "amount = 2"), encoding="utf-8")

    down = finops("run", *SEPTEMBER)
    assert down.code == 1
    assert "127.0.0.1" in down.err
    assert (acme / "reports" / "monthly-2024-09.html").exists()

    settings.write_text((text + mail).replace("port = 9", f"port = {port}"), encoding="utf-8")
    assert finops("run", *SEPTEMBER).code == 0
    assert len(box.messages) == 1
