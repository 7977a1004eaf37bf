import polars as pl
import pytest

from finops.distinct import once_each


@pytest.mark.parametrize("kinds", [1, 3, 1000])
def test_each_text_gets_what_the_work_makes_of_it(kinds: int) -> None:
    texts = pl.Series("t", [None if n % 5 == 0 else f"m{n % kinds}" for n in range(1000)])
    seen: list[int] = []

    def work(given: pl.Series) -> pl.Series:
        seen.append(len(given))
        return given.str.slice(1).cast(pl.Int64)

    assert once_each(texts, work).equals(texts.str.slice(1).cast(pl.Int64))
    assert seen == [kinds]


@pytest.mark.parametrize("texts", [[], [None, None, None, None, None]])
def test_no_text_is_no_text(texts: list[str | None]) -> None:
    given = pl.Series("t", texts, pl.String)
    assert once_each(given, lambda each: each.str.len_bytes()).to_list() == [None] * len(texts)
