"""The month, its days and hours, and how busy the company is in them.

There is no clock and no random state: every irregularity is a hash of the seed and of what it is
about, so that changing one bill leaves the others as they are.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

SEED = "northlight-2026-10"
PERIOD = "2026-10"
START = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HOURS_A_DAY = 24

_SATURDAY = 5
_HASH_VALUES = 1 << 32
_CENT = Decimal("0.01")


def days() -> list[datetime]:
    """List the month's midnights, UTC."""
    return [START + DAY * place for place in range((END - START) // DAY)]


def hours(first: datetime = START, end: datetime = END) -> list[datetime]:
    """List the full hours from `first` until `end`."""
    return [first + HOUR * place for place in range((end - first) // HOUR)]


def on(day: int, hour: int = 0) -> datetime:
    """Give an hour of the month's `day`."""
    return START + DAY * (day - 1) + HOUR * hour


def is_weekend(time: datetime) -> bool:
    """Tell whether it is Saturday or Sunday."""
    return time.weekday() >= _SATURDAY


def noise(*about: object) -> Decimal:
    """Give a number from 0 up to 1 with four decimals, always the same for the same subject."""
    text = "|".join(map(str, (SEED, *about)))
    value = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return (Decimal(value) / _HASH_VALUES).quantize(Decimal("0.0001"))


def around(value: Decimal, *about: object, percent: int = 9) -> Decimal:
    """Give `value`, moved up or down by at most `percent`."""
    return value * (1 + (2 * noise(*about) - 1) * percent / 100)


def steady(_: datetime) -> Decimal:
    """Give the hours of what runs around the clock."""
    return Decimal(HOURS_A_DAY)


def office(day: datetime, about: str) -> Decimal:
    """Give the hours of what runs while people work, and for a job or two at weekends."""
    usual = Decimal(2) if is_weekend(day) else Decimal(11)
    return around(usual, "office", about, day.day, percent=15).quantize(_CENT)


def nightly(day: datetime, about: str) -> Decimal:
    """Give the hours of what runs from evening to morning, and longer at weekends."""
    usual = Decimal(19) if is_weekend(day) else Decimal(13)
    return around(usual, "nightly", about, day.day, percent=12).quantize(_CENT)
