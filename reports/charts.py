"""Where the shapes of a chart go: money in, positions out. The templates draw them as SVG.

Positions are decimal text with two places, so that the same figures give the same bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from finops import money
from finops.budgets import BudgetStatus
from finops.statement import CurrencyStatement

COLOURS = 6
"""How many series have a colour of their own; the dearest get one, the rest share `other`."""
HEIGHT = Decimal(100)
DAY_WIDTH = 10
_STEPS = (
    Decimal(1),
    Decimal("1.5"),
    Decimal(2),
    Decimal(3),
    Decimal(4),
    Decimal(5),
    Decimal(8),
    Decimal(10),
)
_SATURDAY = 5
_SCALE_LEAST, _SCALE_MOST = Decimal(125), Decimal(200)
_MARGIN = Decimal("1.04")
_HUNDRED = Decimal(100)
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Segment:
    """One provider's part of a day's column."""

    series: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """One day: its place, its segments, and what a pointer resting on it is told."""

    x: int
    day: date
    is_weekend: bool
    segments: tuple[Segment, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class Trend:
    """The daily spend as stacked columns, in a box `width` wide and 100 high."""

    width: int
    top: Decimal
    bottom: Decimal
    zero: str
    columns: tuple[Column, ...]
    legend: tuple[tuple[int, str], ...]


def trend(block: CurrencyStatement) -> Trend:
    """Lay out the days of a month; credits hang below the zero line."""
    above = [_sum(amount for amount in line.by_provider if amount > 0) for line in block.days]
    below = [_sum(-amount for amount in line.by_provider if amount < 0) for line in block.days]
    top, bottom = _round_up(max(above, default=_NONE)), -_round_up(max(below, default=_NONE))
    span = (top - bottom) or Decimal(1)
    columns = tuple(
        Column(
            x=number * DAY_WIDTH,
            day=line.day,
            is_weekend=line.day.weekday() >= _SATURDAY,
            segments=tuple(_segments(line.by_provider, top, span)),
            total=line.total,
        )
        for number, line in enumerate(block.days)
    )
    zero = _at(top * HEIGHT / span)
    return Trend(
        len(columns) * DAY_WIDTH, top, bottom, zero, columns, tuple(_legend(block.providers))
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, _NONE)


def _segments(amounts: Sequence[Decimal], top: Decimal, span: Decimal) -> Iterator[Segment]:
    """Stack from the zero line: costs upwards, credits downwards."""
    above, below = _NONE, _NONE
    for number, amount in enumerate(amounts):
        if amount > 0:
            above += amount
            upper = above
        else:
            upper = below
            below += amount
        if amount:
            y, height = (top - upper) * HEIGHT / span, abs(amount) * HEIGHT / span
            yield Segment(min(number, COLOURS), _at(y), _at(height))


def _legend(providers: Sequence[str]) -> Iterator[tuple[int, str]]:
    yield from enumerate(providers[:COLOURS])
    rest = providers[COLOURS:]
    if rest:
        yield COLOURS, rest[0] if len(rest) == 1 else f"{len(rest)} others"


def _round_up(value: Decimal) -> Decimal:
    """Find the next number an axis can well end at; 0 for 0."""
    if value <= 0:
        return _NONE
    power = Decimal(1).scaleb(value.adjusted())
    return next(step * power for step in _STEPS if step * power >= value)


@dataclass(frozen=True, slots=True)
class BudgetBar:
    """A budget as a bar in a box 100 wide: its length, and where 100 % and the forecast are."""

    status: BudgetStatus
    fill: str
    limit: str
    forecast: str | None


def budget_bars(statuses: Sequence[BudgetStatus]) -> tuple[BudgetBar, ...]:
    """Lay out budgets on one scale of percent, so that their 100 % marks stand in a line."""
    reached = (max(status.percent, _forecast_percent(status) or _NONE) for status in statuses)
    scale = min(max([_SCALE_LEAST, *(each * _MARGIN for each in reached)]), _SCALE_MOST)
    return tuple(_budget_bar(status, scale) for status in statuses)


def _budget_bar(status: BudgetStatus, scale: Decimal) -> BudgetBar:
    forecast = _forecast_percent(status)
    return BudgetBar(
        status,
        fill=portion(status.percent, scale),
        limit=portion(_HUNDRED, scale),
        forecast=None if forecast is None else portion(forecast, scale),
    )


def _forecast_percent(status: BudgetStatus) -> Decimal | None:
    if status.forecast is None:
        return None
    return money.CONTEXT.divide(status.forecast, status.amount) * _HUNDRED


def portion(part: Decimal, whole: Decimal) -> str:
    """Give the length of a bar, 0 to 100, for `part` of `whole`."""
    if whole <= 0:
        return "0"
    return _at(min(max(part * _HUNDRED / whole, _NONE), _HUNDRED))


def _at(value: Decimal) -> str:
    return money.text(value.quantize(Decimal("0.01")))
