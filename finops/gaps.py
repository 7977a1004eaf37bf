"""What is not as it should be: unallocated, quarantined and corrected, by currency.

All of it counts billed cost.
"""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops.coverage import UNKNOWN_PROVIDER
from finops.ledger.schema import REVERSAL, reference

_NO_REASON = "no reason was recorded"


@dataclass(frozen=True, slots=True)
class UnallocatedLine:
    """Charges nobody answers for, for one reason; `example` names the dearest of them."""

    reason: str
    amount: Decimal
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Corrections:
    """What restated bills and changed rules did: entries reversed, their money, the net effect.

    `net` is what all batches that reversed entries of a day and source changed there: the
    reversals and what replaced them.
    """

    entries: int
    reversed_amount: Decimal
    net: Decimal


NO_CORRECTIONS = Corrections(0, Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """Rows of one service provider that break the same checks."""

    provider: str
    reason: str
    rows: int
    amount: Decimal


def unallocated(entries: pl.LazyFrame) -> dict[str, tuple[UnallocatedLine, ...]]:
    """List the reasons by currency, largest amount first."""
    live = live_unallocated(entries).sort(
        pl.col("billed_cost").abs(), "charge_id", descending=[True, False]
    )
    grouped = live.group_by("currency", "reason", maintain_order=True).agg(
        pl.col("billed_cost").sum(),
        pl.len(),
        pl.col("service_provider", "account", "service", "resource").first(),
    )
    largest_first = grouped.sort(
        "currency", pl.col("billed_cost").abs(), "reason", descending=[False, True, False]
    )
    lines: dict[str, list[UnallocatedLine]] = defaultdict(list)
    for currency, reason, amount, rows, *example in largest_first.collect().iter_rows():
        lines[currency].append(UnallocatedLine(reason, amount, rows, _example(*example)))
    return {currency: tuple(found) for currency, found in lines.items()}


def live_unallocated(entries: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the entries that have no cost center and were not taken back.

    A reversal says why it reverses, not why the entry had no cost center; so both are left out
    here, which leaves the same sums.
    """
    reversed_ = entries.filter(pl.col("kind") == REVERSAL).select("corrects")
    return (
        entries.filter(pl.col("kind") != REVERSAL, pl.col("cost_center").is_null())
        .with_columns(reference().alias("ref"), pl.col("reason").fill_null(_NO_REASON))
        .join(reversed_, left_on="ref", right_on="corrects", how="anti")
    )


def _example(
    provider: str | None, account: str | None, service: str | None, resource: str | None
) -> str:
    named = {"account": account, "resource": resource}
    known = [text for text in (provider, service) if text]
    return ", ".join([*known, *(f"{what} {text}" for what, text in named.items() if text)])


def quarantined(set_aside: pl.DataFrame) -> dict[str, tuple[QuarantinedLine, ...]]:
    """List what is in quarantine by currency, largest amount first.

    `set_aside` has `service_provider`, `currency`, `reason`, `rows` and `amount`.
    """
    provider = pl.col("service_provider").fill_null(UNKNOWN_PROVIDER)
    reason = pl.col("reason").fill_null(_NO_REASON)
    sums = set_aside.group_by("currency", provider, reason).agg(pl.col("rows", "amount").sum())
    largest_first = sums.sort(
        pl.col("amount").abs(), "service_provider", "reason", descending=[True, False, False]
    )
    lines: dict[str, list[QuarantinedLine]] = defaultdict(list)
    for currency, *line in largest_first.iter_rows():
        lines[currency].append(QuarantinedLine(*line))
    return {currency: tuple(found) for currency, found in lines.items()}


def corrections(entries: pl.LazyFrame) -> dict[str, Corrections]:
    """Add up the reversals among `entries` by currency, and what their batches changed in all."""
    corrected = ("index", "provider", "source", "day", "currency")
    is_reversal = pl.col("kind") == REVERSAL
    batches = entries.filter(is_reversal).select(corrected).unique()
    sums = (
        entries.join(batches, on=corrected, how="semi")
        .group_by("currency")
        .agg(
            is_reversal.sum().alias("entries"),
            pl.col("billed_cost").filter(is_reversal).sum().alias("reversed_amount"),
            pl.col("billed_cost").sum().alias("net"),
        )
    )
    return {currency: Corrections(*numbers) for currency, *numbers in sums.collect().iter_rows()}
