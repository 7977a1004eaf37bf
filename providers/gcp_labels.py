"""Google's labels and tags as FOCUS Tags, and single system labels.

A resource has labels, its project has labels, and Resource Manager tags stand above both: an
administrator sets them and a project cannot. So where a key is given more than once, a tag wins
over a label of the resource, and that over a label of the project.
"""

import polars as pl

_PAIRS = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
_PAIR = r'^\{"key":("(?:[^"\\]|\\.)*"),"value":(.*)\}$'


def pairs(column: pl.Expr) -> pl.Expr:
    """Read `[{"key": …, "value": …}]`; the FOCUS export writes `Key` and `Value`."""
    lower = column.str.replace_all(r'([{,]\s*)"Key":', '${1}"key":').str.replace_all(
        r'([{,]\s*)"Value":', '${1}"value":'
    )
    return lower.str.json_decode(_PAIRS)


def tags(*columns: pl.Expr) -> pl.Expr:
    """Write one JSON object of lists of pairs; of equal keys the one of the later list is last.

    A reader of JSON takes the last of equal keys, and so does `finops.normalize`.
    """
    texts = [pl.when(_body(column) != "").then(_body(column)) for column in columns]
    joined = pl.concat_str(texts, separator=",", ignore_nulls=True)
    return pl.when(joined != "").then("{" + joined + "}")


def labelled(column: pl.Expr, key: str) -> pl.Expr:
    """Give the value of one label; null when it is not there."""
    entry = pl.element().struct
    return (
        pairs(column).list.eval(entry.field("value").filter(entry.field("key") == key)).list.first()
    )


def _body(column: pl.Expr) -> pl.Expr:
    entry = pl.element().struct.json_encode().str.replace(_PAIR, "${1}:${2}")
    is_named = pl.element().struct.field("key").is_not_null()
    return pairs(column).list.eval(entry.filter(is_named)).list.join(",")
