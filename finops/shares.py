"""Shares as whole numbers: what each part of a whole is to the sum of the parts.

Amounts come as integers of up to 38 digits; shares leave as integers whose sum fits the ledger.
"""

import polars as pl

MOST = 10**18
"""The largest sum of shares: products with an amount's remainder stay within 128 bits."""

_DIVISOR = "~divisor"
_REST = "~rest"
_TOTAL = "~total"


def reduced(parts: pl.DataFrame, group: str, amount: str) -> pl.DataFrame:
    """Bring the positive amounts (Int128) of each group to their smallest whole numbers.

    They are divided by their greatest common divisor. When their sum is still above `MOST` the
    last digits are cut off each, and parts that then hold nothing are left out: one in 10¹⁸ is
    the coarsest that a share can be off.
    """
    divisors = _common_divisors(parts.select(group, amount), group, amount)
    exact = parts.join(divisors, on=group, how="left", maintain_order="left").with_columns(
        pl.col(amount) // pl.col(_DIVISOR)
    )
    total = pl.col(amount).sum().over(group)
    cut = (total - 1) // MOST + 1
    return (
        exact.with_columns((pl.col(amount) // cut).alias(amount))
        .filter(pl.col(amount) > 0)
        .drop(_DIVISOR)
    )


def _common_divisors(amounts: pl.DataFrame, group: str, amount: str) -> pl.DataFrame:
    """Find the greatest common divisor of each group: Euclid's way, all groups at once.

    The smallest amount is tried; while it leaves rests, the smallest of those is tried next. Groups
    that are done take no part in the next round.
    """
    tried = amounts.group_by(group).agg(pl.col(amount).min().alias(_DIVISOR))
    done = [tried.clear()]
    left = amounts
    while len(left):
        rests = left.join(tried, on=group).with_columns(
            (pl.col(amount) % pl.col(_DIVISOR)).alias(_REST)
        )
        smaller = (
            rests.filter(pl.col(_REST) > 0).group_by(group).agg(pl.col(_REST).min().alias(_DIVISOR))
        )
        done.append(tried.join(smaller, on=group, how="anti"))
        left = left.join(smaller, on=group, how="semi")
        tried = smaller
    return pl.concat(done)
