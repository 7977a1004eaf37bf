"""Doing work on texts once for each distinct one: most columns of a bill repeat few of them."""

from collections.abc import Callable

import polars as pl

_FEW = 4
"""Texts each occur so often, in the mean, before it pays to look for the distinct ones."""


def once_each(texts: pl.Series, work: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Give what `work` makes of each text; it is handed distinct ones, and null stays null."""
    if texts.n_unique() * _FEW > len(texts):
        return work(texts)
    encoded = texts.rechunk().to_arrow().dictionary_encode()
    distinct = pl.Series(texts.name, encoded.dictionary, pl.String)
    return work(distinct).gather(pl.Series(encoded.indices))
