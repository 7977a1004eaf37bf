"""Dimension sets: the distinct combinations of what rules look at, factorised by column.

Each condition is tried on the distinct values of its own column or tag, and the answer gathered
for the combinations.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from finops import conditions, focus
from finops.conditions import Condition
from finops.organization import Organization
from finops.rulebook import VIRTUAL

CONSTANTS = frozenset({"provider", "source"})
"""What all charges of a partition have in common."""


@dataclass(frozen=True, slots=True)
class Values:
    """One column or tag of the dimension sets: its distinct values and each set's place in them."""

    distinct: list[str | None]
    codes: pl.Series

    def mask(self, condition: Condition) -> pl.Series | None:
        """Tell for every dimension set whether its value meets `condition`; `None` if none does.

        Most rules match none of the few sets that are new in a later partition.
        """
        held = conditions.held(condition, self.distinct)
        return pl.Series(held, dtype=pl.Boolean).gather(self.codes) if any(held) else None

    def at(self, row: int) -> str | None:
        """Return the value of one dimension set."""
        return self.distinct[int(self.codes[row])]

    def series(self) -> pl.Series:
        """Return the value of every dimension set."""
        return pl.Series(self.distinct, dtype=pl.String).gather(self.codes)


class DimensionSets:
    """The distinct combinations, with each column and tag factorised the first time it is asked.

    `dimensions` holds columns as `stored_in` names them, each combination once or more often.
    """

    def __init__(
        self, dimensions: pl.DataFrame, organization: Organization, constants: Mapping[str, str]
    ) -> None:
        self._dimensions = dimensions
        self._organization = organization
        self._constants = constants
        self._values: dict[str, Values] = {}
        self._json: dict[str, tuple[list[Mapping[str, object]], pl.Series]] = {}

    def __len__(self) -> int:
        return len(self._dimensions)

    def values(self, name: str) -> Values:
        """Return what a column or tag holds."""
        if name not in self._values:
            self._values[name] = self._factorised(name)
        return self._values[name]

    def matching(self, match: Mapping[str, Condition]) -> pl.Series | None:
        """Tell for every set whether it meets every condition; `None` when none does."""
        matched: pl.Series | None = None
        for name, condition in match.items():
            mask = self.values(name).mask(condition)
            if mask is None:
                return None
            matched = mask if matched is None else matched & mask
        return self._all() if matched is None else matched

    def looked_up(self, name: str, lookup: str | None = None) -> pl.Series:
        """Find the cost center that the value of `name` means, or null, for every set."""
        values = self.values(name)
        found = [
            self._organization.meant(value, lookup) if value else None for value in values.distinct
        ]
        return pl.Series(found, dtype=pl.String).gather(values.codes)

    def _all(self) -> pl.Series:
        return pl.repeat(value=True, n=len(self), dtype=pl.Boolean, eager=True)

    def _factorised(self, name: str) -> Values:
        if name in self._constants:
            same = pl.repeat(0, len(self), dtype=pl.Int64, eager=True)
            return Values([self._constants[name]], same)
        head, _, key = name.partition(".")
        if head == VIRTUAL:
            return Values(*_codes(self._virtual(key)))
        stored = stored_in(name)
        if stored == name:
            return Values(*_codes(self._dimensions.get_column(name)))
        key = name.removeprefix(f"{stored}.")
        if stored not in self._json:
            texts, codes = _codes(self._dimensions.get_column(stored))
            self._json[stored] = ([_object(text) for text in texts], codes)
        objects, codes = self._json[stored]
        distinct, places = _codes(
            pl.Series([_text_of(each.get(key)) for each in objects], dtype=pl.String)
        )
        return Values(distinct, places.gather(codes))

    def _virtual(self, tag: str) -> pl.Series:
        """Compute a virtual tag: the first of its lines that a set meets gives the value."""
        found = pl.repeat(None, len(self), dtype=pl.String, eager=True)
        for line in self._organization.virtual_tags[tag]:
            matching = self.matching(line.match)
            if matching is None:
                continue
            if line.value_from is None:
                given = pl.Series([line.value], dtype=pl.String)
            else:
                given = self.values(line.value_from).series()
            found = given.zip_with(matching & found.is_null(), found)
        return found


def stored_in(name: str) -> str:
    """Name the FOCUS column that holds `Tags.team`, `x_Other` or a plain column."""
    head, dot, _ = name.partition(".")
    if dot:
        return head
    unknown = name.startswith("x_") and name not in focus.BY_NAME
    return focus.SOURCE_COLUMNS if unknown else name


def stored_columns(names: Iterable[str], organization: Organization) -> set[str]:
    """List the FOCUS columns that are needed to know `names`, virtual tags among them."""
    found: set[str] = set()
    for name in names:
        head, _, tag = name.partition(".")
        if head == VIRTUAL:
            lines = organization.virtual_tags[tag]
            inner = (column for line in lines for column in line.columns)
            found |= stored_columns(inner, organization)
        elif name not in CONSTANTS:
            found.add(stored_in(name))
    return found


def _codes(column: pl.Series) -> tuple[list[str | None], pl.Series]:
    distinct = column.unique(maintain_order=True)
    places = pl.DataFrame({"value": distinct, "code": pl.int_range(len(distinct), eager=True)})
    codes = column.to_frame("value").join(
        places, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    return distinct.to_list(), codes.get_column("code")


def _object(text: str | None) -> Mapping[str, object]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _text_of(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
