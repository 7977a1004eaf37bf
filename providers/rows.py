"""Making FOCUS rows one by one, from replies that are no table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from finops import focus, money
from finops.focus import Kind
from finops.normalize import GIVEN_ROW

_NOT_TEXT = (Kind.TIME, Kind.COUNT, Kind.FLAG)

Row = Mapping[str, object]
"""Cells by column: text, `Decimal`, UTC times, whole numbers, truths; a mapping becomes JSON."""


def frame(rows: Sequence[Row]) -> pl.LazyFrame:
    """Make a table of `rows`, amounts as their exact text; absent cells are null.

    Columns that FOCUS does not know hold text.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    schema = {name: _dtype(name) for name in names}
    cells = [{name: _cell(row.get(name)) for name in names} for row in rows]
    return pl.LazyFrame(cells, schema=schema)


def billing_month(start: datetime) -> dict[str, datetime]:
    """Give the calendar month that holds `start` as the billing period."""
    first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return {
        "BillingPeriodStart": first,
        "BillingPeriodEnd": (first + timedelta(days=32)).replace(day=1),
    }


def all_costs(amount: Decimal | None) -> dict[str, Decimal | None]:
    """Give all four costs where there is neither discount nor commitment."""
    return dict.fromkeys(focus.COSTS, amount)


def tags(pairs: Iterable[tuple[str, object]]) -> dict[str, str] | None:
    """Gather tags; none at all is null, and a tag without value is empty."""
    found = {key: "" if value is None else str(value) for key, value in pairs}
    return found or None


def text(value: object) -> str | None:
    """Take text that can be written as UTF-8, or null; raises `TypeError` or `ValueError`."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"text was expected, not {type(value).__name__}")
    value.encode()
    return value


def number(value: object) -> Decimal:
    """Take a number, also one in quotes; raises `TypeError`, `ValueError` or `ArithmeticError`."""
    if not isinstance(value, (Decimal, str)):
        raise TypeError(f"a number was expected, not {type(value).__name__}")
    found = Decimal(value)
    if not found.is_finite():
        raise ValueError("is no finite number")
    return found


def _dtype(name: str) -> pl.DataType:
    if name == GIVEN_ROW:
        return pl.Int64()
    column = focus.BY_NAME.get(name)
    return column.dtype if column is not None and column.kind in _NOT_TEXT else pl.String()


def _cell(value: object) -> object:
    match value:
        case Decimal():
            return money.text(value)
        case Mapping():
            return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
        case _:
            return value


def _plain(value: object) -> str:
    return money.text(value) if isinstance(value, Decimal) else str(value)
