"""Attribution: whose cost is each charge, exactly.

Charges x rules x organization give allocations: one row per charge and cost center that carries
a share of it. The shares of a charge add up to it for every cost measure, to the last of 18
decimals; that is asserted before the rows are used and again after they were read back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from finops import explained, focus, holding, money, rules, splits, wording
from finops.errors import FinopsError
from finops.explained import PAIR, Weights
from finops.held import SPELL
from finops.holding import Holding
from finops.ledger import ENTRY_SCHEMA
from finops.organization import Organization
from finops.partition import Partition
from finops.rules import Decider
from finops.splits import NOTHING, Basis
from finops.wording import WORDING

MEASURES: Mapping[str, str] = {
    "billed_cost": "BilledCost",
    "effective_cost": "EffectiveCost",
    "contracted_cost": "ContractedCost",
    "list_cost": "ListCost",
    "gpu_hours": "x_GpuHours",
    "quantity": "ConsumedQuantity",
}
"""What is shared out, and the FOCUS column it comes from."""

_OF_ENTRIES_ONLY = {"v", "row", "kind", "subject", "corrects"}
ALLOCATION_SCHEMA = pl.Schema(
    {name: dtype for name, dtype in ENTRY_SCHEMA.items() if name not in _OF_ENTRIES_ONLY}
)
"""An allocation is a ledger entry before it is posted."""

_NUMBERS: Mapping[str, str] = {
    "charge_id": "x_ChargeId",
    "src_row": "x_RawRow",
    "charge_start": "ChargePeriodStart",
    "charge_end": "ChargePeriodEnd",
    **MEASURES,
}
_WORDS: Mapping[str, str] = {
    "src": "x_RawId",
    "service_provider": "ServiceProviderName",
    "resource": "ResourceId",
    "service": "ServiceName",
    "sku": "SkuId",
    "region": "RegionId",
    "currency": "BillingCurrency",
    "unit": "ConsumedUnit",
    "gpu_model": "x_GpuModel",
}
_ACCOUNTS = ("SubAccountId", "BillingAccountId")

_PART = "~part"
_CHARGE = "~charge"
_BEFORE = "~before"
_IS_SHARED = "~is_shared"


def allocate(
    charges: pl.LazyFrame,
    organization: Organization,
    partition: Partition,
    held: Holding | None = None,
    basis: Basis = NOTHING,
) -> pl.LazyFrame:
    """Share out the charges of one partition; see `ALLOCATION_SCHEMA`.

    `held` says which workloads held what the charges are for: `holding.of` all of the partition's.
    `basis` is what measured splits go by: see `finops.deciding`.
    """
    allocations = wording.whole(*allocated(charges, organization, partition, held, basis))
    return allocations.select(ALLOCATION_SCHEMA.names()).lazy()


def allocated(
    charges: pl.LazyFrame,
    organization: Organization,
    partition: Partition,
    held: Holding | None = None,
    basis: Basis = NOTHING,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Do as `allocate` does, with the words of the allocations apart: see `finops.wording`.

    Charges that are not split come first, otherwise the order is the charges'; what workloads
    explain comes last.
    """
    names = _texts(organization, held)
    numbers = [pl.col(column).alias(name) for name, column in _NUMBERS.items()]
    read = charges.select(*numbers, *names).collect(engine="in-memory")
    charged, words = wording.apart(read, names)
    deciding = _Deciding.of(organization, partition, basis)
    if held is None:
        return deciding.by_rules(charged, words)
    times = {"charge_start": holding.START, "charge_end": holding.END}
    spells = held.spell_of(charged.rename(times), words, WORDING)
    placed = charged.with_columns(spells)
    free = placed.filter(pl.col(SPELL).is_null()).drop(SPELL)
    return _together(
        deciding.by_rules(free, words),
        deciding.by_workloads(placed.filter(pl.col(SPELL).is_not_null()), words, held),
    )


