"""Words and numbers: half a million charges say some ten thousand different things in words.

Only amounts and times differ from row to row. Taken apart, each distinct combination of words is
looked at, hashed, decided about and written once, and the rows only say which one is theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

WORDING = "~wording"
"""The row of the words that a row of numbers goes with."""

PLAIN = pl.CompatLevel.oldest()
"""The Arrow types that every reader and writer understands."""

_FIRST = "~first"
_KEY = "~key"


def apart(rows: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take the columns `names` apart from the others.

    Returns the numbers (the other columns, and `WORDING`) and the words (each distinct
    combination of `names` once, in order of appearance). `whole` undoes it.
    """
    texts = rows.select(names)
    varying = [name for name in names if not is_constant(texts.get_column(name))]
    # One column at least, since a table without columns has no rows.
    wording, firsts = _told_apart(texts.select(varying or names[:1]))
    return rows.drop(names).with_columns(wording), texts[firsts]


def whole(numbers: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """Put numbers and their words together again."""
    return numbers.hstack(words[numbers.get_column(WORDING)])


def is_constant(column: pl.Series) -> bool:
    """Tell whether all rows hold the same (looking at both ends first, which is cheap)."""
    if column.null_count():
        return column.null_count() == len(column)
    return column.is_empty() or bool(column[0] == column[-1] and (column == column[0]).all())


def _told_apart(texts: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Tell rows apart: return the number of each one's wording, and the first row of each wording.

    Rows are told apart by a sum of hashes, then compared in full: several times faster than
    grouping by the texts themselves, and as exact.
    """
    hashes = (pl.col(name).hash(seed) for seed, name in enumerate(texts.columns))
    wording, firsts = _numbered(texts.select(pl.sum_horizontal(hashes)).to_series())
    if not texts[firsts][wording].equals(texts):
        wording, firsts = _numbered(texts.select(pl.struct(pl.all()).rank("dense")).to_series())
    return wording, firsts


def _numbered(keys: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Count distinct keys in order of appearance: each row's number, each number's first row."""
    rows = keys.to_frame(_KEY)
    distinct = rows.with_row_index(_FIRST).unique(_KEY, keep="first", maintain_order=True)
    places = distinct.with_row_index(WORDING)
    numbered = rows.join(places, on=_KEY, how="left", maintain_order="left")
    return numbered.get_column(WORDING), distinct.get_column(_FIRST)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words as places in lists of distinct texts, one list for each text column.

    `places` has a row for each wording; columns that say nothing are left out.
    """

    places: pl.DataFrame
    texts: Mapping[str, pa.Array]

    @classmethod
    def of(cls, words: pl.DataFrame) -> "Lexicon":
        """Give each text of `words` a place; columns of other types stay as they are."""
        given = [column for column in words.iter_columns() if column.null_count() < len(column)]
        encoded = {
            column.name: column.cast(pl.Categorical(pl.Categories.random())).to_arrow(
                compat_level=PLAIN
            )
            for column in given
            if column.dtype == pl.String
        }
        places = [
            pl.Series(column.name, encoded[column.name].indices)
            if column.name in encoded
            else column
            for column in given
        ]
        return cls(
            pl.DataFrame(places), {name: column.dictionary for name, column in encoded.items()}
        )

    def table(self, numbers: pl.DataFrame, schema: pa.Schema) -> pa.Table:
        """Return numbers with their words in the columns and types of `schema`.

        No row's text is looked at: text that repeats goes as an Arrow dictionary, see `worded`.
        """
        places = self.places[numbers.get_column(WORDING)]
        arrays = [self._array(field, numbers, places) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _array(self, field: pa.Field, numbers: pl.DataFrame, places: pl.DataFrame) -> pa.Array:
        if field.name in self.texts:
            return self._spoken(field.name, places.get_column(field.name))
        for frame in (places, numbers):
            if field.name in frame.columns:
                return frame.get_column(field.name).to_arrow(compat_level=PLAIN)
        return pa.nulls(len(numbers), field.type)

    def _spoken(self, name: str, places: pl.Series) -> pa.DictionaryArray:
        texts, indices = self.texts[name], places.to_arrow(compat_level=PLAIN)
        if len(texts) > len(places):
            # Most of the list is not said here: a shorter one is cheaper than writing it all.
            return texts.take(indices).dictionary_encode()
        return pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), texts, safe=False)


def worded(schema: pl.Schema, names: Sequence[str]) -> pa.Schema:
    """Give the Arrow schema of a `Lexicon.table`: the text columns `names` have dictionaries."""
    plain = pl.DataFrame(schema=schema).to_arrow(compat_level=PLAIN).schema
    return pa.schema(
        field.with_type(pa.dictionary(pa.int32(), field.type)) if field.name in names else field
        for field in plain
    )
