"""`finops.toml`: where things are, which sources there are, whom to alert."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from finops import pseudonyms
from finops.errors import ConfigError
from finops.identity import slug
from finops.settings import Frozen, issues_of, read_toml, reserved_keys

FILE_NAME = "finops.toml"
THRESHOLDS_PERCENT = (Decimal(50), Decimal(80), Decimal(100))


def _source_name(name: str) -> str:
    if slug(name).replace("_", "-") != name.replace("_", "-"):
        raise ValueError("a source is named in lower-case letters, digits, - and _")
    return name


def _origin(name: str) -> str:
    if not re.fullmatch(r"[!-*,-~]+", name):
        raise ValueError(
            f"{name!r} cannot sign a checkpoint: write a name like acme.example/finops, "
            f"without spaces and plus signs"
        )
    return name


class WarehouseConfig(Frozen):
    """`[warehouse]`: a folder, or `s3://bucket/prefix`."""

    url: str = "./warehouse"


class LedgerConfig(Frozen):
    """`[ledger]`: the name checkpoints are signed under, and the keys.

    `key` is the file of the private key (or the environment variable FINOPS_LEDGER_KEY holds the
    key itself); `verifier` is the public key that `finops ledger verify` trusts.
    """

    origin: Annotated[str, AfterValidator(_origin)]
    key: str = "keys/ledger.key"
    verifier: str | None = None


class SourceConfig(Frozen):
    """`[sources.NAME]`: the provider, and the settings that only this provider knows."""

    provider: str
    settings: Mapping[str, Any] = {}


class SlackConfig(Frozen):
    """`[alerts.slack]`: the environment variable that holds the webhook URL."""

    webhook_env: str = "FINOPS_SLACK_WEBHOOK"


class EmailConfig(Frozen):
    """`[alerts.email]`: the SMTP relay. Credentials come from the environment."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str
    recipients: tuple[str, ...] = ()
    username_env: str | None = None
    password_env: str | None = None


class AlertsConfig(Frozen):
    """`[alerts]`: the thresholds in percent of a budget, and the ways out.

    With `print_only` alerts are shown in the terminal and nothing is sent.
    """

    thresholds: tuple[Annotated[Decimal, Field(gt=0, le=1000)], ...] = THRESHOLDS_PERCENT
    print_only: bool = False
    report_url: str | None = None
    slack: SlackConfig | None = None
    email: EmailConfig | None = None


class TrackingConfig(Frozen):
    """`[tracking]`: where the events of running work go, and how often it says that it is alive.

    `spool` is a local folder. With `send_to`, a folder or `s3://bucket/prefix`, what lies there is
    moved on by `finops track --flush`; without it, a source of the provider `sdk` reads the spool
    itself.
    """

    spool: str = "spool"
    send_to: str | None = None
    heartbeat_minutes: int = Field(default=5, ge=1, le=60)


class Config(Frozen):
    """The whole of `finops.toml`. Relative paths start at `base`, the file's folder."""

    company: str = Field(min_length=1)
    organization: str = "organization.toml"
    warehouse: WarehouseConfig = WarehouseConfig()
    ledger: LedgerConfig
    sources: Mapping[Annotated[str, AfterValidator(_source_name)], SourceConfig] = {}
    alerts: AlertsConfig = AlertsConfig()
    tracking: TrackingConfig = TrackingConfig()
    base: Path = Field(default=Path(), exclude=True)

    @property
    def organization_path(self) -> Path:
        return self.base / self.organization

    @property
    def ledger_key_path(self) -> Path:
        return self.base / self.ledger.key

    @property
    def spool_path(self) -> Path:
        return self.base / self.tracking.spool

    @property
    def pseudonym_key_path(self) -> Path:
        return self.ledger_key_path.with_name(pseudonyms.FILE_NAME)

    def source(self, name: str) -> SourceConfig:
        """Return the source called `name`; raises `ConfigError` when there is none."""
        if name not in self.sources:
            known = ", ".join(self.sources) or "none yet"
            raise ConfigError(f"{FILE_NAME}: there is no source {name!r}; the sources are: {known}")
        return self.sources[name]


def load(path: Path) -> Config:
    """Read `finops.toml`; raises `ConfigError` naming every mistake at once."""
    if path.is_dir():
        path /= FILE_NAME
    table = read_toml(path)
    issues = reserved_keys(table, path.name, Config)
    sources = table.get("sources")
    if isinstance(sources, dict):
        table["sources"] = {name: _with_settings(source) for name, source in sources.items()}
    try:
        config = Config.model_validate({**table, "base": path.resolve().parent})
    except ValidationError as error:
        raise ConfigError.of([*issues, *issues_of(error, path.name, Config)]) from None
    if issues:
        raise ConfigError.of(issues)
    return config


def _with_settings(source: object) -> object:
    """Gather what only the provider knows under `settings`."""
    if not isinstance(source, dict):
        return source
    settings = {key: value for key, value in source.items() if key != "provider"}
    kept = {"provider": source["provider"]} if "provider" in source else {}
    return {**kept, "settings": settings}
