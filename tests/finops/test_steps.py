from decimal import Decimal

import polars as pl

from finops import money
from finops.steps import StepSum, by_step

ROWS = [
    ("USD", "rule", "5", None),
    ("USD", "workload", "0", "2"),
    ("USD", "workload", "1", "1.5"),
    ("USD", "idle", "3", "3"),
    ("USD", "idle", "-3", "-3"),
    ("EUR", "unallocated", "7", "7"),
]


def entries() -> pl.LazyFrame:
    costs = [pl.col(name).cast(money.DTYPE) for name in ("billed_cost", "effective_cost")]
    columns = ["currency", "step", "billed_cost", "effective_cost"]
    return pl.LazyFrame(ROWS, schema=columns, orient="row").with_columns(costs)


def test_steps_are_added_up_in_the_order_of_the_waterfall() -> None:
    assert by_step(entries()) == [
        StepSum("EUR", "unallocated", Decimal(7), Decimal(7)),
        StepSum("USD", "workload", Decimal(1), Decimal("3.5")),
        StepSum("USD", "idle", Decimal(0), Decimal(0)),
        StepSum("USD", "rule", Decimal(5), Decimal(5)),
    ]


def test_steps_are_told_in_words_and_as_text() -> None:
    first = by_step(entries())[1]
    assert first.spoken == "held by workloads"
    assert first.as_json() == {"step": "workload", "billed": "1", "effective": "3.5"}
