"""How much of the bill is somebody's: billed = allocated + unallocated + quarantined.

Everything here counts `BilledCost`, so the totals can be held against the invoices. Currencies
are never added together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

import polars as pl

from finops import money

UNKNOWN_PROVIDER = "not stated"
NOBODY = "unallocated"
IN_QUARANTINE = "in quarantine"


class By(StrEnum):
    """What coverage may be told apart by."""

    PROVIDER = "provider"
    ACCOUNT = "account"
    SERVICE = "service"
    RULE = "rule"
    COST_CENTER = "cost-center"

    @property
    def is_outcome(self) -> bool:
        """Tell whether it is what attribution decided, not what the bill says."""
        return self in {By.RULE, By.COST_CENTER}

    @property
    def column(self) -> str:
        """Name the column of ledger entries that holds it."""
        return {By.PROVIDER: "service_provider", By.COST_CENTER: "cost_center"}.get(
            self, self.value
        )


class Over(StrEnum):
    """The stretches of time that coverage may be told apart by: billing months or charge days."""

    MONTH = "month"
    DAY = "day"

    @property
    def column(self) -> str:
        """Name the column of ledger entries that holds it."""
        return "period" if self is Over.MONTH else "day"


_RATIO_QUANTUM = Decimal("0.0001")
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Share:
    """The money of one service provider, or of a whole currency, by what became of it.

    `allocated` has a cost center, `unallocated` has none, and `quarantined` is in rows that were
    set aside because they break a check.
    """

    allocated: Decimal
    unallocated: Decimal
    quarantined: Decimal

    @property
    def billed(self) -> Decimal:
        """All that the providers billed."""
        return money.exact_sum((self.allocated, self.unallocated, self.quarantined))

    @property
    def coverage(self) -> Decimal:
        """The allocated part of what was billed, between 0 and 1, to four places.

        Nothing billed is covered to 0. Credits can push the quotient out of its range (more is
        allocated than billed in all); it is kept inside, since no bill is covered twice.
        """
        if self.billed == 0:
            return _NONE
        quotient = money.CONTEXT.divide(self.allocated, self.billed)
        return min(max(quotient, _NONE), Decimal(1)).quantize(_RATIO_QUANTUM, ROUND_DOWN)

    def as_json(self) -> dict[str, str]:
        """Give the five numbers as decimal text."""
        amounts = {
            "billed": self.billed,
            "allocated": self.allocated,
            "unallocated": self.unallocated,
            "quarantined": self.quarantined,
            "coverage": self.coverage,
        }
        return {name: money.text(amount) for name, amount in amounts.items()}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one currency; `by_provider` is sorted and adds up to `whole`."""

    currency: str
    whole: Share
    by_provider: tuple[tuple[str, Share], ...]

    @property
    def billed(self) -> Decimal:
        """All that the providers billed in this currency."""
        return self.whole.billed

    @property
    def allocated(self) -> Decimal:
        """What has a cost center."""
        return self.whole.allocated

    @property
    def unallocated(self) -> Decimal:
        """What has none."""
        return self.whole.unallocated

    @property
    def quarantined(self) -> Decimal:
        """What is in rows that were set aside."""
        return self.whole.quarantined

    @property
    def coverage(self) -> Decimal:
        """The allocated part; see `Share.coverage`."""
        return self.whole.coverage

    def as_json(self) -> dict[str, object]:
        """Give the numbers, and those of each service provider, as decimal text."""
        providers = [{"provider": name, **share.as_json()} for name, share in self.by_provider]
        return {"currency": self.currency, **self.whole.as_json(), "by_provider": providers}


@dataclass(frozen=True, slots=True)
class Line:
    """The money of one currency, stretch of time (null: all of it) and, say, account.

    `provider` tells apart accounts and services that are called the same.
    """

    currency: str
    time: str | None
    provider: str | None
    name: str
    share: Share


