"""`UnifiedBillingAggregator`: what all providers billed, in one table."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl

from finops import charges, coverage, money, quarantine, reconciliation
from finops.config import FILE_NAME
from finops.coverage import Coverage
from finops.installation import Installation
from finops.partition import Partition, parse_period
from finops.reconciliation import Reconciled

_SUMMED = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
BY = ("period", "provider", "source", "service_provider", "currency", "cost_source")
"""What `totals` can be grouped by; amounts of several currencies are never added up."""


class UnifiedBillingAggregator:
    """Charges of all providers, added up exactly."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    @classmethod
    def from_config(cls, path: str | Path = FILE_NAME) -> "UnifiedBillingAggregator":
        """Open the installation at `path`; raises `ConfigError` naming every mistake in it."""
        return cls(Installation.open(path))

    def total(self, period: str | None = None) -> dict[str, Decimal]:
        """Add up what was billed, by currency; of all periods when none is given.

        Rows in quarantine are not among it: `coverage` counts them too.
        """
        rows = self.totals(("currency",), period)
        return dict(rows.select("currency", "billed_cost").iter_rows())

    def totals(
        self, by: Sequence[str] = ("period", "provider", "currency"), period: str | None = None
    ) -> pl.DataFrame:
        """Add up all four costs and count rows, by any of `BY`; the currency is always among them.

        `provider` is the one in finops.toml, `service_provider` whose service it is, and
        `cost_source` tells bills, rate cards and estimates apart. Sorted by the columns of `by`.
        """
        month = None if period is None else parse_period(period)
        columns = [name for name in BY if name in {*by, "currency"}]
        unknown = sorted(set(by) - set(BY))
        if unknown:
            raise ValueError(f"totals cannot be grouped by {unknown[0]!r}; use {', '.join(BY)}")
        parts = [
            self._summed(partition, columns)
            for partition in charges.partitions(self._installation.warehouse)
            if month in (None, partition.period)
        ]
        sums = [pl.col(name).sum() for name in ("billed_cost", *_OTHERS, "rows")]
        if not parts:
            return pl.DataFrame(schema=_schema(columns))
        return pl.concat(parts).group_by(columns).agg(sums).sort(columns, nulls_last=True)

    def coverage(self, period: str | None = None) -> list[Coverage]:
        """Tell how much of what was billed has an owner, by currency and service provider."""
        month = None if period is None else parse_period(period)
        return coverage.coverage(
            self._installation.ledger.entries(period=month),
            quarantine.summary(self._installation.warehouse, month),
        )

    def reconciliation(self) -> dict[str, list[Reconciled]]:
        """Give, by source, what providers stated beside what was read, as last compared."""
        return reconciliation.remembered(self._installation.warehouse)

    def _summed(self, partition: Partition, columns: Sequence[str]) -> pl.DataFrame:
        rows = charges.read(self._installation.warehouse, partition).select(
            pl.lit(partition.period).alias("period"),
            pl.lit(partition.provider).alias("provider"),
            pl.lit(partition.source).alias("source"),
            pl.col("ServiceProviderName").alias("service_provider"),
            pl.col("BillingCurrency").alias("currency"),
            pl.col("x_CostSource").fill_null("billed").alias("cost_source"),
            *(pl.col(name).alias(_snake(name)) for name in _SUMMED),
        )
        sums = (pl.col(_snake(name)).sum() for name in _SUMMED)
        return rows.group_by(columns).agg(*sums, pl.len().cast(pl.Int64).alias("rows")).collect()


def _snake(name: str) -> str:
    return f"{name.removesuffix('Cost').lower()}_cost"


_OTHERS = tuple(_snake(name) for name in _SUMMED[1:])


def _schema(columns: Sequence[str]) -> dict[str, pl.DataType]:
    texts: dict[str, pl.DataType] = {name: pl.String() for name in columns}
    return {**texts, **{_snake(name): money.DTYPE for name in _SUMMED}, "rows": pl.Int64()}
