"""What the company runs, as tables: one row is a resource, or several that are alike."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from northlight import month
from northlight.line import Gpus, Price

_FOLDER = Path(__file__).parent / "resources"
_GROWTH_PERCENT = 3
_QUANTUM = Decimal("1e-6")
_EVENING = 18


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that is charged: units of its meter at a price, on the days it exists."""

    id: str
    account_id: str
    account: str
    service: str
    category: str
    subcategory: str
    meter: str
    unit: str
    price: Price
    pattern: str
    first_day: int
    last_day: int
    owner: str | None
    tags: str
    gpus: Gpus | None

    @property
    def is_covered(self) -> bool:
        """Tell whether a commitment has paid for it."""
        return self.price.billed != self.price.contracted

    def exists(self, day: datetime) -> bool:
        """Tell whether it is there on `day`."""
        return self.first_day <= day.day <= self.last_day

    def quantity(self, day: datetime) -> Decimal:
        """Tell how many units a day takes, by the pattern of the table.

        `steady`, `office` and `nightly` are hours; `busy A B` is about A on a weekday and B at
        weekends; `night A B N` likewise in whole hours, N units in each; `stored G` is a day's
        part of G units a month that grow a little.
        """
        kind, *numbers = self.pattern.split()
        match kind:
            case "steady":
                return month.steady(day)
            case "office":
                return month.office(day, self.id)
            case "nightly":
                return month.nightly(day, self.id)
            case "stored":
                return _stored(Decimal(numbers[0]), day)
            case "busy" | "night":
                usual = Decimal(numbers[month.is_weekend(day)])
                quantum = _QUANTUM if kind == "busy" else Decimal(1)
                return month.around(usual, self.id, day.day).quantize(quantum)
            case _:
                raise ValueError(f"{self.id}: there is no pattern {self.pattern!r}")

    @property
    def units_an_hour(self) -> int:
        """Tell how many units of a `night` pattern each hour takes: cores, GiB or GPUs."""
        return int(self.pattern.split()[-1])

    def night_hours(self, day: datetime) -> list[datetime]:
        """List the hours of a `night` pattern: the ones before the day's end, then earlier ones."""
        length = min(int(self.quantity(day)), month.HOURS_A_DAY)
        first = min(_EVENING, month.HOURS_A_DAY - length)
        return month.hours(day + month.HOUR * first, day + month.HOUR * (first + length))


def load(table: str) -> list[Resource]:
    """Read `resources/<table>.csv`; a count of 3 makes `id-1`, `id-2` and `id-3`."""
    with (_FOLDER / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return [
            _resource(row, place)
            for row in csv.DictReader(file)
            for place in range(1, int(row["count"]) + 1)
        ]


def tags(text: str) -> dict[str, str]:
    """Read `team=sim;env=prod`."""
    return dict(pair.split("=", 1) for pair in text.split(";") if pair)


def _stored(amount: Decimal, day: datetime) -> Decimal:
    """Give a day's part of a monthly amount that grows by `_GROWTH_PERCENT` until the end."""
    days = len(month.days())
    grown = amount * (1 + Decimal(_GROWTH_PERCENT * day.day) / (100 * days))
    return (grown / days).quantize(_QUANTUM)


def _resource(row: Mapping[str, str], place: int) -> Resource:
    first, _, last = row["days"].partition("-")
    return Resource(
        id=row["id"] if row["count"] == "1" else f"{row['id']}-{place}",
        account_id=row["account_id"],
        account=row["account"],
        service=row["service"],
        category=row["category"],
        subcategory=row["subcategory"],
        meter=row["meter"],
        unit=row["unit"],
        price=_price(row),
        pattern=row["pattern"],
        first_day=int(first or 1),
        last_day=int(last or len(month.days())),
        owner=row["owner"] or None,
        tags=row["tags"],
        gpus=Gpus(row["gpu_model"], int(row["gpu_count"])) if row["gpu_model"] else None,
    )


def _price(row: Mapping[str, str]) -> Price:
    if row["effective_price"]:
        return Price.covered(row["list_price"], row["effective_price"])
    return Price.of(row["list_price"], row["agreed_price"] or None)
