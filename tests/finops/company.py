"""A small company to try things on: bills written in a few columns, a warehouse, a ledger."""

import hashlib
import io
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from finops import charges, organization, posting, tabular
from finops.charges import Bill, Ingested
from finops.ledger import Appended, BatchFacts, Ledger, SigningKey
from finops.organization import Organization
from finops.partition import Window
from finops.raw import Delivery, RawStore, Scope
from finops.warehouse import Warehouse
from finops.warehouse.local import LocalWarehouse

ORIGIN = "acme.example/finops"
KEY = SigningKey.from_seed(ORIGIN, bytes(range(32)))
OCTOBER = Window(date(2026, 10, 1), date(2026, 11, 1))
WHOLE_OCTOBER = Scope(frozenset({"2026-10"}), OCTOBER)
DEFAULTS = {
    "BilledCost": "1",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargePeriodStart": "2026-10-03T00:00:00Z",
    "ChargePeriodEnd": "2026-11-30T00:00:00Z",
}
"""What a bill in a test says about columns that it leaves out."""

Wrap = Callable[[Warehouse], Warehouse]


def completed(text: str) -> pl.DataFrame:
    """Read a bill of a few CSV columns and add the ones FOCUS demands."""
    plain = textwrap.dedent(text).strip()
    given = pl.read_csv(io.StringIO(plain), infer_schema=False) if plain else pl.DataFrame([{}])
    absent = {name: value for name, value in DEFAULTS.items() if name not in given.columns}
    return given.with_columns(pl.lit(value).alias(name) for name, value in absent.items())


def csv(text: str) -> bytes:
    """Write the completed bill as CSV."""
    return completed(text).write_csv().encode()


def parquet(rows: pl.DataFrame) -> bytes:
    """Write rows as a Parquet file."""
    file = io.BytesIO()
    rows.write_parquet(file)
    return file.getvalue()


def opened(folder: Path) -> None:
    """Let every user of the machine pass through to `folder`, up to the folder of tests."""
    for above in (folder, *folder.parents):
        if above == Path(tempfile.gettempdir()):
            return
        above.chmod(0o755)


def snapshot(root: Path) -> dict[str, str]:
    """Digest every file below `root`, and name every folder."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(root.rglob("*"))
    }


def deliver(
    warehouse: Warehouse, content: bytes, scope: Scope = WHOLE_OCTOBER, name: str = "bill"
) -> Ingested:
    """Take in one bill of the source `acme`."""
    store = RawStore(warehouse)
    kept = store.keep(content, name)
    delivery = Delivery("focus", "acme", scope, (kept,))
    return charges.write([Bill(kept, tabular.scan(store.path(kept), name))], delivery, warehouse)


def kept_charges(warehouse: Warehouse) -> pl.DataFrame:
    """Read all charges, in the order of partitions and rows."""
    return pl.concat(
        charges.read(warehouse, partition).collect() for partition in charges.partitions(warehouse)
    )


@dataclass(frozen=True, slots=True)
class Company:
    """One company's organization, warehouse and ledger, below `root`."""

    root: Path
    organization: Organization

    @classmethod
    def of(cls, root: Path, rules: str) -> "Company":
        """Found a company on the text of an organization.toml."""
        path = root / "organization.toml"
        root.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(rules), encoding="utf-8")
        return cls(root, organization.load(path))

    @property
    def warehouse(self) -> LocalWarehouse:
        return LocalWarehouse(self.root / "warehouse")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.warehouse, ORIGIN, KEY)

    def deliver(self, text: str, scope: Scope = WHOLE_OCTOBER) -> Ingested:
        """Take in a bill of a few CSV columns."""
        return deliver(self.warehouse, csv(text), scope)

    def post(self, warehouse: Warehouse | None = None) -> Appended | None:
        """Attribute what changed and append it."""
        store = warehouse or self.warehouse
        ledger = Ledger(store, ORIGIN, KEY)
        changed = posting.changed(store, ledger, self.organization, OCTOBER)
        done = [posting.attribute(store, each, self.organization) for each in changed]
        return posting.post(store, ledger, done, self.facts) if done else None

    @property
    def facts(self) -> BatchFacts:
        now = datetime(2026, 11, 1, 4, 5, 6, tzinfo=UTC)
        return BatchFacts(self.organization.text, "1.0.0", "run-1", None, now)

    def entries(self) -> pl.DataFrame:
        """Read every ledger entry, reversals too."""
        return self.ledger.entries().collect()

    def sums(self) -> dict[str | None, Decimal]:
        """Add up BilledCost by cost center, as the ledger says."""
        sums = self.entries().group_by("cost_center").agg(pl.col("billed_cost").sum())
        return {center: Decimal(amount) for center, amount in sums.iter_rows() if amount}
