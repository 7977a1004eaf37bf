"""A small ledger to try things on."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from finops.ledger import ENTRY_SCHEMA, BatchFacts, Input, Ledger, PartitionFacts, SigningKey
from finops.partition import Partition
from finops.warehouse import Warehouse

ORIGIN = "acme.example/finops"
KEY = SigningKey.from_seed(ORIGIN, bytes(range(32)))
FACTS = BatchFacts(
    rules_text="[cost_centers.ai]\n",
    code_version="1.0.0",
    run_id="run-1",
    flow_run_id=None,
    now=datetime(2026, 11, 1, 4, 5, 6, tzinfo=UTC),
)
GIVEN_SCHEMA = {name: dtype for name, dtype in ENTRY_SCHEMA.items() if name not in {"v", "row"}}


def partition(day: int = 3, source: str = "aws-main") -> Partition:
    """Name a partition of October 2026."""
    return Partition("aws", source, "2026-10", date(2026, 10, day))


def entry(number: int, where: Partition, **changed: object) -> dict[str, object]:
    """Make one allocation, different for each `number`."""
    values: dict[str, object] = dict.fromkeys(GIVEN_SCHEMA)
    values |= {
        "kind": "allocation",
        "charge_id": f"{number:064x}",
        "src": "ab" * 32,
        "src_row": number,
        "provider": where.provider,
        "source": where.source,
        "period": where.period,
        "day": where.day,
        "charge_start": datetime(2026, 10, 3, number % 24, tzinfo=UTC),
        "charge_end": datetime(2026, 10, 3, number % 24, 59, tzinfo=UTC),
        "service_provider": "AWS",
        "cost_center": None if number % 4 == 0 else f"team_{number % 3}",
        "step": "rules",
        "share_num": 1,
        "share_den": 1,
        "billed_cost": Decimal(number * 7 - 3).scaleb(-18) + number,
        "list_cost": Decimal(number),
        "currency": "EUR" if number % 5 == 0 else "USD",
    }
    return values | changed


def frame(rows: int, where: Partition | None = None, **changed: object) -> pl.DataFrame:
    """Make `rows` allocations of one partition."""
    place = where or partition()
    return pl.DataFrame([entry(n, place, **changed) for n in range(rows)], schema=GIVEN_SCHEMA)


def facts(idem: str, where: Partition | None = None) -> PartitionFacts:
    """Describe a partition in a batch."""
    raw = Input("ab" * 32, 1234, "cur.parquet", "aws-main")
    return PartitionFacts(where or partition(), idem, (raw,))


def ledger(warehouse: Warehouse) -> Ledger:
    """Open the ledger with its signing key."""
    return Ledger(warehouse, ORIGIN, KEY)
