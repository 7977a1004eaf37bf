"""What BigQuery says a billing table holds: rows, money and last export of each day."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops.checks import NO_CURRENCY
from finops.errors import DataError
from finops.reconciliation import Stated
from providers.gcp_spool import DayFile

if TYPE_CHECKING:
    from providers.gcp_bigquery import Answer

# BigQuery adds doubles in whatever order: each addition may be off by half a unit in the last of
# 53 bits of what it has so far.
_OF_ONE_ADDITION = Decimal(2) ** -53
_LEAST = Decimal("0.000001")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Day:
    """One usage day and invoice month: rows, and the time of its last export."""

    day: str
    month: str
    rows: int
    exported_us: int | None

    @property
    def key(self) -> tuple[str, str]:
        return self.day, self.month


@dataclass(frozen=True, slots=True)
class Days:
    """All days of one answer, with money by currency."""

    all: tuple[Day, ...]
    billed: dict[str, Decimal]
    turnover: Decimal
    lines: tuple[tuple[str | None, ...], ...]

    @classmethod
    def read(cls, answer: "Answer", table: str) -> "Days":
        """Read the answer to `gcp_queries.totals`; raises `DataError` for anything else."""
        lines = tuple(tuple(row) for page in answer.pages for row in page)
        found: dict[tuple[str, str], Day] = {}
        billed: dict[str, Decimal] = {}
        turnover = Decimal(0)
        try:
            for day, month, currency, rows, cost, credits_, moved, exported in lines:
                key = (day or "", month or "")
                before = found.get(key, Day(*key, 0, 0))
                found[key] = Day(*key, before.rows + int(rows or 0), _later(before, exported))
                code = currency or NO_CURRENCY
                amount = Decimal(cost or 0) + Decimal(credits_ or 0)
                billed[code] = billed.get(code, Decimal(0)) + amount
                turnover += Decimal(moved or 0) + abs(Decimal(credits_ or 0))
        except (ValueError, ArithmeticError):
            raise DataError(
                f"{table}: BigQuery answered totals of an unknown shape; report this with the "
                f"table's kind"
            ) from None
        return cls(tuple(found[key] for key in sorted(found)), billed, turnover, lines)

    @property
    def until(self) -> datetime:
        """Tell when the last row was exported; what comes later is for the next run."""
        last = max((day.exported_us or 0 for day in self.all), default=0)
        return _EPOCH + timedelta(microseconds=last)

    def stated(self, what: str, raw_ids: frozenset[str]) -> tuple[Stated, ...]:
        """Give rows and money as totals to hold the charges against."""
        rows = sum(day.rows for day in self.all)
        tolerance = max(_LEAST, self.turnover * rows * _OF_ONE_ADDITION)
        return (Stated(what, raw_ids, rows, self.billed, tolerance),) if rows else ()

    def holds_all(self, file: DayFile) -> bool:
        """Tell whether a file has as many rows as were counted, and none of an unknown time."""
        told = {day.key: day for day in self.all}.get((file.day, file.month))
        return told is not None and told.exported_us is not None and told.rows == file.rows

    def as_json(self) -> bytes:
        """Write the answer, one line a day, to be kept as evidence."""
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def day_name(table: str, day: Day, selected: Sequence[tuple[str, str]]) -> str:
    """Name a day's rows by all that decides them: rows are only ever added, at a later time."""
    asked = hashlib.sha256(json.dumps(list(selected)).encode()).hexdigest()[:12]
    return (
        f"{table}/invoice={day.month}/day={day.day}/rows={day.rows}"
        f"/exported={day.exported_us}/columns={asked}"
    )


def _later(before: Day, exported: str | None) -> int | None:
    """Take the later time; a group of which it is unknown makes it unknown for the day."""
    if exported is None or before.exported_us is None:
        return None
    return max(before.exported_us, int(exported))
