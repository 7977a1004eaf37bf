"""The demo company in memory: what its sources tell of October, and the tables of its README."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from finops import attribution, charges, config, holding, organization
from finops.config import Config
from finops.organization import Organization
from finops.partition import Window
from finops.warehouse.local import LocalWarehouse
from finops.workloads import Shelf
from providers import intake
from providers.intake import Taken, Taking

DEMO = Path(__file__).parent.parent / "data" / "demo"
PERIOD = "2026-10"
MONTH = Window.of_period(PERIOD)
README = (DEMO / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Company:
    """The demo after ingesting and attributing all of October."""

    config: Config
    organization: Organization
    warehouse: LocalWarehouse
    taken: dict[str, Taken]
    charges: pl.DataFrame
    allocations: pl.DataFrame

    def carried_by(self, cost_center: str) -> pl.DataFrame:
        below = self.organization.descendants(cost_center)
        return self.allocations.filter(pl.col("cost_center").is_in(below))


def company(folder: Path) -> Company:
    """Take in every source of the demo, into a warehouse in `folder`."""
    settings = config.load(DEMO)
    people = organization.load(settings.organization_path)
    warehouse = LocalWarehouse(folder)
    taken = {
        name: intake.take(settings, warehouse, Taking(name, MONTH)) for name in settings.sources
    }
    billed, allocated = [], []
    shelf = Shelf(warehouse)
    for partition in charges.partitions(warehouse):
        rows = charges.read(warehouse, partition)
        relevant = holding.relevant(rows, shelf)
        held = None if relevant is None else relevant.holding(rows)
        found = attribution.allocate(rows, people, partition, held).collect()
        attribution.proven(rows, found.lazy(), str(partition))
        billed.append(rows.with_columns(source=pl.lit(partition.source)).collect())
        allocated.append(found)
    return Company(settings, people, warehouse, taken, pl.concat(billed), pl.concat(allocated))


def table(heading: str) -> list[list[str]]:
    """Read the rows of the README's table whose header begins with `heading`."""
    block = README.split(f"\n| {heading}", 1)[1].split("\n\n", 1)[0]
    return [
        [cell.strip().strip("*`") for cell in row.strip("| ").split(" | ")]
        for row in block.splitlines()[2:]
    ]


def shown(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.01')):,}"


def total(rows: pl.DataFrame, column: str) -> Decimal:
    return Decimal(rows.get_column(column).sum())
