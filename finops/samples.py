"""What a source looked like at a time: for a provider that tells only what is now.

A note names the raw objects that were seen together. Notes lie below the day they were made, and a
mark for each day tells that there are some: what a run reads grows with the days it asks for, and
by one mark with each day of history.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256

from finops.errors import DataError
from finops.raw import RawObject, RawStore

SAMPLES = "samples"
_DAYS = "days"
_AT = "%Y-%m-%dT%H:%M:%S.%fZ"  # sorts by its time, and begins with its day
_DAY_CHARACTERS = len("2026-10-03")


class Samples:
    """The samples of one source, in the warehouse of `store`."""

    def __init__(self, store: RawStore, source: str) -> None:
        self._store = store
        self._warehouse = store.warehouse
        self._source = source
        self._older_place = f"{SAMPLES}/source={source}/"
        self._marks = f"{SAMPLES}/{_DAYS}/source={source}/"

    def remember(self, at: datetime, sample: Sequence[RawObject]) -> None:
        """Note that these kept objects are what the source looked like at `at`.

        A sample stays, also when the delivery it came with is refused: it can not be had again.
        """
        if not sample:
            return
        note = json.dumps([asdict(kept) for kept in sample], sort_keys=True, indent=1).encode()
        key = self._key(f"{at.astimezone(UTC):{_AT}}/{sha256(note).hexdigest()[:16]}.json")
        if not self._warehouse.exists(key):
            self._warehouse.replace(key, note)
        self._store.spare(sample)

    def between(self, start: datetime, end: datetime) -> list[RawObject]:
        """Give what was remembered from `start` until before `end`, oldest first.

        The last sample before `start` and the first one from `end` on are given too: they tell
        how things stood at the edges. Raises `DataError` for a note that cannot be read.
        """
        self._move_older_notes()
        first, last = (f"{time.astimezone(UTC):{_AT}}" for time in (start, end))
        notes = self._around(first, last)
        times = sorted({_time(key) for key in notes})
        from_place = max(bisect_left(times, first) - 1, 0)
        chosen = set(times[from_place : bisect_left(times, last) + 1])
        return [kept for key in notes if _time(key) in chosen for kept in self._noted(key)]

    def _around(self, first: str, last: str) -> list[str]:
        """List the notes of the days from `first` to `last`, and of the next ones with an edge."""
        days = [key.removeprefix(self._marks) for key in self._warehouse.list(self._marks)]
        low = bisect_left(days, first[:_DAY_CHARACTERS])
        high = bisect_right(days, last[:_DAY_CHARACTERS])
        notes = [key for day in days[low:high] for key in self._of_day(day)]
        if not notes or _time(notes[0]) >= first:
            notes = self._nearest(reversed(days[:low])) + notes
        if not notes or _time(notes[-1]) < last:
            notes = notes + self._nearest(days[high:])
        return notes

    def _nearest(self, days: Iterable[str]) -> list[str]:
        return next((notes for day in days if (notes := self._of_day(day))), [])

    def _of_day(self, day: str) -> list[str]:
        return list(self._warehouse.list(f"{SAMPLES}/day={day}/source={self._source}/"))

    def _key(self, place: str) -> str:
        """Name a note by its time and its name; its day is marked before it is there."""
        day = place[:_DAY_CHARACTERS]
        mark = f"{self._marks}{day}"
        if not self._warehouse.exists(mark):
            self._warehouse.create(mark, b"")
        return f"{SAMPLES}/day={day}/source={self._source}/{place}"

    def _move_older_notes(self) -> None:
        """Bring notes of before there were days in their keys to where they are looked for."""
        for key in list(self._warehouse.list(self._older_place)):
            self._warehouse.move(key, self._key(key.removeprefix(self._older_place)))

    def _noted(self, key: str) -> list[RawObject]:
        try:
            told = json.loads(self._warehouse.read(key))
            # An older note holds one object by itself.
            first, *others = told if isinstance(told, list) else [told]
            return [RawObject(**each) for each in (first, *others)]
        except (ValueError, TypeError):
            raise DataError(
                f"{key}: is no note of a kept sample any more; restore it from a backup, or remove "
                f"it to go on without what was seen at that time"
            ) from None


def _time(key: str) -> str:
    return key.split("/")[-2]
