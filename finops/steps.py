"""How the money was decided: by the step of the waterfall that each entry names."""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops import money
from finops.explained import STEP_IDLE, STEP_WORKLOAD
from finops.rules import STEP_RULE, STEP_SPLIT, STEP_UNALLOCATED

SPOKEN = {
    STEP_WORKLOAD: "held by workloads",
    STEP_IDLE: "idle: held by nobody",
    STEP_RULE: "by rules",
    STEP_SPLIT: "split",
    STEP_UNALLOCATED: "unallocated",
}
"""What each step is called, in the order of the waterfall."""


@dataclass(frozen=True, slots=True)
class StepSum:
    """What one step decided in one currency: what was billed, and the effective cost."""

    currency: str
    step: str
    billed: Decimal
    effective: Decimal

    @property
    def spoken(self) -> str:
        return SPOKEN.get(self.step, self.step)

    @property
    def is_told_by_workloads(self) -> bool:
        return self.step in {STEP_WORKLOAD, STEP_IDLE}

    def as_json(self) -> dict[str, str]:
        """Give the numbers as decimal text."""
        return {
            "step": self.step,
            "billed": money.text(self.billed),
            "effective": money.text(self.effective),
        }


def by_step(entries: pl.LazyFrame) -> list[StepSum]:
    """Add up ledger entries by currency and step, in the waterfall's order.

    A reversal takes back what it corrects at the step that said it. Where a provider gives no
    effective cost, what was billed counts.
    """
    sums = entries.group_by("currency", "step").agg(
        pl.col("billed_cost").sum(),
        pl.coalesce("effective_cost", "billed_cost").sum().alias("effective"),
    )
    order = {step: place for place, step in enumerate(SPOKEN)}
    found = [StepSum(*row) for row in sums.collect().iter_rows()]
    return sorted(found, key=lambda each: (each.currency, order.get(each.step, len(order))))
