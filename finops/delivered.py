"""Rules about a bill as it was delivered: its columns, their types, and how values are written.

All else is judged after `finops.normalize` and `finops.batches` have mended what they can; what
is mended in silence there is said here.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from finops import checks, focus, normalize, specification, vocabulary
from finops.errors import Severity
from finops.focus import Column, Kind

FORM = "form of "
"""What a column is called that says which values of another one are written in another form."""

NO_OBJECT = "is no JSON object in braces, though it can be read as one"
NESTED = "holds a list or an object where FOCUS wants plain values"
TWICE = "holds a key twice"
FOREIGN_KEY = "has a property that FOCUS does not define and that does not begin with x_"
WRONG_TYPE = "has a property of another type than FOCUS defines"

KEY_VALUES = ("AllocatedTags", "SkuPriceDetails", "Tags")
"""JSON columns whose values are text, numbers, truths or nulls."""

_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"
_NUMBERS = {Kind.MONEY, Kind.PRICE, Kind.QUANTITY}
ABSENT = "is not among the columns"
_UNNAMED = "are unknown to FOCUS, and their names do not begin with x_"
_TYPES = {
    Kind.TEXT: "is delivered as another type than text",
    Kind.JSON: "is delivered as another type than text or a map",
    Kind.TIME: "is delivered as another type than a time",
}
_FORMS = {
    Kind.TIME: "is not written as 2026-10-01T00:00:00Z",
    Kind.MONEY: "is written with a plus sign",
}
_NUMBER_TYPE = "is delivered as another type than a number"
OTHER_COLUMNS = "other columns"

Rule = tuple[str, Severity, str]
"""Column, severity, and what is wrong."""


def _kind(column: Column) -> Kind:
    return Kind.MONEY if column.kind in _NUMBERS else column.kind


def columns() -> list[Column]:
    """List the columns of FOCUS 1.0 to 1.4 by their names in a bill."""
    old = [
        Column(name, Kind.TEXT, "0.5", focus.BY_NAME[kept].meaning)
        for name, kept in normalize.RENAMED.items()
    ]
    return [*focus.COST_AND_USAGE, *old]


def rules() -> list[Rule]:
    """List the rules of this module, in the order in which they are shown."""
    warning = Severity.WARNING
    found: list[Rule] = [
        (name, Severity.FATAL if name in normalize.CORE else warning, ABSENT)
        for name in specification.MANDATORY
    ]
    for column in columns():
        kind = _kind(column)
        found.append((column.name, warning, _TYPES.get(kind, _NUMBER_TYPE)))
        if kind in _FORMS:
            found.append((column.name, warning, _FORMS[kind]))
        if kind is Kind.JSON:
            found.append((column.name, warning, NO_OBJECT))
            found.append((column.name, warning, TWICE))
        if column.name in KEY_VALUES:
            found.append((column.name, warning, NESTED))
    found += [("SkuPriceDetails", warning, said) for said in (FOREIGN_KEY, WRONG_TYPE)]
    found.append((OTHER_COLUMNS, warning, _UNNAMED))
    return found


def of_schema(
    schema: Mapping[str, pl.DataType], given: Mapping[str, str], version: str
) -> set[str]:
    """Name the rules about columns and types that a bill of FOCUS `version` breaks as a whole.

    `given` maps canonical names to those in `schema`, see `normalize.matched`.
    """
    broken = {
        f"{name}: {ABSENT}"
        for name in specification.MANDATORY
        if specification.stored_as(name) not in given and specification.is_of_version(name, version)
    }
    for column in columns():
        name = given.get(specification.stored_as(column.name))
        if name is not None and not _fits(_kind(column), schema[name]):
            broken.add(f"{column.name}: {_TYPES.get(_kind(column), _NUMBER_TYPE)}")
    return broken


def unknown_columns(schema: Mapping[str, pl.DataType], given: Mapping[str, str]) -> list[str]:
    """Name the columns that FOCUS does not know and that do not say so by their name."""
    known = {*given.values(), normalize.GIVEN_ROW}
    return sorted(name for name in schema if name not in known and not name.startswith("x_"))


def _fits(kind: Kind, dtype: pl.DataType) -> bool:
    if dtype in {pl.String, pl.Null, pl.Binary} or isinstance(dtype, pl.Categorical | pl.Enum):
        return True  # text of a CSV; whether it is a number or a time is asked of each value
    match kind:
        case Kind.JSON:
            return isinstance(dtype, pl.Struct | pl.Map | pl.List)
        case Kind.TIME:
            return isinstance(dtype, pl.Datetime)
        case Kind.MONEY:
            return dtype.is_numeric()
        case _:
            return False


def forms(schema: Mapping[str, pl.DataType], given: Mapping[str, str]) -> list[pl.Expr]:
    """Mark the values of text columns that are written in another form than FOCUS demands."""
    marks = []
    for column in focus.COST_AND_USAGE:
        name = given.get(column.name)
        if name is None or schema[name] != pl.String:
            continue
        if column.kind is Kind.TIME:
            is_other = pl.col(name).str.contains(_TIME).not_()
        elif column.kind in _NUMBERS:
            is_other = pl.col(name).str.starts_with("+")
        else:
            continue
        marks.append(is_other.alias(FORM + column.name))
    return marks


def form_rule(column: str) -> str:
    """Name the rule that a marked value of `column` breaks."""
    return f"{column}: {_FORMS[_kind(focus.BY_NAME[column])]}"


class _Pairs(tuple[tuple[str, Any], ...]):
    """A JSON object with its keys as they stand, also those that stand twice."""

    __slots__ = ()


@functools.lru_cache(maxsize=1 << 16)
def json_faults(column: str, text: str, *, is_text: bool) -> tuple[str, ...]:
    """Say what is wrong with the JSON of one value.

    `is_text` is false for maps and structs, which have become JSON on the way here.
    """
    try:
        normalize.canonical_json(text)
    except (ValueError, KeyError, TypeError, RecursionError):
        return (checks.BAD_JSON,)
    is_object = text.lstrip().startswith("{")
    pairs = _pairs(text)
    keys = [key for key, _ in pairs]
    faults = [NO_OBJECT] if is_text and not is_object else []
    faults += [TWICE] if len(set(keys)) < len(keys) else []
    if column in KEY_VALUES and any(isinstance(value, list | _Pairs) for _, value in pairs):
        faults.append(NESTED)
    if column == "SkuPriceDetails":
        faults += [FOREIGN_KEY] if any(map(_is_foreign, keys)) else []
        faults += [WRONG_TYPE] if any(_is_wrong(key, value) for key, value in pairs) else []
    return tuple(faults)


def _pairs(text: str) -> list[tuple[str, Any]]:
    """Read what `normalize.canonical_json` reads, with the keys as they stand."""
    stripped = text.strip()
    braced = stripped if stripped[:1] in {"{", "["} else f"{{{stripped}}}"
    found = json.loads(braced, object_pairs_hook=_Pairs)
    if isinstance(found, _Pairs):
        return list(found)
    return [(dict(pair)["key"], dict(pair)["value"]) for pair in found]


def _is_foreign(key: str) -> bool:
    is_defined = key in vocabulary.SKU_NUMBERS or key in vocabulary.SKU_TEXTS
    return not is_defined and not key.startswith("x_")


def _is_wrong(key: str, value: object) -> bool:
    if key in vocabulary.SKU_NUMBERS:
        return isinstance(value, bool) or not isinstance(value, int | float)
    return key in vocabulary.SKU_TEXTS and not isinstance(value, str)
