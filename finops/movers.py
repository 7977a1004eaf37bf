"""What changed most: cost centers and services now against an earlier stretch of equal length."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

import polars as pl

from finops import money
from finops.partition import Window, period_of

MOST_OF_A_KIND = 5
UNALLOCATED = "Unallocated"
_NONE = Decimal(0)


class Subject(StrEnum):
    """What moved: a cost center or a service."""

    COST_CENTER = "cost center"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Mover:
    """The spend of one cost center (its own only) or service, before and after."""

    subject: Subject
    name: str
    before: Decimal
    after: Decimal

    @property
    def change(self) -> Decimal:
        """How much more was spent after than before."""
        return money.CONTEXT.subtract(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which stretches are compared, in words, and why these."""

    after: str
    before: str
    reason: str


def period_before(period: str) -> str:
    """Name the month before `period`."""
    return period_of(Window.of_period(period).start - timedelta(days=1))


def compare(
    cube: pl.DataFrame, cube_before: pl.DataFrame, period: str, last_day: date | None
) -> tuple[Comparison | None, dict[str, tuple[Mover, ...]]]:
    """Find the top movers of each currency, and say what is compared.

    Both cubes have `currency`, `day`, `service_provider`, `service`, `cost_center`, `spent`, and
    `is_lasting` for charges of many days, which count on their first.
    The month stands against the one before; an incomplete month against as many days of it.
    Without an earlier month, the second half of the days stands against the first. Nothing is
    compared before the second day.
    """
    if last_day is None:
        return None, {}
    if cube_before.height:
        comparison, before, after = _with_month_before(cube, cube_before, period, last_day)
    elif last_day.day > 1:
        comparison, before, after = _halves(cube, last_day)
    else:
        return None, {}
    return comparison, _movers(before, after)


def _with_month_before(
    cube: pl.DataFrame, cube_before: pl.DataFrame, period: str, last_day: date
) -> tuple[Comparison, pl.DataFrame, pl.DataFrame]:
    month, earlier = Window.of_period(period), Window.of_period(period_before(period))
    if last_day + timedelta(days=1) == month.end:
        comparison = Comparison(f"{month.start:%B %Y}", f"{earlier.start:%B %Y}", "")
        return comparison, cube_before, cube
    days = last_day.day
    stretch = "the first day of" if days == 1 else f"the first {days} days of"
    comparison = Comparison(
        f"{stretch} {month.start:%B %Y}",
        f"{stretch} {earlier.start:%B %Y}",
        "the month is not complete yet",
    )
    return comparison, _first_days(cube_before, earlier, days), _first_days(cube, month, days)


def _first_days(cube: pl.DataFrame, month: Window, days: int) -> pl.DataFrame:
    return _between(cube, month.start, month.start + timedelta(days=days - 1))


def _halves(cube: pl.DataFrame, last_day: date) -> tuple[Comparison, pl.DataFrame, pl.DataFrame]:
    """Compare equal numbers of days: of an odd number, the middle one counts for neither.

    A monthly fee stands on the first day and would seem to have gone; so it counts for neither.
    """
    cube = cube.filter(~pl.col("is_lasting"))
    half = last_day.day // 2
    first, second = last_day.replace(day=1), last_day - timedelta(days=half - 1)
    end_of_first = first + timedelta(days=half - 1)
    comparison = Comparison(
        f"{second.day} to {last_day.day} {last_day:%B}",
        f"{first.day} to {end_of_first.day} {last_day:%B}",
        "the ledger holds nothing of the month before; fees for many days are left out",
    )
    return comparison, _between(cube, first, end_of_first), _between(cube, second, last_day)


def _between(cube: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    return cube.filter(pl.col("day").is_between(first, last))


def _movers(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, tuple[Mover, ...]]:
    names = {
        Subject.COST_CENTER: pl.col("cost_center").fill_null(UNALLOCATED),
        Subject.SERVICE: pl.concat_str(
            ["service_provider", "service"], separator=": ", ignore_nulls=True
        ),
    }
    found: dict[str, tuple[Mover, ...]] = defaultdict(tuple)
    for subject, name in names.items():
        for currency, movers in _of_subject(subject, name, before, after):
            found[currency] += movers
    return dict(found)


def _of_subject(
    subject: Subject, name: pl.Expr, before: pl.DataFrame, after: pl.DataFrame
) -> Iterator[tuple[str, tuple[Mover, ...]]]:
    earlier, later = _by_name(before, name), _by_name(after, name)
    moved: dict[str, list[Mover]] = defaultdict(list)
    for currency, key in sorted({*earlier, *later}):
        mover = Mover(
            subject, key, earlier.get((currency, key), _NONE), later.get((currency, key), _NONE)
        )
        if mover.change:
            moved[currency].append(mover)
    for currency, movers in moved.items():
        largest_first = sorted(movers, key=lambda mover: (-abs(mover.change), mover.name))
        yield currency, tuple(largest_first[:MOST_OF_A_KIND])


def _by_name(cube: pl.DataFrame, name: pl.Expr) -> dict[tuple[str, str], Decimal]:
    sums = cube.group_by("currency", name.alias("name")).agg(pl.col("spent").sum())
    return {(currency, key): spent for currency, key, spent in sums.iter_rows()}
