"""Google's labels and tags as FOCUS Tags, and single system labels.

A resource has labels, its project has labels, and Resource Manager tags stand above both: an
administrator sets them and a project cannot. So where a key is given more than once, a tag wins
over a label of the resource, and that over a label of the project.
"""

from collections.abc import Callable
from functools import partial

import polars as pl

_PAIRS = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
_PAIR = r'^\{"key":("(?:[^"\\]|\\.)*"),"value":(.*)\}$'
_TEXT, _MADE = "text", "made"


def once_each(column: pl.Expr, make: Callable[[pl.Expr], pl.Expr], dtype: pl.DataType) -> pl.Expr:
    """Make something of a text column, once for each distinct text: labels come again and again."""

    def made(texts: pl.Series) -> pl.Series:
        distinct = texts.unique().to_frame(_TEXT).with_columns(make(pl.col(_TEXT)).alias(_MADE))
        joined = texts.to_frame(_TEXT).join(
            distinct, on=_TEXT, how="left", nulls_equal=True, maintain_order="left"
        )
        return joined.get_column(_MADE).alias(texts.name)

    return column.map_batches(made, return_dtype=dtype, is_elementwise=True)


def tags(*columns: pl.Expr) -> pl.Expr:
    """Write one JSON object of lists of pairs; of equal keys the one of the later list is last.

    A reader of JSON takes the last of equal keys, and so does `finops.normalize`.
    """
    bodies = [once_each(column, _body, pl.String()) for column in columns]
    joined = pl.concat_str(bodies, separator=",", ignore_nulls=True)
    return pl.when(joined != "").then("{" + joined + "}")


def labelled(column: pl.Expr, key: str) -> pl.Expr:
    """Give the value of one label; null when it is not there."""
    return once_each(column, partial(_value, key=key), pl.String())


def _value(column: pl.Expr, key: str) -> pl.Expr:
    entry = pl.element().struct
    wanted = entry.field("value").filter(entry.field("key") == key)
    return _pairs(column).list.eval(wanted).list.first()


def _body(column: pl.Expr) -> pl.Expr:
    entry = pl.element().struct.json_encode().str.replace(_PAIR, "${1}:${2}")
    is_named = pl.element().struct.field("key").is_not_null()
    found = _pairs(column).list.eval(entry.filter(is_named))
    return pl.when(found.list.len() > 0).then(found.list.join(","))


def _pairs(column: pl.Expr) -> pl.Expr:
    """Read `[{"key": …, "value": …}]`; the FOCUS export writes `Key` and `Value`."""
    lower = column.str.replace_all(r'([{,]\s*)"Key":', '${1}"key":').str.replace_all(
        r'([{,]\s*)"Value":', '${1}"value":'
    )
    return lower.str.json_decode(_PAIRS)
