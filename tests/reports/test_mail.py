"""E-mail against a real SMTP server."""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from finops.config import AlertsConfig, EmailConfig
from finops.errors import ConfigError, ExportError
from reports import mail
from reports.mail import Email
from tests.reports.alerts_sample import HOSTILE, alert

PASSWORD = "correct horse"
LINK = "https://reports.example/october.html?a=1&b=2"
SUMMARY = "October 2026: USD 30,250.61 billed"


class Inbox:
    """Keeps what is delivered; refuses recipients that start with `nobody`."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answer = "250 kept"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: object, _session: object, envelope: Any, address: str, _options: object
    ) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        self.messages.append(BytesParser(policy=policy.default).parsebytes(envelope.content))
        self.recipients += envelope.rcpt_tos
        return self.answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a self-signed certificate of 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "smtp.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def authenticate(
    _server: object, _session: object, _envelope: object, _how: str, data: object
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=False)


def free_port() -> int:
    """Ask the system for a port: aiosmtpd cannot be given 0."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


Serve = Callable[..., tuple[Inbox, EmailConfig]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that starts a server and returns its inbox and the settings to reach it."""
    running: list[Controller] = []

    def start(security: str = "none", **options: Any) -> tuple[Inbox, EmailConfig]:
        inbox = Inbox()
        port = free_port()
        controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
        controller.start()
        running.append(controller)
        settings = EmailConfig(
            host="127.0.0.1",
            port=port,
            security=security,
            sender="Finops <finops@northlight.example>",
            recipients=("cfo@northlight.example",),
        )
        return inbox, settings

    yield start
    for controller in running:
        controller.stop()


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_every_recipient_refused_is_an_error(serve: Serve) -> None:
    inbox, settings = serve()
    nobody = settings.model_copy(update={"recipients": ("nobody@x.example",)})
    with pytest.raises(ExportError, match=r"refused every recipient .*550 5.1.1 no such mailbox"):
        Email(nobody).send([alert(owners=())], SUMMARY, None)
    assert inbox.messages == []


def test_one_refused_recipient_does_not_stop_the_others(serve: Serve) -> None:
    inbox, settings = serve()
    issues = Email(settings).send([alert(owners=("nobody@x.example",))], SUMMARY, None)
    assert [issue.where for issue in issues] == ["e-mail to nobody@x.example"]
    assert inbox.recipients == ["cfo@northlight.example"]


def test_no_starttls_offered_sends_nothing_and_says_what_to_set(serve: Serve) -> None:
    inbox, settings = serve(security="starttls")
    with pytest.raises(ExportError, match=r'STARTTLS.*alerts.email.security is "starttls"'):
        Email(settings).send([alert()], SUMMARY, None)
    assert inbox.messages == []


def test_a_certificate_nobody_vouches_for_is_refused(serve: Serve, certificate: Path) -> None:
    inbox, settings = serve(security="starttls", tls_context=server_tls(certificate))
    with pytest.raises(ExportError, match="no secure connection"):
        Email(settings).send([alert()], SUMMARY, None)
    assert inbox.messages == []


def test_a_wrong_password_names_the_variables_not_the_password(
    serve: Serve, certificate: Path
) -> None:
    _, settings = serve(
        security="starttls", tls_context=server_tls(certificate), authenticator=authenticate
    )
    settings = settings.model_copy(
        update={"username_env": "SMTP_USER", "password_env": "SMTP_PASSWORD"}
    )
    trust = ssl.create_default_context(cafile=str(certificate))
    with pytest.raises(ExportError, match="SMTP_USER and SMTP_PASSWORD") as raised:
        Email(settings, ("finops", "wrong-secret"), trust).send([alert()], SUMMARY, None)
    assert "wrong-secret" not in str(raised.value)


def test_nobody_listening_is_reported(serve: Serve) -> None:
    _, settings = serve()
    with pytest.raises(ExportError, match=r"127\.0\.0\.1:9 could not be reached"):
        Email(settings.model_copy(update={"port": 9})).send([alert()], SUMMARY, None)


def test_a_relay_that_says_no_is_quoted(serve: Serve) -> None:
    inbox, settings = serve()
    inbox.answer = "554 5.7.1 looks like spam"
    with pytest.raises(ExportError, match=r"554 5\.7\.1 looks like spam"):
        Email(settings).send([alert()], SUMMARY, None)


def test_nobody_to_write_to_is_an_error(serve: Serve) -> None:
    _, settings = serve()
    with pytest.raises(ExportError, match="nobody to write to"):
        Email(settings.model_copy(update={"recipients": ()})).send(
            [alert(owners=("#planning",))], SUMMARY, None
        )


def test_starttls_and_a_login_deliver(serve: Serve, certificate: Path) -> None:
    inbox, settings = serve(
        security="starttls", tls_context=server_tls(certificate), authenticator=authenticate
    )
    trust = ssl.create_default_context(cafile=str(certificate))
    assert list(Email(settings, ("finops", PASSWORD), trust).send([alert()], SUMMARY, LINK)) == []
    assert inbox.recipients == ["cfo@northlight.example", "ada@northlight.example"]


def test_tls_from_the_start_delivers(serve: Serve, certificate: Path) -> None:
    inbox, settings = serve(security="tls", ssl_context=server_tls(certificate))
    trust = ssl.create_default_context(cafile=str(certificate))
    Email(settings, trust=trust).send([alert()], SUMMARY, None)
    assert len(inbox.messages) == 1


def test_plain_text_comes_first_and_both_say_the_same(serve: Serve) -> None:
    inbox, settings = serve()
    Email(settings).send([alert(HOSTILE)], SUMMARY, LINK)
    (message,) = inbox.messages
    assert message.get_content_type() == "multipart/alternative"
    plain, html = (part.get_content() for part in message.iter_parts())
    assert f"{HOSTILE} has reached 80 % of its budget" in plain
    assert "8,800.00 of 11,000.00 USD (80.00 %)" in plain
    assert LINK in plain
    assert "8,800.00 of 11,000.00 USD (80.00 %)" in html
    assert SUMMARY in plain
    assert SUMMARY in html
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert 'style="' in html
    assert message["Auto-Submitted"] == "auto-generated"


def test_the_same_alerts_make_the_same_message_id() -> None:
    def message_id(name: str, spent: str) -> str:
        made = mail.compose([alert(name, spent)], SUMMARY, None, "f@x.example", ["a@x.example"])
        return str(made["Message-ID"])

    assert message_id("Perception", "8800") == message_id("Renamed", "8900")
    other = mail.compose([alert()], SUMMARY, None, "f@x.example", ["b@x.example"])
    assert other["Message-ID"] != message_id("Perception", "8800")


def test_a_line_break_in_an_address_is_refused() -> None:
    with pytest.raises(ExportError, match="is no address"):
        mail.compose([alert()], SUMMARY, None, "f@x.example", ["a@x.example\nBcc: b@x.example"])


def test_hundreds_of_alerts_with_long_names_stay_small() -> None:
    many = [alert("<&" * 200)] * 300
    made = mail.compose(many, "a line\n" * 300, LINK, "f@x.example", ["a@x.example"])
    _, html = (part.get_content() for part in made.iter_parts())
    assert "and 250 more" in html
    assert len(html.encode()) < mail.HTML_BYTES_MOST


def test_owners_that_are_no_addresses_are_left_out() -> None:
    settings = EmailConfig(host="h", sender="f@x.example", recipients=("ada@northlight.example",))
    owners = ("#planning", "ada@northlight.example", "vera@northlight.example", "a@b,c@d.example")
    assert mail.recipients([alert(owners=owners)], settings) == (
        "ada@northlight.example",
        "vera@northlight.example",
    )


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EmailConfig(
        host="h", sender="f@x.example", username_env="SMTP_USER", password_env="SMTP_PASSWORD"
    )
    monkeypatch.setenv("SMTP_USER", "finops")
    monkeypatch.delenv("SMTP_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="SMTP_PASSWORD"):
        Email.connect(AlertsConfig(email=settings))
    clear = settings.model_copy(update={"security": "none"})
    with pytest.raises(ConfigError, match="readable for everyone"):
        Email.connect(AlertsConfig(email=clear))
    with pytest.raises(ConfigError, match=r"alerts\.email"):
        Email.connect(AlertsConfig())
