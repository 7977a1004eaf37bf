"""What the ledger learned about a month since an earlier checkpoint: who pays more, and why.

Charges are compared as they stood then and as they stand now. Equal amounts of a cost center are
no change, however often they were taken back and entered again in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import polars as pl

from finops import money
from finops.ledger.schema import ALLOCATION

_KEY = ("provider", "source", "charge_id", "currency")
_PLACE = ("provider", "source", "currency", "day", "charge_start", "account", "service", "resource")
"""What a provider's row keeps when the provider restates it: all but the amounts and the price."""

COLUMNS = (
    *("index", "kind", "cost_center", "rule", "step", "billed_cost", "sku"),
    *dict.fromkeys((*_KEY, *_PLACE)),
)
"""The columns of ledger entries that `between` looks at."""


class Cause(StrEnum):
    """Why a cost center pays more or less than it did."""

    NEW = "new charges"
    WITHDRAWN = "charges no longer billed"
    RESTATED = "restated by the provider"
    MOVED = "moved by the rules"


@dataclass(frozen=True, slots=True)
class Change:
    """What one cause changed for one cost center (`None`: nobody's), in billed cost.

    `detail` says for what was moved which rule took it and which takes it now, else which service
    it is about.
    """

    currency: str
    cost_center: str | None
    cause: Cause
    detail: str
    before: Decimal
    after: Decimal
    charges: int

    @property
    def change(self) -> Decimal:
        """How much more is billed to the cost center now."""
        return money.CONTEXT.subtract(self.after, self.before)

    def as_json(self) -> dict[str, object]:
        """Give it with amounts as decimal text."""
        amounts = {"before": self.before, "after": self.after, "change": self.change}
        return {
            "currency": self.currency,
            "cost_center": self.cost_center,
            "cause": self.cause.value,
            "detail": self.detail,
            **{name: money.text(amount) for name, amount in amounts.items()},
            "charges": self.charges,
        }


def between(entries: pl.LazyFrame, since: int) -> Sequence[Change]:
    """List what the batches from number `since` on changed.

    The largest change of each cost center comes first. `entries` are the ledger's entries of one period with `COLUMNS`, from the first batch on.
    """
    shares = _shares(entries, since)
    charges = _charges(shares)
    named = shares.join(charges, on=_KEY, nulls_equal=True).filter(
        pl.col("before") != pl.col("after")
    )
    grouped = named.group_by("currency", "cost_center", "cause", "detail").agg(
        pl.col("before", "after").sum(), pl.col("charge_id").n_unique()
    )
    found = [
        Change(currency, center, Cause(cause), *rest)
        for currency, center, cause, *rest in grouped.collect().iter_rows()
    ]
    return sorted(
        (each for each in found if each.change),
        key=lambda each: (
            each.currency,
            each.cost_center or "",
            -abs(each.change),
            each.cause,
            each.detail,
        ),
    )


def _shares(entries: pl.LazyFrame, since: int) -> pl.LazyFrame:
    """Add up what each cost center carries of each charge, before and after."""
    old = pl.col("index") < since
    lives = pl.when(pl.col("kind") == ALLOCATION).then(1).otherwise(-1)
    is_allocation = pl.col("kind") == ALLOCATION
    return entries.group_by(*_KEY, "cost_center").agg(
        pl.col("billed_cost").filter(old).sum().alias("before"),
        pl.col("billed_cost").sum().alias("after"),
        lives.filter(old).sum().alias("lived"),
        lives.sum().alias("lives"),
        pl.col("rule").filter(is_allocation & old).last().alias("old_rule"),
        pl.col("rule").filter(is_allocation).last().alias("new_rule"),
        pl.col([name for name in _PLACE if name not in _KEY]).first(),
    )


def _charges(shares: pl.LazyFrame) -> pl.LazyFrame:
    """Say of each charge why it changed."""
    lived, lives = pl.col("lived") > 0, pl.col("lives") > 0
    charges = shares.group_by(_KEY).agg(
        lived.any().alias("was"),
        lives.any().alias("is"),
        pl.col("old_rule").filter(lived).drop_nulls().unique().sort().str.join(", "),
        pl.col("new_rule").filter(lives).drop_nulls().unique().sort().str.join(", "),
        pl.col([name for name in _PLACE if name not in _KEY]).first(),
    )
    came, gone = pl.col("is") & ~pl.col("was"), pl.col("was") & ~pl.col("is")
    place = list(_PLACE)
    both = (
        charges.group_by(place)
        .agg(came.any().alias("some_came"), gone.any().alias("some_gone"))
        .filter(pl.col("some_came") & pl.col("some_gone"))
        .select(*place, is_restated=pl.lit(value=True))
    )
    cause = (
        pl.when(~came & ~gone)
        .then(pl.lit(Cause.MOVED.value))
        .when("is_restated")
        .then(pl.lit(Cause.RESTATED.value))
        .when(came)
        .then(pl.lit(Cause.NEW.value))
        .otherwise(pl.lit(Cause.WITHDRAWN.value))
    )
    rules = (
        pl.when(pl.col("old_rule") == pl.col("new_rule"))
        .then(pl.format("{} was changed", _rule("new_rule")))
        .otherwise(pl.format("{} → {}", _rule("old_rule"), _rule("new_rule")))
    )
    about = pl.col("service").fill_null("no service named")
    return charges.join(both, on=place, how="left", nulls_equal=True).select(
        *_KEY,
        cause.alias("cause"),
        pl.when(~came & ~gone).then(rules).otherwise(about).alias("detail"),
    )


def _rule(name: str) -> pl.Expr:
    return pl.when(pl.col(name) == "").then(pl.lit("no rule")).otherwise(name)