def _together(
    *parts: tuple[pl.DataFrame, pl.DataFrame],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put numbers with their words below each other."""
    below, numbers = 0, []
    for rows, words in parts:
        numbers.append(rows.with_columns((pl.col(WORDING) + below).cast(pl.UInt32)))
        below += len(words)
    return pl.concat(numbers), pl.concat([words for _, words in parts])


@dataclass(frozen=True, slots=True)
class _Deciding:
    """The rules of an organization for the charges of one partition."""

    organization: Organization
    partition: Partition
    decider: Decider
    weights: Weights

    @classmethod
    def of(cls, organization: Organization, partition: Partition, basis: Basis) -> "_Deciding":
        valid = organization.on(partition.day)
        decider = rules.decider(valid, partition.provider, partition.source)
        return cls(organization, partition, decider, weights(organization, partition.day, basis))

    def by_rules(
        self, charged: pl.DataFrame, words: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Share out charges that go as a whole by the rules."""
        nobody = pl.lit(None, pl.String).alias(focus.WORKLOAD)
        decided = self._on_the_day(self.decider.decide(words.with_columns(nobody)))
        parts = _parts(_named(decided, self.partition), self.weights)
        places = parts.select(
            *(_BEFORE, "share_num", "share_den", _PART),
            pl.col("split").is_not_null().alias(_IS_SHARED),
        ).with_row_index(WORDING)
        return _shared_out(charged.rename({WORDING: _BEFORE}), places), parts.drop(_BEFORE, _PART)

    def by_workloads(
        self, charged: pl.DataFrame, words: pl.DataFrame, held: Holding
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Share out charges among those who held what they are for."""
        pairs = charged.select(WORDING, SPELL).unique(maintain_order=True).with_row_index(PAIR)
        parts, said = explained.parts(pairs, words, held, self._decide, self.weights)
        places = parts.with_columns(
            pl.int_range(pl.len()).over(PAIR).alias(_PART),
            (pl.col("share_den") > 1).alias(_IS_SHARED),
        ).rename({PAIR: _BEFORE})
        paired = charged.join(pairs, on=[WORDING, SPELL], how="left", maintain_order="left")
        named = _named(said, self.partition, "share_num", "share_den")
        return _shared_out(paired.drop(WORDING, SPELL).rename({PAIR: _BEFORE}), places), named

    def _decide(self, dimensions: pl.DataFrame) -> pl.DataFrame:
        decided = explained.with_policy(self.decider.decide(dimensions), self.organization)
        return self._on_the_day(decided)

    def _on_the_day(self, decided: pl.DataFrame) -> pl.DataFrame:
        day = self.partition.day
        nobody = emptied(self.weights, self.organization, day)
        return on_the_day(decided, nobody, self.organization, day)


def columns(organization: Organization, held: Holding | None = None) -> list[str]:
    """List the columns of charges that attribution looks at."""
    return [*_NUMBERS.values(), *_texts(organization, held)]


def proven(charges: pl.LazyFrame, allocations: pl.LazyFrame, where: str) -> dict[str, Decimal]:
    """Assert that the parts equal the whole, for every measure and currency and for every charge.

    Returns the billed total by currency. Raises `FinopsError` when a single unit is missing.
    """
    whole = charges.group_by(currency="BillingCurrency").agg(
        pl.col(column).sum().alias(name) for name, column in MEASURES.items()
    )
    parts = allocations.group_by("currency").agg(pl.col(list(MEASURES)).sum())
    expected, found = (
        frame.sort("currency").select("currency", *MEASURES).collect(engine="streaming")
        for frame in (whole, parts)
    )
    shares = (
        allocations.filter(pl.col("share_den") > 1)
        .group_by("charge_id", "share_den")
        .agg(pl.col("share_num").sum())
        .filter(pl.col("share_num") != pl.col("share_den"))
    )
    broken = shares.select(pl.len()).collect(engine="streaming").item()
    if broken or not expected.equals(found):
        raise FinopsError(
            f"{where}: the allocations do not add up to the charges; nothing was kept, please "
            f"report this with the bill and organization.toml"
        )
    return {
        code: Decimal(amount)
        for code, amount in expected.select("currency", "billed_cost").iter_rows()
    }


def _texts(organization: Organization, held: Holding | None) -> list[str]:
    placed = () if held is None else holding.PLACE_COLUMNS
    asked = {*rules.columns(organization)} - {focus.WORKLOAD}
    return sorted({*_WORDS.values(), *_ACCOUNTS, *asked, *placed})


def _named(words: pl.DataFrame, partition: Partition, *more: str) -> pl.DataFrame:
    """Give words the names that allocations and ledger entries use; keep the columns `more`."""
    return words.select(
        pl.lit(partition.provider).alias("provider"),
        pl.lit(partition.source).alias("source"),
        pl.lit(partition.period).alias("period"),
        pl.lit(partition.day).alias("day"),
        pl.coalesce(_ACCOUNTS).alias("account"),
        *(pl.col(column).alias(name) for name, column in _WORDS.items()),
        *rules.DECISION_SCHEMA,
        *more,
    )


def on_the_day(
    decided: pl.DataFrame, emptied: Mapping[str, str], organization: Organization, day: date
) -> pl.DataFrame:
    """Take back what was decided for cost centers and splits that nobody stands behind on `day`.

    `decided` has the columns of `rules.DECISION_SCHEMA`, and any others; `emptied` says why of each
    split that divides among nobody: see the function of that name.
    """
    closed = [id_ for id_, center in organization.cost_centers.items() if not center.valid_on(day)]
    if not closed and not emptied:
        return decided
    on_day = pl.lit(day.isoformat())
    gone = pl.col("cost_center").is_in(closed)
    nobody = pl.col("split").is_in([*emptied])
    said = (
        pl.when(gone)
        .then(pl.format("cost center {} is not valid on {}", "cost_center", on_day))
        .when(nobody)
        .then(pl.col("split").replace(emptied))
        .otherwise("reason")
    )
    hit = (gone | nobody).fill_null(value=False)
    return decided.with_columns(
        said.alias("reason"),
        pl.when(hit).then(pl.lit(rules.STEP_UNALLOCATED)).otherwise("step").alias("step"),
        pl.when(hit).then(None).otherwise("cost_center").alias("cost_center"),
        pl.when(hit).then(None).otherwise("split").alias("split"),
    )


def weights(organization: Organization, day: date, basis: Basis) -> Weights:
    """List each split's (cost center, numerator, denominator) among those that exist on `day`.

    The others share what would have been the part of one that does not exist. `basis` is what
    measured splits go by.
    """
    centers = organization.cost_centers
    return splits.shares(organization.splits, lambda each: centers[each].valid_on(day), basis)


def supposed(organization: Organization) -> Basis:
    """Suppose that all have as much: for those who ask about everything but the shares."""
    everybody = dict.fromkeys(organization.cost_centers, Decimal(1))
    return {
        name: dict.fromkeys(split.among, Decimal(1)) if split.among else everybody
        for name, split in splits.measured(organization.splits).items()
    }


def emptied(weights: Weights, organization: Organization, day: date) -> dict[str, str]:
    """Say of each split that divides among nobody on `day` why that is so."""
    named = organization.splits
    measured = splits.measured(named)
    return {
        name: f"no cost center of split {name} is valid on {day}"
        if splits.used(named, [name]).isdisjoint(measured)
        else f"split {name} has nothing to go by on {day}"
        for name, members in weights.items()
        if not members
    }


def _parts(words: pl.DataFrame, split_weights: Weights) -> pl.DataFrame:
    """List the parts of every wording: one when it has no split, else one for each member.

    `_BEFORE` is the wording the part belongs to, `_PART` its place among the parts.
    """
    weights = pl.DataFrame(
        [
            (name, center, num, den, place)
            for name, members in split_weights.items()
            for place, (center, num, den) in enumerate(members)
        ],
        schema={
            "split": pl.String,
            "member": pl.String,
            "share_num": pl.Int64,
            "share_den": pl.Int64,
            _PART: pl.Int64,
        },
        orient="row",
    )
    return (
        words.with_row_index(_BEFORE)
        .join(weights, on="split", how="left", maintain_order="left_right")
        .with_columns(
            pl.coalesce("cost_center", "member").alias("cost_center"),
            pl.col("share_num", "share_den").fill_null(1),
        )
        .drop("member")
    )


def _shared_out(charged: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Divide charges by the shares of their parts: largest remainder at 10⁻¹⁸.

    `places` lists the parts of what a charge's `_BEFORE` counts, in that order and by `_PART`. For an
    amount of `a` atoms and the share `n/d` a part gets ⌊a·n/d⌋ and, while atoms are left over, one
    more to the largest remainders, the first part (of the alphabetically first cost center) first
    among equals. `a = q·d + r` keeps every product within 128 bits.
    """
    numbers = charged.with_row_index(_CHARGE)
    first = places.filter(pl.col(_PART).fill_null(0) == 0).select(WORDING, _IS_SHARED)
    placed = numbers.hstack(first[numbers.get_column(_BEFORE)])
    whole = placed.filter(~pl.col(_IS_SHARED))
    split = placed.filter(_IS_SHARED).drop(WORDING, _IS_SHARED)
    given = [name for name in MEASURES if split.get_column(name).null_count() < len(split)]
    shared = split.join(places, on=_BEFORE, maintain_order="left_right").with_columns(
        _part(measure).alias(measure) for measure in given
    )
    return pl.concat([rows.select(*_NUMBERS, WORDING) for rows in (whole, shared)])


def divided(parts: pl.DataFrame, charge: str, amounts: Sequence[str]) -> pl.DataFrame:
    """Divide `amounts`, which every part holds whole, by the parts' shares, as `MEASURES` are.

    The parts of a `charge` stand together, the one that gets what is left over first at the
    beginning; they have `share_num` and `share_den`, and are all that the charge has.
    """
    numbered = parts.with_columns(pl.col(charge).rle_id().alias(_CHARGE))
    placed = numbered.with_columns(pl.int_range(pl.len()).over(_CHARGE).alias(_PART))
    return placed.with_columns(_part(name).alias(name) for name in amounts).drop(_CHARGE, _PART)


def _part(measure: str) -> pl.Expr:
    atoms = money.to_atoms(pl.col(measure))
    magnitude, den = atoms.abs(), pl.col("share_den").cast(pl.Int128)
    num = pl.col("share_num").cast(pl.Int128)
    scaled = (magnitude % den) * num
    floor = (magnitude // den) * num + scaled // den
    # The parts of a charge stand together, so where a sort by remainder puts a row, less where
    # they begin, is its rank among them: four times faster than ranking charge by charge.
    place = pl.col(_PART)
    order = pl.arg_sort_by(pl.col(_CHARGE), scaled % den, place, descending=[False, True, False])
    rank = order.arg_sort().cast(pl.Int128) - (pl.int_range(pl.len()) - place)
    left_over = magnitude - floor.sum().over(_CHARGE)
    extra = (rank < left_over).cast(pl.Int128)
    return money.from_atoms((floor + extra) * atoms.sign())
