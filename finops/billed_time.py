"""Up to when the bills in the ledger reach, by provider and by resource."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from finops import money
from finops.identity import slug
from finops.ledger import Ledger

ESTIMATES = "sdk"
SETTLED_AFTER = timedelta(hours=36)
"""When a provider's bill is this far past an hour, a resource without charges in it had none."""

_LONGEST = timedelta(days=1)
"""A charge for longer, such as a month's fee, does not say up to when usage was billed."""

_COLUMNS = (
    "kind",
    "provider",
    "source",
    "service_provider",
    "resource",
    "charge_start",
    "charge_end",
    "day",
    "currency",
    "billed_cost",
)


@dataclass(frozen=True, slots=True)
class BilledTime:
    """`reach`: provider, resource_id (null: any) and the end of the last charge billed.

    `by_day`: provider, resource_id, currency, day and what was billed.
    """

    reach: pl.DataFrame
    by_day: pl.DataFrame

    def without_billed(self, hours: pl.DataFrame) -> pl.DataFrame:
        """Leave out what is billed: rows need `provider`, `resource_id` and `ended_at`."""
        return self._told(hours).filter(~pl.col("~billed")).drop("~billed")

    def only_billed(self, hours: pl.DataFrame) -> pl.DataFrame:
        """Keep what `without_billed` leaves out."""
        return self._told(hours).filter("~billed").drop("~billed")

    def _told(self, hours: pl.DataFrame) -> pl.DataFrame:
        anywhere = self.reach.group_by("provider").agg(pl.col("billed_until").max().alias("~any"))
        here = self.reach.rename({"billed_until": "~here"})
        end = pl.col("ended_at")
        settled = pl.col("~any") - pl.lit(SETTLED_AFTER)
        reaches = (
            pl.when(pl.col("resource_id").is_null())
            .then(pl.col("~any") >= end)
            .otherwise((pl.col("~here") >= end).fill_null(value=False) | (settled >= end))
        )
        return (
            hours.join(anywhere, on="provider", how="left", maintain_order="left")
            .join(here, on=["provider", "resource_id"], how="left", maintain_order="left")
            .with_columns(reaches.fill_null(value=False).alias("~billed"))
            .drop("~any", "~here")
        )


def read(ledger: Ledger, periods: Iterable[str], providers: Sequence[str]) -> BilledTime:
    """Read what the ledger says of `periods`; `providers` are slugs, as reported work names them.

    A bill is known by its provider's name in finops.toml, its source's, or its service provider's.
    """
    scans = [
        ledger.entries(period=period, columns=_COLUMNS).filter(pl.col("provider") != ESTIMATES)
        for period in sorted(set(periods))
    ]
    sign = pl.when(pl.col("kind") == "reversal").then(-1).otherwise(1)
    lasts = pl.col("charge_end") - pl.col("charge_start")
    keys = ("provider", "source", "service_provider", "resource", "currency", "day")
    standing = (
        pl.concat(scans)
        .filter(lasts <= pl.lit(_LONGEST))
        .group_by(*keys, "charge_end")
        .agg(sign.sum().alias("count"), pl.col("billed_cost").sum())
        .filter(pl.col("count") > 0)
        .group_by(*keys)
        .agg(pl.col("charge_end").max(), pl.col("billed_cost").sum())
        .collect()
    )
    named = _named(standing, providers)
    reach = named.group_by("name", "resource").agg(pl.col("charge_end").max())
    by_day = named.filter(pl.col("resource").is_not_null()).group_by(
        "name", "resource", "currency", "day"
    )
    called = {"name": "provider", "resource": "resource_id"}
    return BilledTime(
        reach.rename({**called, "charge_end": "billed_until"}),
        by_day.agg(pl.col("billed_cost").sum().cast(money.DTYPE).alias("billed")).rename(called),
    )


def _named(standing: pl.DataFrame, providers: Sequence[str]) -> pl.DataFrame:
    """Give each charge the name under which reported work asks for it, under each of them."""
    given = standing.select("provider", "source", "service_provider").unique()
    names = {
        (slug(name), *row)
        for row in given.iter_rows()
        for name in row
        if name is not None and slug(name) in providers
    }
    schema = {"name": pl.String, **dict.fromkeys(given.columns, pl.String)}
    table = pl.DataFrame(sorted(names, key=str), schema=schema, orient="row")
    return table.join(standing, on=given.columns, how="inner", nulls_equal=True)
