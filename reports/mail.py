"""Alerts by e-mail, through an SMTP relay.

Plain text first, then HTML whose styles are inlined, because mail programs drop style sheets.
DKIM and bounces are the relay's business.
"""

import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate
from typing import Self

import css_inline

from finops import credentials
from finops.alerting import Alert
from finops.config import AlertsConfig, EmailConfig
from finops.errors import ConfigError, ExportError, Issue, Severity
from reports import wording
from reports.monthly import environment

ROWS_MOST = 50
HTML_BYTES_MOST = 90_000
"""Gmail clips a message at about 102 kB of HTML."""
_NAME_MOST = 120
_TIMEOUT_SECONDS = 30
_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_INLINER = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


class Email:
    """Sends alerts to fixed recipients and to the owners of the cost centers alerted."""

    def __init__(
        self,
        settings: EmailConfig,
        credentials: tuple[str, str] | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._trust = trust or ssl.create_default_context()

    @classmethod
    def connect(cls, alerts: AlertsConfig) -> Self:
        """Read `[alerts.email]`, and the credentials from the environment variables it names."""
        settings = alerts.email
        if settings is None:
            raise ConfigError("finops.toml: alerts.email: is missing; add it with host and sender")
        if settings.username_env is None or settings.password_env is None:
            return cls(settings)
        where = "finops.toml: alerts.email"
        if settings.security == "none":
            raise ConfigError(
                f'{where}.security: "none" would send the password readable for everyone on the '
                f'way; write "starttls" or "tls"'
            )
        user = credentials.read(settings.username_env, where)
        return cls(settings, (user, credentials.read(settings.password_env, where)))

    def send(
        self, alerts: Sequence[Alert], summary: str, report_link: str | None
    ) -> Sequence[Issue]:
        """Send one message; see `Notifier.send`."""
        to = recipients(alerts, self._settings)
        if not to:
            raise ExportError(
                "e-mail: nobody to write to; add recipients below [alerts.email] in finops.toml, "
                "or e-mail addresses to the owners of the cost centers"
            )
        message = compose(alerts, summary, report_link, self._settings.sender, to)
        refused = self._delivered(message)
        return [
            Issue(
                f"e-mail to {address}",
                f"{self._settings.host} refused it ({_said(*reason)}); correct the address",
                Severity.WARNING,
            )
            for address, reason in sorted(refused.items())
        ]

    def _delivered(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Hand the message to the relay; returns the recipients it refused, if it took others."""
        try:
            with self._session() as session:
                return session.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            place = f"e-mail: {self._settings.host}:{self._settings.port}"
            raise ExportError(f"{place} {_explained(error, self._settings)}") from None

    def _session(self) -> smtplib.SMTP:
        host, port = self._settings.host, self._settings.port
        if self._settings.security == "tls":
            session: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=_TIMEOUT_SECONDS, context=self._trust
            )
        else:
            session = smtplib.SMTP(host, port, timeout=_TIMEOUT_SECONDS)
        try:
            if self._settings.security == "starttls":
                session.starttls(context=self._trust)
            if self._credentials is not None:
                session.login(*self._credentials)
        except BaseException:
            session.close()
            raise
        return session


def _explained(error: Exception, settings: EmailConfig) -> str:
    """Say what the relay did and what to do about it, most special fault first."""
    security = (
        f'alerts.email.security is "{settings.security}" (starttls is usual on port 587, tls on '
        f"465, none only for a relay on this machine)"
    )
    match error:
        case smtplib.SMTPRecipientsRefused():
            reasons = sorted({_said(*reason) for reason in error.recipients.values()})
            return (
                f"refused every recipient ({', '.join(reasons)}); check the addresses, and "
                f"whether this machine may send through it"
            )
        case smtplib.SMTPAuthenticationError():
            return (
                f"did not accept the user name and password ({error.smtp_code}); check the "
                f"environment variables {settings.username_env} and {settings.password_env}"
            )
        case smtplib.SMTPNotSupportedError():
            return f"does not offer what is asked of it: {error} {security}"
        case smtplib.SMTPResponseException():
            return f"answered {_said(error.smtp_code, error.smtp_error)}; nothing was sent"
        case ssl.SSLError():
            return f"gave no secure connection ({error.reason or error}); {security}"
        case _:
            return f"could not be reached ({error}); check host, port and the network"


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"[:200]


def recipients(alerts: Iterable[Alert], settings: EmailConfig) -> tuple[str, ...]:
    """List whom to write to: the configured ones, and owners that are e-mail addresses."""
    owners = sorted(
        {owner for alert in alerts for owner in alert.owners if _ADDRESS.fullmatch(owner)}
    )
    return tuple(dict.fromkeys((*settings.recipients, *owners)))


def compose(
    alerts: Sequence[Alert], summary: str, report_link: str | None, sender: str, to: Sequence[str]
) -> EmailMessage:
    """Write the message; raises `ExportError` when an address or text cannot stand in one."""
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = ", ".join(to)
        message["Subject"] = wording.title(alerts)
    except ValueError as error:
        raise ExportError(f"e-mail: a sender or recipient is no address ({error})") from None
    message["Date"] = formatdate()
    message["Message-ID"] = _message_id(alerts, to, sender)
    message["Auto-Submitted"] = "auto-generated"
    facts = {
        "title": wording.title(alerts),
        "alerts": [_line(alert) for alert in alerts[:ROWS_MOST]],
        "left_out": max(len(alerts) - ROWS_MOST, 0),
        "summary": summary.splitlines()[:ROWS_MOST],
        "report_link": report_link,
    }
    message.set_content(_rendered("alerts.txt.j2", facts))
    message.add_alternative(_html(facts), subtype="html")
    return message


def _line(alert: Alert) -> dict[str, object]:
    return {
        "mark": wording.mark(alert),
        "name": alert.name[:_NAME_MOST],
        "state": wording.state(alert),
        "spent": wording.spent(alert),
        "is_over": alert.is_over,
    }


def _html(facts: Mapping[str, object]) -> str:
    page = _INLINER.inline(_rendered("alerts.html.j2", facts))
    assert len(page.encode()) < HTML_BYTES_MOST, "rows and names are capped, so it must fit"
    return page


def _rendered(template: str, facts: Mapping[str, object]) -> str:
    return environment(escape=template.endswith(".html.j2")).get_template(template).render(facts)


def _message_id(alerts: Sequence[Alert], to: Sequence[str], sender: str) -> str:
    """Name the message by what it says and to whom, so that one sent again is recognised."""
    told = "\n".join([*(alert.key for alert in alerts), *to])
    digest = hashlib.sha256(told.encode()).hexdigest()[:24]
    return (
        f"<alerts.{alerts[0].period}.{digest}@{sender.rpartition('@')[2].strip('>') or 'finops'}>"
    )
