"""What a reversal must be: the exact negative of one allocation, once."""

from collections.abc import Iterator

import polars as pl

from finops.ledger.schema import (
    ALLOCATION,
    GIVEN,
    KEPT_BY_REVERSAL,
    NEGATED_BY_REVERSAL,
    REVERSAL,
    reference,
)

COMPARED = ("kind", "corrects", *KEPT_BY_REVERSAL, *NEGATED_BY_REVERSAL)


def reversals(entries: pl.DataFrame, *, reason: str) -> pl.DataFrame:
    """Make the rows that reverse `entries` exactly.

    `entries` has the columns of `Ledger.live`, `index` included; the result has those `append`
    takes: the same charge, negated money and quantities, `corrects` naming what is reversed.
    """
    changed = {name: -pl.col(name) for name in NEGATED_BY_REVERSAL}
    changed |= {"kind": pl.lit(REVERSAL), "corrects": reference(), "reason": pl.lit(reason)}
    return entries.select(changed.get(name, pl.col(name)).alias(name) for name in GIVEN)


def faults(given: pl.DataFrame, originals: pl.DataFrame) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with reversals, as (position in `given`, words).

    `given` has the columns `COMPARED`; `originals` has them and `index` and `row`.
    """
    named = originals.select(
        reference().alias("corrects"), *_renamed(), is_found=pl.lit(value=True)
    )
    joined = given.with_row_index("at").join(named, on="corrects", how="left")
    tests = {
        "corrects no entry that could be reversed": pl.col("is_found").is_null(),
        "corrects an entry that is itself a reversal": pl.col("was_kind") != ALLOCATION,
        "does not negate money and quantities exactly": ~pl.all_horizontal(
            _is_negated(name) for name in NEGATED_BY_REVERSAL
        ),
        "is about another charge, currency, cost center or partition": ~pl.all_horizontal(
            pl.col(name).eq_missing(pl.col(f"was_{name}")) for name in KEPT_BY_REVERSAL
        ),
    }
    for words, test in tests.items():
        yield from ((at, words) for at in joined.filter(test).get_column("at"))
        joined = joined.filter(~test.fill_null(value=False))


def _renamed() -> list[pl.Expr]:
    return [pl.col(name).alias(f"was_{name}") for name in COMPARED if name != "corrects"]


def _is_negated(name: str) -> pl.Expr:
    return pl.col(name).eq_missing(-pl.col(f"was_{name}"))
