"""Publishing: a report is made from the ledger at a checkpoint, and kept as it was."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from finops import quarantine, statement
from finops.installation import Installation
from finops.statement import Statement
from finops.warehouse.local import LocalWarehouse
from reports import registry

FOLDER = "reports"


@dataclass(frozen=True, slots=True)
class Published:
    """A report's copy for reading, and its immutable original's key in the warehouse."""

    path: Path
    key: str
    summary: str


def state(installation: Installation, period: str) -> Statement:
    """Compute the statement of `period` from the ledger's newest checkpoint."""
    return statement.build(
        installation.ledger.entries(),
        installation.organization,
        company=installation.config.company,
        period=period,
        quarantined=quarantine.summary(installation.warehouse, period),
        checkpoint=installation.ledger.head(),
    )


def publish(installation: Installation, name: str, period: str) -> Published:
    """Render the report `name`; raises `ConfigError` when there is no such report.

    The original is `reports/period=…/<name>-<ledger size>-<digest>.html` in the warehouse and is
    never overwritten; `reports/<name>-<period>.html` beside finops.toml is the newest.
    """
    render = registry.renderer(name)
    told = state(installation, period)
    page = render(told).encode()
    size = told.checkpoint.size if told.checkpoint else 0
    digest = hashlib.sha256(page).hexdigest()[:12]
    key = f"{FOLDER}/period={period}/{name}-{size:06d}-{digest}.html"
    installation.warehouse.create(key, page)
    LocalWarehouse(installation.config.base).replace(f"{FOLDER}/{name}-{period}.html", page)
    path = installation.config.base / FOLDER / f"{name}-{period}.html"
    return Published(path, key, statement.summary(told))
