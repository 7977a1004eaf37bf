"""Which month of its export a row stands in.

A cloud delivers an export by the month, and a delivered month replaces that month. A row may name
another billing period though: a subscription billed from the 16th to the 15th, or a late charge.
It stands in a month of its export all the same: so nothing that was delivered is left out, and
nothing that another month's export brought is replaced by it.

- A billing period that begins on the first is its month; of any other, the month of the charge
  day counts, since exports are cut by days.
- A month that the export is not about becomes the nearest one that it is about.

Where that changes a row's month, its billing period becomes that month, and what was delivered
stays beside it as text, in `x_DeliveredBillingPeriodStart` and `x_DeliveredBillingPeriodEnd`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import polars as pl

from finops import charges, checks, money, normalize
from finops.csv_parts import CsvParts
from finops.errors import Issue, Severity
from finops.partition import Window
from providers.base import Bill

_START, _END, _CHARGED = "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart"
_DELIVERED = "x_Delivered"


def placed(bill: Bill, months: Sequence[str], elsewhere: Sequence[str] = ()) -> Bill:
    """Set the billing period of every row to one of `months`, those its export is about.

    Rows of the months `elsewhere`, which a newer export tells, are left out; the others keep
    their row numbers. A warning says how much was moved. Raises `DataError` for a bill that breaks
    off while it is looked at.
    """
    schema = bill.rows.collect_schema()
    if not months or not set(normalize.CORE) <= set(schema):
        return bill
    place = _Place(schema, Window.of_period(min(months)).start, Window.of_period(max(months)).start)
    rows = bill.rows
    if elsewhere:
        taken = [Window.of_period(month).start for month in elsewhere]
        is_here = place.month.is_in(taken).not_().fill_null(value=True)
        rows = rows.with_row_index(normalize.GIVEN_ROW).filter(is_here)
    here = replace(bill, rows=rows)
    if bill.parts is not None and not _names_another(here, bill.parts, place):
        return here
    count, amounts = _moved(replace(bill, rows=rows.filter(place.is_moved)))
    if not count:
        return here
    issue = Issue(bill.raw.name, _said(count, amounts, months), Severity.WARNING)
    return replace(bill, rows=rows.with_columns(place.columns()), issues=(*bill.issues, issue))


@dataclass(frozen=True, slots=True)
class _Place:
    """Expressions over one export that is about the months from `first` to `last`."""

    schema: Mapping[str, pl.DataType]
    first: date
    last: date

    @property
    def month(self) -> pl.Expr:
        """Give the first day of the month in which a row stands.

        It is null for a billing period that is no time, or none of a bill: that is for the checks.
        """
        start, charged = self._time(_START), self._time(_CHARGED)
        is_sound = start.is_between(checks.FIRST, checks.LATEST_START) | pl.col(_START).is_null()
        counts = pl.when(start.dt.day() == 1).then(start).otherwise(pl.coalesce(charged, start))
        return pl.when(is_sound).then(_month(counts).clip(self.first, self.last))

    @property
    def is_moved(self) -> pl.Expr:
        """Tell the rows that name another month."""
        named = _month(pl.coalesce(self._time(_START), self._time(_CHARGED)))
        return (self.month != named).fill_null(value=False)

    def columns(self) -> list[pl.Expr]:
        """Give the billing period anew, and as it was delivered where that was another."""
        values = {_START: self.month, _END: self.month.dt.offset_by("1mo")}
        given = {name: value for name, value in values.items() if name in self.schema}
        return [
            *(self._as_delivered(name) for name in given),
            *(
                pl.when(self.is_moved)
                .then(_typed(value, self.schema[name]))
                .otherwise(pl.col(name))
                .alias(name)
                for name, value in given.items()
            ),
        ]

    def _time(self, name: str) -> pl.Expr:
        return normalize.as_time(pl.col(name), self.schema[name])

    def _as_delivered(self, name: str) -> pl.Expr:
        is_text = self.schema[name] == pl.String
        text = pl.col(name) if is_text else self._time(name).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        return pl.when(self.is_moved).then(text).alias(f"{_DELIVERED}{name}")


def _month(time: pl.Expr) -> pl.Expr:
    return time.dt.date().dt.month_start()


def _typed(day: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Write a day as the column has its times."""
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        midnight = day.cast(pl.Datetime(dtype.time_unit)).dt.replace_time_zone("UTC")
        return midnight.dt.convert_time_zone(dtype.time_zone)
    return day.cast(dtype) if dtype.is_temporal() else day.dt.strftime("%Y-%m-%dT00:00:00Z")


def _names_another(bill: Bill, parts: CsvParts, place: _Place) -> bool:
    """Look whether any row is to be moved, at the few distinct periods of a big CSV."""
    distinct = bill.rows.select(_START, _CHARGED).unique()
    with charges.reading(bill.raw.name):
        periods = pl.concat(piece.rows for piece in parts.each(distinct)).unique()
        return not periods.filter(place.is_moved).is_empty()


def _moved(bill: Bill) -> tuple[int, charges.Totals]:
    """Count the rows of a bill, and their money by currency."""
    count, amounts = 0, dict[str, Decimal]()
    rows = bill.rows.select(normalize.CORE)
    for batch in charges.stream(rows, bill.raw.name, parts=bill.parts):
        count += len(batch)
        for currency, amount in charges.billed(batch).items():
            amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    return count, amounts


def _said(count: int, amounts: Mapping[str, Decimal], months: Sequence[str]) -> str:
    rows = "1 row" if count == 1 else f"{count} rows"
    return (
        f"{rows} worth {money.by_currency(amounts)} of another billing period stand in the month "
        f"of their export ({', '.join(months)}); x_DeliveredBillingPeriodStart keeps what was "
        f"delivered"
    )
