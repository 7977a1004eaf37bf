"""Time windows, billing periods, and the partition: the unit that is replaced and diffed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from finops.errors import ConfigError

_PERIOD = re.compile(r"(19[7-9]|20\d|21\d)\d-(0[1-9]|1[0-2])")
"""The years that charges can lie in, see `finops.checks`."""
_KEY = re.compile(
    r"provider=(?P<provider>[^/]+)/source=(?P<source>[^/]+)"
    r"/period=(?P<period>[^/]+)/day=(?P<day>[^/]+)/part\.parquet$"
)


def parse_period(text: str) -> str:
    """Check a billing month such as `2026-10`; raises `ConfigError` on anything else."""
    if not _PERIOD.fullmatch(text):
        raise ConfigError(
            f"period {text!r} is not a month of 1970 to 2199; write it as YYYY-MM, such as 2026-10"
        )
    return text


def parse_day(text: str) -> date:
    """Read a UTC day such as `2026-10-01`; raises `ConfigError` on anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a day; write it as YYYY-MM-DD, such as 2026-10-01"
        ) from None


def period_of(day: date) -> str:
    """Name the calendar month that holds `day`."""
    return f"{day:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of UTC days: `start` is in it, `end` is not."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ConfigError(
                f"the window {self.start} to {self.end} is empty: the end day is not part of it, "
                f"so it must be later than the start"
            )

    @classmethod
    def of_period(cls, period: str) -> "Window":
        """Cover the month `period`."""
        first = date.fromisoformat(f"{parse_period(period)}-01")
        return cls(first, (first + timedelta(days=32)).replace(day=1))

    @property
    def start_at(self) -> datetime:
        return datetime.combine(self.start, datetime.min.time(), UTC)

    @property
    def end_at(self) -> datetime:
        return datetime.combine(self.end, datetime.min.time(), UTC)

    def days(self) -> Iterator[date]:
        for offset in range((self.end - self.start).days):
            yield self.start + timedelta(days=offset)

    def periods(self) -> tuple[str, ...]:
        """Name the months the window touches, in order."""
        return tuple(dict.fromkeys(period_of(day) for day in self.days()))

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """(source, billing period, charge day).

    The billing period is part of it because one usage day can be billed in two months: a
    correction that arrives in November for an October day must not replace October's rows.
    """

    provider: str
    source: str
    period: str
    day: date

    @property
    def path(self) -> str:
        return (
            f"provider={self.provider}/source={self.source}"
            f"/period={self.period}/day={self.day.isoformat()}"
        )

    def key(self, table: str) -> str:
        """Name the Parquet object that holds this partition of `table`."""
        return f"{table}/{self.path}/part.parquet"

    @classmethod
    def from_key(cls, key: str) -> "Partition | None":
        """Read a partition back from an object's key; `None` when it is not one."""
        match = _KEY.search(key)
        if match is None:
            return None
        return cls(
            match["provider"], match["source"], match["period"], date.fromisoformat(match["day"])
        )

    def touches(self, window: Window) -> bool:
        """Tell whether its day or its billing period lies in `window`.

        Either suffices: the October bill holds September days, and the run for either month
        must not leave them out.
        """
        return window.start <= self.day < window.end or self.period in window.periods()
