from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from finops.twins import Twins

BATCHES = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=8), max_size=8)


def numbered(batches: list[list[str]]) -> list[str]:
    twins = Twins()
    return [name for batch in batches for name in twins.number(pl.Series("id", batch))]


@given(BATCHES)
def test_ids_are_distinct_and_count_up(batches: list[list[str]]) -> None:
    seen: Counter[str] = Counter()
    expected = []
    for name in (name for batch in batches for name in batch):
        expected.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    assert numbered(batches) == expected


@given(st.data(), BATCHES)
def test_order_and_batches_do_not_change_the_set_of_ids(
    data: st.DataObject, batches: list[list[str]]
) -> None:
    rows = data.draw(st.permutations([name for batch in batches for name in batch]))
    assert sorted(numbered([[row] for row in rows])) == sorted(numbered(batches))
