"""Conditions: what `match` may ask of one column or tag, and which values meet it.

Text: equal, or a glob when it holds `*` or `?`. A list: any of its conditions. `true`: there is a
value; `false`: there is none. `{ prefix = "…" }`: begins with exactly this. `{ regex = "…" }`: the
whole value. `{ in_file = "…" }`: one of the values that a file lists. `{ not = … }`: every charge
that does not meet the inner condition, also one without a value.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

_GLOB = re.compile(r"[*?]")
_MOST_SAID = 4

WRITE = (
    'write text, a list, true, false, { prefix = "…" }, { regex = "…" }, { in_file = "…" } or '
    "{ not = … }"
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`{ regex = "…" }`: the whole value matches this regular expression."""

    regex: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """`{ prefix = "…" }`: the value begins with this text, in which `*` means itself."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Listed:
    """`{ in_file = "…" }`: the value is one of those that the file listed when it was read."""

    in_file: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Not:
    """`{ not = … }`: the value does not meet the condition; no value at all counts too."""

    negated: "Condition"


Condition: TypeAlias = bool | str | tuple["Condition", ...] | Pattern | Prefix | Listed | Not


def read(value: object) -> Condition:
    """Make a condition of what TOML holds; raises `ValueError` that says what to write."""
    match value:
        case bool() | str() | Pattern() | Prefix() | Listed() | Not():
            return value
        case [_, *_]:
            return tuple(read(each) for each in value)
        case {"regex": str(regex), **rest} if not rest:
            return Pattern(regex)
        case {"prefix": str(prefix), **rest} if not rest:
            return Prefix(prefix)
        case {"not": other, **rest} if not rest:
            return Not(read(other))
    raise ValueError(f"{WRITE}, not {value!r}")


def written(condition: Condition) -> object:
    """Write a condition as JSON, the same for the same condition."""
    match condition:
        case tuple():
            return [written(each) for each in condition]
        case Pattern(regex):
            return {"regex": regex}
        case Prefix(prefix):
            return {"prefix": prefix}
        case Listed(in_file, values):
            return {"in_file": in_file, "values": sorted(values)}
        case Not(negated):
            return {"not": written(negated)}
    return condition


def held(  # noqa: PLR0911 - one for each kind
    condition: Condition, values: Sequence[str | None]
) -> list[bool]:
    """Tell which values meet a condition; `None` is a charge that has no value."""
    match condition:
        case bool():
            return [(value is not None) is condition for value in values]
        case str() if is_glob(condition):
            glob = re.compile("".join(_glob_parts(condition)), re.DOTALL)
            return _matched(glob, values)
        case str():
            return [value == condition for value in values]
        case Pattern(regex):
            return _matched(re.compile(regex), values)
        case Prefix(prefix):
            return [value is not None and value.startswith(prefix) for value in values]
        case Listed(_, listed):
            return [value in listed for value in values]
        case Not(negated):
            return [not met for met in held(negated, values)]
        case tuple():
            met = (held(each, values) for each in condition)
            return [any(each) for each in zip(*met, strict=True)]


def is_glob(text: str) -> bool:
    """Tell whether text stands for a pattern."""
    return _GLOB.search(text) is not None


def patterns(condition: Condition) -> Iterator[str]:
    """List the regular expressions in a condition."""
    match condition:
        case Pattern(regex):
            yield regex
        case Not(negated):
            yield from patterns(negated)
        case tuple():
            for each in condition:
                yield from patterns(each)


def implies(narrow: Condition, wide: Condition) -> bool:  # noqa: PLR0911 - one for each kind
    """Tell whether it is certain that every value that meets `narrow` meets `wide` too.

    False says nothing: regular expressions, for one, are not looked into.
    """
    if narrow == wide:
        return True
    finite = _finite(narrow)
    if finite is not None:
        return all(held(wide, finite))
    match narrow, wide:
        case tuple(), _:
            return all(implies(each, wide) for each in narrow)
        case Not(inner), Not(outer):
            return implies(outer, inner)
        case _, tuple():
            return any(implies(narrow, each) for each in wide)
        case _, True:
            return _needs_value(narrow)
        case _, Not(outer):
            return outer is False and _needs_value(narrow)
    begins, must = _beginning(narrow), _prefix(wide)
    return must is not None and _needs_value(narrow) and begins.startswith(must)


def said(condition: Condition) -> str:  # noqa: PLR0911 - one for each kind
    """Say a condition in words that follow the column's name."""
    match condition:
        case True:
            return "is there"
        case False:
            return "is not there"
        case str() if is_glob(condition):
            return f"is like {condition!r}"
        case str():
            return f"is {condition!r}"
        case Pattern(regex):
            return f"matches {regex!r}"
        case Prefix(prefix):
            return f"begins with {prefix!r}"
        case Listed(in_file, values):
            return f"is one of the {len(values)} in {in_file}"
        case Not(negated):
            return f"not: {said(negated)}"
        case tuple():
            shown = [said(each) for each in condition[:_MOST_SAID]]
            more = len(condition) - len(shown)
            return " or ".join([*shown, f"{more} more"] if more else shown)


def _matched(pattern: re.Pattern[str], values: Sequence[str | None]) -> list[bool]:
    matches = pattern.fullmatch
    return [value is not None and matches(value) is not None for value in values]


def _glob_parts(text: str) -> Iterator[str]:
    for character in text:
        yield {"*": ".*", "?": "."}.get(character, re.escape(character))


def _finite(condition: Condition) -> list[str | None] | None:
    """List the values that meet a condition; `None` when they cannot be listed."""
    match condition:
        case False:
            return [None]
        case str() if not is_glob(condition):
            return [condition]
        case Listed(_, values):
            return list(values)
        case tuple():
            found: list[str | None] = []
            for each in condition:
                values_of = _finite(each)
                if values_of is None:
                    return None
                found += values_of
            return found
    return None


def _needs_value(condition: Condition) -> bool:
    return not held(condition, [None])[0]


def _beginning(condition: Condition) -> str:
    """Return the text that every value that meets a condition begins with, as far as is known."""
    match condition:
        case Prefix(prefix):
            return prefix
        case str():
            return _GLOB.split(condition, maxsplit=1)[0]
    return ""


def _prefix(condition: Condition) -> str | None:
    """Return the text that suffices as a beginning to meet a condition, if there is one."""
    match condition:
        case Prefix(prefix):
            return prefix
        case str() if condition.endswith("*") and not is_glob(condition[:-1]):
            return condition[:-1]
    return None
