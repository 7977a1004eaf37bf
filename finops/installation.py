"""An installation: a `finops.toml` and everything it names, opened."""

import functools
import os
import uuid
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from finops import charges, config, organization
from finops.config import Config
from finops.errors import ConfigError
from finops.ledger import BatchFacts, Ledger, SigningKey
from finops.organization import Organization
from finops.warehouse import Warehouse, open_warehouse

KEY_VARIABLE = "FINOPS_LEDGER_KEY"


def code_version() -> str:
    """Name the version of this software, as ledger headers record it."""
    return f"terradev-finops {version('terradev-finops')}"


@dataclass(frozen=True)
class Installation:
    """One company's configuration, organization, warehouse and ledger."""

    config: Config

    @classmethod
    def open(cls, path: str | Path) -> "Installation":
        """Read `finops.toml`; raises `ConfigError` naming every mistake in it."""
        return cls(config.load(Path(path)))

    @functools.cached_property
    def organization(self) -> Organization:
        return organization.load(self.config.organization_path)

    @functools.cached_property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.config.warehouse.url, self.config.base)

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The ledger, for reading."""
        return Ledger(self.warehouse, self.config.ledger.origin)

    def ledger_for_writing(self) -> Ledger:
        """Open the ledger with its signing key; raises `ConfigError` when there is none."""
        return Ledger(self.warehouse, self.config.ledger.origin, self.signing_key())

    def signing_key(self) -> SigningKey:
        """Load the key from FINOPS_LEDGER_KEY or from the file that `ledger.key` names."""
        text = os.environ.get(KEY_VARIABLE)
        if text:
            return SigningKey.parse(text)
        path = self.config.ledger_key_path
        if not path.is_file():
            raise ConfigError(
                f"finops.toml: ledger.key: there is no key file {path}; `finops init` makes one, "
                f"or set {KEY_VARIABLE}"
            )
        return SigningKey.load(path)

    def demand_complete(self) -> None:
        """Raise `ConfigError` for whatever would stop a run after it has begun to write."""
        assert self.organization is not None, "it was read, or the reason was raised"
        made, believed = self.signing_key().vkey, self.config.ledger.verifier
        if believed is not None and made != believed:
            raise ConfigError(
                f"finops.toml: ledger.verifier: is not the public half of ledger.key; "
                f"for this key it is {made}"
            )

    def forgotten_sources(self) -> list[str]:
        """Name the sources that have charges in the warehouse but no place in finops.toml."""
        held = {partition.source for partition in charges.partitions(self.warehouse)}
        return sorted(held - set(self.config.sources))

    def batch_facts(self, now: datetime, flow_run_id: str | None) -> BatchFacts:
        """Say by what rules, code and run a batch is made."""
        origin = self.config.ledger.origin
        return BatchFacts(
            rules_text=self.organization.text,
            code_version=code_version(),
            run_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{origin}#{now.isoformat()}")),
            flow_run_id=flow_run_id,
            now=now,
        )
