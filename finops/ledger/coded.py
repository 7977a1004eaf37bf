"""Columns with few distinct values, as lists of them and each row's place in the list.

Half a million entries say some ten thousand different things, all but their amounts: each value is
found once, and then quoted, escaped and written to Parquet once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

_ESCAPED: Final = ['"', "\\", *(chr(code) for code in range(0x20))]
_BOX: Final = ('{"":', "}")
_PLAIN: Final = pl.CompatLevel.oldest()
_SAMPLE_ROWS: Final = 1 << 13
_FEW: Final = 1 << 11
"""Of a few pairs all are made ready, whether or not they occur."""
_MOST_DISTINCT: Final = 0.8
"""Of the rows of a sample; a column with more distinct values gains nothing."""

Places = pl.Series
"""Each row's place in a list, from 0."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A list of texts, and which of them each row says."""

    places: Places
    texts: pl.Series

    def after(self, literal: str) -> "Pieces":
        """Put the same text before each."""
        return replace(self, texts=_joined(pl.lit(literal), pl.lit(self.texts)))

    def before(self, literal: str) -> "Pieces":
        """Put the same text after each."""
        return replace(self, texts=_joined(pl.lit(self.texts), pl.lit(literal)))

    def then(self, other: "Pieces") -> "Pieces | None":
        """Say both in one piece; `None` when there are too many pairs of them to gain by it."""
        many = len(other.texts)
        pairs = self.places.cast(pl.Int64) * many + other.places
        if len(self.texts) * many > _FEW:
            found = pc.dictionary_encode(pairs.to_arrow())
            places, distinct = pl.Series(found.indices), pl.Series(found.dictionary)
            if len(distinct) > len(pairs) // 2:
                return None
        else:
            places, distinct = pairs, pl.int_range(len(self.texts) * many, eager=True)
        first, second = self.texts.gather(distinct // many), other.texts.gather(distinct % many)
        return Pieces(places, _joined(pl.lit(first), pl.lit(second)))

    def spread(self) -> pl.Series:
        """Give every row its piece; the texts themselves are not copied."""
        return self.texts.gather(self.places)


@dataclass(frozen=True, slots=True)
class Coded:
    """A frame, and what is known of its columns, by name.

    `constants` have the same value in all rows, and `codes` are those of the others that have few
    distinct values.
    """

    frame: pl.DataFrame
    constants: frozenset[str]
    codes: Mapping[str, pa.DictionaryArray]

    def pieces(self, name: str) -> Pieces | None:
        """Give the JSON of a column's values; `None` when it is not among the coded ones."""
        code = self.codes.get(name)
        if code is None:
            return None
        values = pl.Series(name, code.dictionary).cast(self.frame.schema[name])
        texts = values.to_frame().select(as_json(values)).to_series()
        places = pl.Series(code.indices)
        if code.null_count:
            texts = pl.concat([texts, pl.Series(["null"])])
            places = places.fill_null(len(values))
        return Pieces(places, texts)

    def table(self, schema: pa.Schema) -> pa.Table:
        """Give the rows to Arrow in the columns and types of `schema`, codes where it wants them."""
        return pa.Table.from_arrays([self._array(field) for field in schema], schema=schema)

    def _array(self, field: pa.Field) -> pa.Array:
        column = self.frame.get_column(field.name)
        if not pa.types.is_dictionary(field.type):
            return column.to_arrow(compat_level=_PLAIN).cast(field.type)
        code = self.codes.get(field.name)
        if field.name in self.constants:
            first = column.head(1).to_arrow(compat_level=_PLAIN)
            zeros = pl.repeat(0, len(column), dtype=pl.Int32, eager=True).to_arrow()
            code = pa.DictionaryArray.from_arrays(zeros, first)
        elif code is None:
            code = pc.dictionary_encode(column.to_arrow(compat_level=_PLAIN))
        return code.cast(field.type)


def of(frame: pl.DataFrame) -> Coded:
    """Find the columns with few distinct values, and code them."""
    constants = frozenset(column.name for column in frame.iter_columns() if _is_constant(column))
    codes = {
        column.name: code
        for column in frame.iter_columns()
        if column.name not in constants and (code := _code(column)) is not None
    }
    return Coded(frame, constants, codes)


def _is_constant(column: pl.Series) -> bool:
    """Tell whether all rows hold the same value (looking at both ends first, which is cheap)."""
    if column.is_empty() or column.null_count() or column[0] != column[-1]:
        return False
    return bool((column == column.first()).all())


def is_awkward(column: pl.Series) -> bool:
    """Tell whether some value is text with a character that JSON must escape."""
    return column.dtype == pl.String and bool(column.str.contains_any(_ESCAPED).any())


def as_text(column: pl.Series) -> pl.Expr:
    """Write a value as text: money as its count of 10⁻¹⁸, an instant as microseconds, a day ISO."""
    name, dtype = pl.col(column.name), column.dtype
    if dtype == pl.String:
        return name
    if dtype == pl.Date:
        return name.dt.to_string("%Y-%m-%d")
    return name.to_physical().cast(pl.String)


def as_json(column: pl.Series) -> pl.Expr:
    """Write a value as JSON: quoted text, escaped where it must be, or null."""
    if is_awkward(column):
        # Inside an object that it is then taken from.
        opening, closing = _BOX
        boxed = pl.struct(pl.col(column.name).alias("")).struct.json_encode()
        return boxed.str.strip_prefix(opening).str.strip_suffix(closing)
    return pl.concat_str([pl.lit('"'), as_text(column), pl.lit('"')]).fill_null("null")


def _code(column: pl.Series) -> pa.DictionaryArray | None:
    if column.null_count() == len(column) or not _repeats(column):
        return None
    if column.dtype == pl.String:
        code = column.cast(pl.Categorical(pl.Categories.random())).to_arrow(compat_level=_PLAIN)
        return pa.DictionaryArray.from_arrays(code.indices.cast(pa.int32()), code.dictionary)
    if column.dtype.is_integer() or column.dtype.is_temporal():
        return pc.dictionary_encode(column.to_arrow())
    return None


def _repeats(column: pl.Series) -> bool:
    sample = column.head(_SAMPLE_ROWS)
    return sample.n_unique() <= _MOST_DISTINCT * len(sample)


def _joined(*parts: pl.Expr) -> pl.Series:
    return pl.select(pl.concat_str(parts)).to_series()
