"""What a row of Google's detailed export bills: its cost and all its credits, to the last digit.

Google counts in doubles. What 18 decimals hold of both is added up by Polars; a rest that they do
not hold is added up digit by digit, so that `finops.normalize` counts it as rounding. An amount
that is no money at all is passed on as it came, for the refusal to name it.
"""

import decimal
from collections.abc import Iterator, Sequence
from decimal import Decimal

import polars as pl

from finops import checks, money

_AMOUNTS = r'"amount":\s*(?:"[^"]*"|[^,\]}\s]+)'
_BEFORE_AMOUNT = r'^"amount":\s*'
_NOTHING = "null"
_PRECISION = 1000
"""Digits that the sum of any two doubles needs, and more."""
_LIMIT = Decimal(10) ** (money.PRECISION - money.SCALE)

_COST, _CREDITS, _BILLED = "cost", "credits", "billed"


def billed(cost: pl.Expr, credits_: pl.Expr) -> pl.Expr:
    """Add the amounts of a list of credits, in JSON, to a cost; takes text and gives text.

    Null without a cost; text that is no amount where one of them is none.
    """
    amount = pl.element().str.replace(_BEFORE_AMOUNT, "").str.strip_chars('"')
    amounts = credits_.str.extract_all(_AMOUNTS).list.eval(amount.filter(amount != _NOTHING))
    together = pl.struct(cost.alias(_COST), amounts.alias(_CREDITS))
    return together.map_batches(_billed, return_dtype=pl.String, is_elementwise=True)


def _billed(rows: pl.Series) -> pl.Series:
    given = rows.struct.unnest()
    sums = given.select(
        pl.when(_is_exact(pl.col(_COST)), _are_exact(pl.col(_CREDITS)))
        .then(_amount(pl.col(_COST)) + _sum(pl.col(_CREDITS)))
        .alias(_BILLED)
    )
    plain = pl.col(_BILLED).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    texts = sums.select(plain).to_series()
    is_left = texts.is_null() & given.get_column(_COST).is_not_null()
    if not is_left.any():
        return texts.alias(rows.name)
    left = [_by_digits(cost, amounts or ()) for cost, amounts in given.filter(is_left).iter_rows()]
    return texts.scatter(is_left.arg_true(), left).alias(rows.name)


def _is_exact(text: pl.Expr) -> pl.Expr:
    """Tell whether an amount is money that 18 decimals hold, and no more than a bill can be."""
    decimals = text.str.extract(r"\.(\d+)").str.len_bytes().fill_null(0).cast(pl.Int64)
    shift = text.str.extract(r"[eE]([+-]?\d{1,9})$").cast(pl.Int64).fill_null(0)
    is_possible = _amount(text).is_between(-checks.LARGEST, checks.LARGEST).fill_null(value=False)
    return (decimals - shift <= money.SCALE) & is_possible


def _are_exact(texts: pl.Expr) -> pl.Expr:
    return texts.list.eval(_is_exact(pl.element())).list.all().fill_null(value=True)


def _sum(texts: pl.Expr) -> pl.Expr:
    amounts = texts.list.eval(_amount(pl.element()))
    return amounts.list.sum().fill_null(0)


def _amount(text: pl.Expr) -> pl.Expr:
    return text.cast(money.DTYPE, strict=False)


def _by_digits(cost: str, amounts: Sequence[str]) -> str:
    """Add up exactly; the first that is no money stands for the sum."""
    parts = [cost, *amounts]
    with decimal.localcontext(prec=_PRECISION):
        wrong = next(_no_money(parts), None)
        return wrong or money.text(sum(map(Decimal, parts), Decimal(0)))


def _no_money(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        try:
            is_money = abs(Decimal(part)) < _LIMIT
        except decimal.InvalidOperation:
            is_money = False
        if not is_money:
            yield part
