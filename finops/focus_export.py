"""Handing charges on as FOCUS: one Parquet file that other tools, and auditors, can read.

The warehouse holds FOCUS 1.4. An older version has the columns it knew, ProviderName and
PublisherName among them, and our own `x_` columns. Nothing is invented: what no provider said
stays null, but for what FOCUS itself lets follow from the rest (see `_followed`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finops import charges, focus, focus_file, replacement, virtual_tags
from finops.charges import CHARGES, QUARANTINE
from finops.errors import ConfigError, ExportError
from finops.focus_file import GROUP_ROWS, Sums, Tally
from finops.normalize import RENAMED
from finops.organization import Organization
from finops.partition import Partition, Window
from finops.tabular import said
from finops.warehouse import Warehouse

VERSIONS = ("1.2", "1.3", "1.4")
_LAST_WITH_PROVIDER = "1.3"
_IN_PRICING_CURRENCY = {
    "PricingCurrencyContractedUnitPrice": "ContractedUnitPrice",
    "PricingCurrencyEffectiveCost": "EffectiveCost",
    "PricingCurrencyListUnitPrice": "ListUnitPrice",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what is in quarantine for the same days and so not part of it."""

    path: Path
    version: str
    rows: int
    sums: Sums
    quarantined_rows: int
    quarantined: charges.Totals


def columns(version: str) -> list[str]:
    """List the columns of an export: those of FOCUS `version`, then ours.

    Raises `ConfigError` for a version that is not among `VERSIONS`.
    """
    if version not in VERSIONS:
        raise ConfigError(
            f"there is no export of FOCUS {version!r}; write one of {', '.join(VERSIONS)}"
        )
    has_provider = version <= _LAST_WITH_PROVIDER
    known = [column.name for column in focus.COST_AND_USAGE if column.since <= version]
    ours = [column.name for column in (*focus.EXTENSIONS, *focus.PROVENANCE)]
    if has_provider:
        # Under both names a reader could not tell which one counts.
        ours = [name for name in ours if name not in RENAMED.values()]
        known += RENAMED
    return [*sorted(known), *ours]


def write(  # noqa: PLR0913, PLR0917 - what, whose, where to, and who is told
    warehouse: Warehouse,
    window: Window,
    version: str,
    folder: Path,
    sources: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
    organization: Organization | None = None,
) -> Exported:
    """Write the charges of the days in `window` to one file in `folder`; all `sources` when none.

    With an `organization` that has virtual tags they are in the column x_VirtualTags.

    Equal charges give equal bytes. The file appears whole, over an older one of the same days.
    Raises `ConfigError` for a version or source that is not there, `ExportError` when there is
    nothing to write or it cannot be written.
    """
    names = columns(version)
    people = organization if organization and organization.virtual_tags else None
    names += [virtual_tags.COLUMN] if people else []
    replacement.finish(warehouse)
    there = charges.partitions(warehouse)
    demand_known(there, sources)
    found = _chosen(there, window, sources)
    if not found:
        raise ExportError(
            f"there are no charges from {window.start} to {window.end}; `finops ingest` brings them"
        )
    held = Tally()
    read = _Reading(warehouse, names, people, progress)
    path = focus_file.publish(
        folder, _file_name(window, version, sources), empty(names), _read(read, found, held), held
    )
    aside = _chosen(charges.partitions(warehouse, QUARANTINE), window, sources)
    return Exported(path, version, held.rows, held.sums, *quarantined(warehouse, aside))


def lifted(rows: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    """Give charges the columns `names` of an export."""
    return rows.with_columns(_followed()).select(names)


def empty(names: Sequence[str]) -> pl.DataFrame:
    """Give the columns `names` of an export their types."""
    every = {
        **focus.SCHEMA,
        virtual_tags.COLUMN: pl.String(),
        **{column.name: column.dtype for column in focus.ALLOCATED},
    }
    return lifted(pl.LazyFrame(schema=every), names).collect()


def _followed() -> list[pl.Expr]:
    """Fill in what follows from other columns.

    ProviderName is what ServiceProviderName replaced in 1.3, and who sells its own service also
    makes it (the host underneath is another matter). FOCUS denominates unit prices and costs in
    BillingCurrency, and demands PricingCurrency only of providers that price in another one:
    where it is not given the two are the same, and so are the amounts in them.
    """
    service_provider = pl.col("ServiceProviderName")
    currency = pl.coalesce("PricingCurrency", "BillingCurrency")
    is_same = currency == pl.col("BillingCurrency")
    return [
        *(pl.coalesce(kept, service_provider).alias(old) for old, kept in RENAMED.items()),
        currency.alias("PricingCurrency"),
        *(
            pl.coalesce(name, pl.when(is_same).then(pl.col(billed))).alias(name)
            for name, billed in _IN_PRICING_CURRENCY.items()
        ),
    ]


def demand_known(partitions: Iterable[Partition], sources: Sequence[str]) -> None:
    """Raise `ConfigError` for a source that none of `partitions` is of."""
    there = {partition.source for partition in partitions}
    unknown = sorted(set(sources) - there)
    if unknown:
        raise ConfigError(
            f"there are no charges of source {', '.join(unknown)}; "
            f"there are some of: {', '.join(sorted(there)) or 'none'}"
        )


def _chosen(
    partitions: Iterable[Partition], window: Window, sources: Sequence[str]
) -> list[Partition]:
    return [
        partition
        for partition in partitions
        if window.start <= partition.day < window.end
        and (not sources or partition.source in sources)
    ]


def _file_name(window: Window, version: str, sources: Sequence[str]) -> str:
    parts = [f"focus-{version}", str(window.start), str(window.end), *sorted(set(sources))]
    return f"{'_'.join(parts)}.parquet"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of the warehouse, and who hears how far it is."""

    warehouse: Warehouse
    names: Sequence[str]
    organization: Organization | None
    progress: Callable[[int], None]

    def batches(self, rows: pl.LazyFrame, partition: Partition) -> Iterator[pl.DataFrame]:
        """Give the rows of a partition as they are exported."""
        if self.organization is None:
            yield from batches(lifted(rows, self.names))
            return
        for batch in batches(rows):
            with_tags = virtual_tags.tagged(batch, self.organization, partition)
            yield lifted(with_tags.lazy(), self.names).collect()


def batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Read rows in their order, as many at a time as a row group holds."""
    return rows.collect_batches(chunk_size=GROUP_ROWS, maintain_order=True, engine="streaming")


def _read(
    reading: _Reading, partitions: Iterable[Partition], tally: Tally
) -> Iterator[pl.DataFrame]:
    """Read partition by partition, counting what the warehouse holds."""
    for partition in partitions:
        key = partition.key(CHARGES)
        try:
            rows = pl.scan_parquet(reading.warehouse.local(key), glob=False)
            tally.add(*focus_file.counted(rows))
            for batch in reading.batches(rows, partition):
                yield batch
                reading.progress(len(batch))
        except pl.exceptions.PolarsError as error:
            raise ExportError(
                f"{key}: cannot be read ({said(error)}); bring these charges in again, nothing "
                f"was exported"
            ) from None


def quarantined(
    warehouse: Warehouse, partitions: Iterable[Partition]
) -> tuple[int, charges.Totals]:
    """Count what is in quarantine in these partitions: rows, and billed cost by currency."""
    tally = Tally()
    for partition in partitions:
        path = warehouse.local(partition.key(QUARANTINE))
        tally.add(*focus_file.counted(pl.scan_parquet(path, glob=False)))
    return tally.rows, {code: costs["BilledCost"] for code, costs in tally.sums.items()}