def lines(
    entries: pl.LazyFrame, quarantined: pl.DataFrame, by: By | pl.Expr | None, over: Over | None
) -> list[Line]:
    """Tell coverage apart by currency, then by time, then by what `by` says, dearest first.

    `by` may also be any text of the entries. `entries` are ledger entries; `quarantined` is as `quarantine.parts` gives it. The lines of a
    currency add up to what was billed in it: what attribution decided nothing about is
    `NOBODY`'s, and what is set aside `IN_QUARANTINE`, where it is told apart by outcome.
    """
    time = pl.lit(None, pl.String) if over is None else pl.col(over.column).cast(pl.String)
    name, aside = pl.lit(""), pl.lit("")
    if isinstance(by, pl.Expr):
        name, aside = by.fill_null(UNKNOWN_PROVIDER), pl.lit(IN_QUARANTINE)
    elif by is not None and by.is_outcome:
        name = pl.when(pl.col("cost_center").is_null()).then(pl.lit(NOBODY)).otherwise(by.column)
        name, aside = name.fill_null(UNKNOWN_PROVIDER), pl.lit(IN_QUARANTINE)
    elif by is not None:
        name = aside = pl.col(by.column).fill_null(UNKNOWN_PROVIDER)
    is_within = isinstance(by, By) and by in {By.ACCOUNT, By.SERVICE}
    provider = _provider() if is_within else pl.lit(None, pl.String)
    keys: list[str | pl.Expr] = ["currency", time.alias("time"), provider.alias("provider")]
    parts = pl.concat(
        [
            _entry_parts(entries, [*keys, name.alias("name")]),
            _quarantined_parts(quarantined, [*keys, aside.alias("name")]).lazy(),
        ]
    )
    labels = ("currency", "time", "provider", "name")
    sums = parts.group_by(labels).sum().collect()
    amounts = ("allocated", "unallocated", "quarantined")
    billed = pl.sum_horizontal(amounts)
    ordered = sums.sort(
        "currency",
        "time",
        billed.abs(),
        "provider",
        "name",
        descending=[False, False, True, False, False],
    )
    return [
        Line(currency, stretch, source, called, Share(*money_))
        for currency, stretch, source, called, *money_ in ordered.select(
            *labels, *amounts
        ).iter_rows()
    ]


def whole(shares: Sequence[Share]) -> Share:
    """Add shares of the same currency up."""
    return _sum(shares)


def coverage(entries: pl.LazyFrame, quarantined: pl.DataFrame) -> list[Coverage]:
    """Compute the coverage of each currency, sorted by currency.

    `entries` are ledger entries (`currency`, `service_provider`, `cost_center`, `billed_cost`),
    reversals among them: their money is negative, so they need no care. `quarantined` has the
    columns `service_provider`, `currency` and `amount`. Filter both by period before.
    """
    keys: list[str | pl.Expr] = ["currency", _provider()]
    aside = _quarantined_parts(quarantined, keys)
    parts = pl.concat([_entry_parts(entries, keys), aside.lazy()])
    return list(_by_currency(parts.group_by("currency", "service_provider").sum().collect()))


def _entry_parts(entries: pl.LazyFrame, keys: Sequence[str | pl.Expr]) -> pl.LazyFrame:
    billed = pl.col("billed_cost")
    has_center = pl.col("cost_center").is_not_null()
    return entries.group_by(keys).agg(
        billed.filter(has_center).sum().alias("allocated"),
        billed.filter(~has_center).sum().alias("unallocated"),
        pl.lit(0).cast(money.DTYPE).alias("quarantined"),
    )


def _quarantined_parts(quarantined: pl.DataFrame, keys: Sequence[str | pl.Expr]) -> pl.DataFrame:
    nothing = pl.lit(0).cast(money.DTYPE)
    return quarantined.select(
        *keys,
        nothing.alias("allocated"),
        nothing.alias("unallocated"),
        pl.col("amount").cast(money.DTYPE).alias("quarantined"),
    )


def _provider() -> pl.Expr:
    return pl.col("service_provider").fill_null(UNKNOWN_PROVIDER)


def _by_currency(parts: pl.DataFrame) -> Iterator[Coverage]:
    ordered = parts.sort("currency", "service_provider")
    for (currency,), rows in ordered.group_by("currency", maintain_order=True):
        shares = tuple(
            (name, Share(allocated, unallocated, set_aside))
            for _, name, allocated, unallocated, set_aside in rows.iter_rows()
        )
        yield Coverage(str(currency), _sum([share for _, share in shares]), shares)


def _sum(shares: Sequence[Share]) -> Share:
    return Share(
        money.exact_sum(share.allocated for share in shares),
        money.exact_sum(share.unallocated for share in shares),
        money.exact_sum(share.quarantined for share in shares),
    )
