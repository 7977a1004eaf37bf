"""Accruals: what work that is reported while it runs will cost, until the bill says what it did.

An estimate is a charge with `x_CostSource = "estimate"` in a partition of the source that
reported the work: one for each workload and UTC hour, its reported price times the time held. The
hour under way is restated as it goes on. When the ledger has the bill of that time the estimate
is no more, and posting reverses it: the two never stand for the same hour for long.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from finops import billed_time, charges, money
from finops.billed_time import BilledTime
from finops.charges import Bill
from finops.estimates import hourly, rows_of
from finops.ledger import Ledger
from finops.partition import Partition, Window
from finops.raw import Delivery, RawStore, Scope
from finops.warehouse import Warehouse

PROVIDER = "sdk"
KEPT = timedelta(days=60)
"""How far back work is looked at: what was not billed by then stays an estimate."""

STEP = timedelta(minutes=2)
"""Estimates grow in steps: less would only add entries to the ledger."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What was estimated of resources that are billed by now, and what was billed for them."""

    provider: str
    currency: str
    estimated: Decimal
    billed: Decimal

    @property
    def error(self) -> Decimal:
        """How much more was estimated than billed."""
        return money.CONTEXT.subtract(self.estimated, self.billed)


@dataclass(frozen=True, slots=True)
class Accrued:
    """What one accrual found: estimates that stand, by currency, and the partitions it changed.

    `running` counts workloads under way; `unpriced` those without price or provider, of which
    nothing can be estimated.
    """

    source: str
    running: int
    unpriced: int
    estimated: dict[str, Decimal]
    changed: tuple[Partition, ...]
    compared: tuple[Compared, ...]


def accrue(
    warehouse: Warehouse,
    ledger: Ledger,
    source: str,
    reported: Sequence[dict[str, object]],
    now: datetime,
) -> Accrued:
    """Bring the estimates of `source` to where `reported` work and the posted bills are.

    `reported` are the rows of `finops.reported.Folded`, `now` is in UTC.
    """
    since = (now - KEPT).date()
    until = datetime.min.replace(tzinfo=now.tzinfo)
    until += (now - until) // STEP * STEP
    hours = hourly(reported, since, until)
    named = hours.get_column("provider").unique().to_list()
    window = Window(since, now.date() + timedelta(days=1))
    billed = billed_time.read(ledger, window.periods(), named)
    open_hours = billed.without_billed(hours)
    changed = _published(warehouse, source, rows_of(open_hours), window)
    return Accrued(
        source=source,
        running=sum(bool(row["is_running"]) for row in reported),
        unpriced=len(reported) - hours.get_column("workload_id").n_unique(),
        estimated=_by_currency(open_hours),
        changed=tuple(changed),
        compared=tuple(_compared(hours, billed)),
    )


def standing(entries: pl.LazyFrame) -> dict[str, Decimal]:
    """Add up, by currency, what of ledger `entries` is estimated; reversals cancel out."""
    of_estimates = entries.filter(pl.col("provider") == PROVIDER)
    sums = of_estimates.group_by("currency").agg(pl.col("billed_cost").sum()).sort("currency")
    return {currency: amount for currency, amount in sums.collect().iter_rows() if amount}


def _by_currency(hours: pl.DataFrame) -> dict[str, Decimal]:
    sums = hours.group_by("currency").agg(pl.col("cost").sum()).sort("currency")
    return dict(sums.iter_rows())


def _published(
    warehouse: Warehouse, source: str, rows: pl.DataFrame, window: Window
) -> Iterable[Partition]:
    """Write the days whose estimates changed; a day that has none any more becomes empty."""
    by_day = {
        day: group
        for (day,), group in rows.partition_by("day", as_dict=True, include_key=False).items()
    }
    there = {
        each.day: each
        for each in charges.partitions(warehouse)
        if each.source == source and window.start <= each.day < window.end
    }
    for day in sorted({*by_day, *there}):
        store = RawStore(warehouse, source)
        bills = _bills(store, source, by_day.get(day))
        known = there.get(day)
        if known and _raw_ids(warehouse, known) == {bill.raw.sha256 for bill in bills}:
            continue
        delivery = Delivery(
            PROVIDER,
            source,
            Scope(days=Window(day, day + timedelta(days=1))),
            tuple(bill.raw for bill in bills),
            is_empty_for_sure=True,
        )
        for partition in charges.write(bills, delivery, warehouse).partitions:
            # All of a day can lie in quarantine, such as for a currency that is none.
            if warehouse.exists(partition.key(charges.CHARGES)):
                yield partition


def _bills(store: RawStore, source: str, rows: pl.DataFrame | None) -> list[Bill]:
    """Keep what is estimated, an object for each hour: one that is over does not change again."""
    bills = []
    if rows is not None:
        for (hour,), group in rows.group_by("hour", maintain_order=True):
            assert isinstance(hour, datetime), "an hour is a time"
            estimates = group.drop("hour")
            name = f"{PROVIDER}/estimates/{source}/{hour:%Y-%m-%dT%H}Z.jsonl"
            content = estimates.cast({pl.Decimal: pl.String}).write_ndjson()
            kept = store.keep(content.encode(), name, {"how": "estimated from reported work"})
            bills.append(Bill(kept, estimates.lazy()))
    return bills


def _raw_ids(warehouse: Warehouse, partition: Partition) -> set[str]:
    ids = charges.read(warehouse, partition).select(pl.col("x_RawId").unique()).collect()
    return set(ids.get_column("x_RawId"))


def _compared(hours: pl.DataFrame, billed: BilledTime) -> Iterable[Compared]:
    """Hold what was estimated of hours that are billed by now against the bill of the resource."""
    known = hours.filter(pl.col("resource_id").is_not_null())
    keys = ["provider", "resource_id", "currency", "day"]
    both = (
        billed.only_billed(known)
        .with_columns(pl.col("started_at").dt.date().alias("day"))
        .group_by(keys)
        .agg(pl.col("cost").sum())
        .join(billed.by_day, on=keys, how="left")
    )
    # What was never billed was estimated in error, all of it.
    sums = both.group_by("provider", "currency").agg(pl.col("cost", "billed").sum())
    for provider, currency, cost, amount in sums.sort("provider", "currency").iter_rows():
        yield Compared(provider, currency, cost, amount)
