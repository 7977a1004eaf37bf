from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import focus, focus_file, money
from finops.errors import ExportError
from finops.focus_file import Tally


@given(st.lists(st.integers(0, 7), max_size=8))
def test_row_groups_depend_on_the_rows_alone(sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(focus_file, "GROUP_ROWS", 3)
        numbers = pl.DataFrame({"n": range(sum(sizes))})
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
        batches = [numbers[start : start + size] for start, size in zip(starts, sizes, strict=True)]
        groups = list(focus_file._grouped(batches))
    assert [len(group) for group in groups[:-1]] == [3] * (len(groups) - 1)
    assert all(1 <= len(group) <= 3 for group in groups)
    assert [n for group in groups for n in group["n"]] == list(range(sum(sizes)))


def test_an_export_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    rows = pl.DataFrame({"BillingCurrency": ["USD"]}).with_columns(
        pl.lit(1).cast(money.DTYPE).alias(cost) for cost in focus.COSTS
    )
    rows.write_parquet(path)
    right = {"USD": dict.fromkeys(focus.COSTS, Decimal(1))}
    focus_file._prove(path, Tally(1, right))
    for wrong in (
        Tally(2, right),
        Tally(1, {"USD": {**right["USD"], "ListCost": Decimal(2)}}),
        Tally(1, {"EUR": right["USD"]}),
    ):
        with pytest.raises(ExportError, match="the export adds up to"):
            focus_file._prove(path, wrong)
