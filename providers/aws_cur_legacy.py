"""The legacy Cost and Usage Report: the same lines as CUR 2.0 under older column names.

`lineItem/UnblendedCost` is `line_item_unblended_cost` in CUR 2.0 (and in Athena); every activated
tag has a column of its own there, and is gathered into the map that CUR 2.0 has.
"""

import re
from collections.abc import Sequence

import polars as pl

_TAG = "resourceTags/"
_USER = "user:"
_LINE_TYPE = "lineItem/LineItemType"


def is_legacy(names: Sequence[str]) -> bool:
    """Tell a legacy report from CUR 2.0 by its columns."""
    return _LINE_TYPE in names


def to_cur(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rename the columns to those of CUR 2.0; tags become one JSON object a row."""
    names = rows.collect_schema().names()
    tags = [name for name in names if name.startswith(_TAG)]
    # Product attributes may differ in capitals alone: the first of them is the one AWS documents.
    renamed = {cur_name(name): name for name in reversed(names) if name not in tags}
    plain = [pl.col(name).alias(new) for new, name in renamed.items()]
    if not tags:
        return rows.select(plain)
    values = [_given(name).alias(name.removeprefix(_TAG).removeprefix(_USER)) for name in tags]
    gathered = pl.struct(values).struct.json_encode().alias("resource_tags")
    any_tag = pl.any_horizontal(_given(name).is_not_null() for name in tags)
    return rows.select(*plain, pl.when(any_tag).then(gathered))


def cur_name(legacy: str) -> str:
    """Name a legacy column as CUR 2.0 does: words of both halves, joined by underscores."""
    halves = legacy.split("/")
    return "_".join(re.sub(r"(?<!^)(?=[A-Z])", "_", half) for half in halves).lower()


def _given(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name))
