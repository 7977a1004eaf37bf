"""A rate card: the prices of the user's contract, for what a provider counts but does not price.

It is a CSV file with a header. `sku_id`, `unit`, `price` and `currency` must be there; `plan`,
`list_price`, `valid_from` and `valid_to` may be. Every mistake is named with its line.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from finops import money
from finops.checks import CURRENCY_PATTERN
from finops.errors import ConfigError, Issue
from finops.settings import Frozen, issues_of, suggestion

Price = Annotated[Decimal, Field(ge=0, max_digits=money.PRECISION, decimal_places=money.SCALE)]

_SEPARATORS = re.compile(r"[\s_-]+")


class Rate(Frozen):
    """The price of one `unit` of a SKU on the UTC days from `valid_from` until before `valid_to`.

    An empty `plan` holds for every plan that has no price of its own; an empty day for all time.
    `list_price` is the public price, where it is known.
    """

    sku_id: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    price: Price
    currency: str = Field(pattern=CURRENCY_PATTERN)
    plan: str | None = None
    list_price: Price | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _lasting(self) -> "Rate":
        if self.valid_from and self.valid_to and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is the first day without this price: put it later")
        return self

    def valid_on(self, day: date) -> bool:
        """Tell whether this is the price on `day`."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day < self.valid_to)

    def cost(self, quantity: Decimal) -> Decimal:
        """Price `quantity`, to 18 decimals."""
        return _product(quantity, self.price)

    def list_cost(self, quantity: Decimal) -> Decimal | None:
        """Price `quantity` at the list price; `None` when that is not known."""
        return None if self.list_price is None else _product(quantity, self.list_price)


_Key = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices by SKU, unit and plan; `name` is the file they were read from."""

    name: str
    rates: Mapping[_Key, tuple[Rate, ...]]

    def rate(self, sku_id: str, unit: str, plan: str | None, at: datetime) -> Rate | None:
        """Find the price on the UTC day of `at`: the plan's own, else that of every plan."""
        for wanted in dict.fromkeys((plan, None)):
            for rate in self.rates.get((sku_id, unit_key(unit), wanted), ()):
                if rate.valid_on(at.date()):
                    return rate
        return None

    def units(self, sku_id: str) -> tuple[str, ...]:
        """List the units in which `sku_id` has a price, whenever."""
        told = {
            rate.unit
            for (sku, _, _), rates in self.rates.items()
            for rate in rates
            if sku == sku_id
        }
        return tuple(sorted(told))

    @property
    def has_plans(self) -> bool:
        """Tell whether some price holds for one plan only."""
        return any(plan is not None for _, _, plan in self.rates)

    @property
    def currency(self) -> str | None:
        """Give the currency of all prices; `None` when they are in several."""
        found = {rate.currency for rates in self.rates.values() for rate in rates}
        return found.pop() if len(found) == 1 else None


def unit_key(unit: str) -> str:
    """Spell a unit so that `Instance-Hour`, `instance hours` and `INSTANCE_HOUR` are the same."""
    return _SEPARATORS.sub(" ", unit.strip().lower()).removesuffix("s")


def parse(content: bytes, name: str) -> RateCard:
    """Read a rate card; raises `ConfigError` naming every mistake with its line at once."""
    issues: list[Issue] = []
    lines: dict[_Key, list[tuple[int, Rate]]] = {}
    for line, cells in _rows(content, name):
        try:
            rate = Rate.model_validate({key: text for key, text in cells.items() if text})
        except ValidationError as error:
            issues += issues_of(error, f"{name}: line {line}", Rate)
        else:
            key = (rate.sku_id, unit_key(rate.unit), rate.plan)
            lines.setdefault(key, []).append((line, rate))
    for priced in lines.values():
        issues += _overlaps(priced, name)
    if issues:
        raise ConfigError.of(issues)
    return RateCard(name, {key: tuple(rate for _, rate in told) for key, told in lines.items()})


def _rows(content: bytes, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is no UTF-8 text; save it as CSV in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _demand_columns(header, name)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise ConfigError(
                    f"{name}: line {reader.line_num}: has {len(cells)} cells but the header has "
                    f"{len(header)}; give every column a cell, empty where there is nothing"
                )
            stripped = (cell.strip() for cell in cells)
            yield reader.line_num, dict(zip(header, stripped, strict=True))
    except csv.Error as error:
        raise ConfigError(f"{name}: line {reader.line_num}: is no CSV ({error})") from None


def _demand_columns(header: list[str], name: str) -> None:
    known = list(Rate.model_fields)
    issues = [
        Issue(f"{name}: line 1", f"unknown column {column!r}; {suggestion(column, known)}")
        for column in header
        if column not in known
    ]
    issues += [
        Issue(f"{name}: line 1", f"has the column {column!r} twice; keep one of them")
        for column in sorted({column for column in header if header.count(column) > 1})
    ]
    issues += [
        Issue(f"{name}: line 1", f"has no column {column!r}; add it, separated by commas")
        for column, field in Rate.model_fields.items()
        if field.is_required() and column not in header
    ]
    if issues:
        raise ConfigError.of(issues)


def _overlaps(priced: list[tuple[int, Rate]], name: str) -> Iterator[Issue]:
    """Refuse two prices of one day: which of them counts is anyone's guess."""
    in_order = sorted(priced, key=lambda told: (told[1].valid_from or date.min, told[0]))
    for (before_line, before), (line, rate) in itertools.pairwise(in_order):
        begins = rate.valid_from or date.min
        if before.valid_to is None or begins < before.valid_to:
            yield Issue(
                f"{name}: line {line}",
                f"prices {rate.sku_id} per {rate.unit} on days that line {before_line} prices "
                f"too; end the older price with valid_to, the first day of the newer one",
            )


def _product(quantity: Decimal, price: Decimal) -> Decimal:
    # Two numbers of 38 digits have a product of up to 76: it is rounded once, at its end.
    with localcontext(money.CONTEXT) as wide:
        wide.prec = 2 * money.PRECISION
        return (quantity * price).quantize(money.QUANTUM)
