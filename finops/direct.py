"""Direct costs: what cost centers carry of a partition's charges without any split.

They are worked out as if all members of measured splits had as much, so they do not depend on
what they decide: where one charge goes to holders and to splits, by at most 10⁻¹⁸ for each part.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops import attribution, money, splits
from finops.holding import Holding
from finops.organization import Organization
from finops.partition import Partition
from finops.splits import MEASURES
from finops.wording import WORDING

_SLICE_ROWS = 500_000
_KEY = ("cost_center", "currency")


@dataclass(frozen=True, slots=True)
class Carried:
    """What one cost center carries in one currency: an amount for each of `splits.MEASURES`."""

    cost_center: str
    currency: str
    amounts: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Direct:
    """The direct costs of a partition, and the measured splits that have a part in the others.

    `decided` is the digest of all that decided them.
    """

    decided: str
    splits: frozenset[str]
    carried: tuple[Carried, ...]

    def text(self) -> str:
        """Write it as JSON."""
        carried = [
            {
                "cost_center": each.cost_center,
                "currency": each.currency,
                **{name: money.text(amount) for name, amount in each.amounts.items()},
            }
            for each in self.carried
        ]
        facts = {"decided": self.decided, "splits": sorted(self.splits), "carried": carried}
        return json.dumps(facts)


def read(text: str | bytes) -> Direct:
    """Read what `Direct.text` wrote."""
    facts = json.loads(text)
    carried = (
        Carried(
            each["cost_center"],
            each["currency"],
            {name: Decimal(each[name]) for name in MEASURES},
        )
        for each in facts["carried"]
    )
    return Direct(facts["decided"], frozenset(facts["splits"]), tuple(carried))


def of(
    charges: pl.LazyFrame,
    organization: Organization,
    partition: Partition,
    held: Holding | None,
    decided: str,
) -> Direct:
    """Work out the direct costs of a partition's `charges`; nothing is written."""
    divided: set[str] = set()
    sums = []
    columns = attribution.columns(organization, held)
    for start in range(0, charges.select(pl.len()).collect().item(), _SLICE_ROWS):
        part = charges.slice(start, _SLICE_ROWS).select(columns).collect(engine="in-memory")
        numbers, words = attribution.allocated(
            part.lazy(), organization, partition, held, attribution.supposed(organization)
        )
        divided |= {*words.get_column("split").drop_nulls()}
        sums.append(_sums(numbers, words))
    measured = splits.measured(organization.splits)
    inside = splits.used(organization.splits, divided)
    return Direct(decided, inside & {*measured}, tuple(_carried(sums)))


def _sums(numbers: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """Add up the parts that went to a cost center without a split."""
    said = words.select(*_KEY, "split")[numbers.get_column(WORDING)]
    spent = pl.coalesce("effective_cost", "billed_cost").alias("effective_cost")
    return (
        numbers.with_columns(spent)
        .hstack(said)
        .filter(pl.col("cost_center").is_not_null(), pl.col("split").is_null())
        .group_by(_KEY)
        .agg(pl.col(MEASURES).sum())
    )


def _carried(sums: list[pl.DataFrame]) -> Iterable[Carried]:
    if sums:
        together = pl.concat(sums).group_by(_KEY).agg(pl.col(MEASURES).sum()).sort(_KEY)
        for row in together.iter_rows(named=True):
            amounts = {name: Decimal(row[name]) for name in MEASURES}
            yield Carried(row["cost_center"], row["currency"], amounts)
