"""What providers call their regions, read from a reference table; an unknown one has no name."""

from functools import cache

import polars as pl

from finops import shipped

_SCHEMA = {"provider": pl.String, "region_id": pl.String, "region_name": pl.String}


@cache
def table() -> pl.DataFrame:
    """Read the reference table: `provider`, `region_id` and `region_name` as it displays it."""
    return pl.read_csv(shipped.folder("reference") / "regions.csv", schema=_SCHEMA, glob=False)


@cache
def names(provider: str) -> dict[str, str]:
    """Give the display name of every region known of `provider`, by the region's id."""
    rows = table().filter(pl.col("provider") == provider)
    return dict(rows.select("region_id", "region_name").iter_rows())


def column(provider: str, region_id: pl.Expr, given: pl.Expr | None = None) -> pl.Expr:
    """Make `RegionName`: the name that was `given`, else the one known of `region_id`, or null."""
    known = names(provider)
    found = region_id.replace_strict(
        list(known), list(known.values()), default=None, return_dtype=pl.String
    )
    named = found if given is None else pl.coalesce(pl.when(given != "").then(given), found)
    return named.alias("RegionName")
