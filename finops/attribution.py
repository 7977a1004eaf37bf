"""Attribution: whose cost is each charge, exactly.

Charges x rules x organization give allocations: one row per charge and cost center that carries
a share of it. The shares of a charge add up to it for every cost measure, to the last of 18
decimals; that is asserted before the rows are used and again after they were read back.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import polars as pl

from finops import money, rules, splits, wording
from finops.errors import FinopsError
from finops.ledger import ENTRY_SCHEMA
from finops.organization import Organization
from finops.partition import Partition
from finops.weights import Shares
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


def allocate(
    charges: pl.LazyFrame, organization: Organization, partition: Partition
) -> pl.LazyFrame:
    """Share out the charges of one partition; see `ALLOCATION_SCHEMA`."""
    allocations = wording.whole(*allocated(charges, organization, partition))
    return allocations.select(ALLOCATION_SCHEMA.names()).lazy()


def allocated(
    charges: pl.LazyFrame, organization: Organization, partition: Partition
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Do as `allocate` does, with the words of the allocations apart: see `finops.wording`.

    Charges that are not split come first, otherwise the order is the charges'.
    """
    names = _texts(organization)
    numbers = [pl.col(column).alias(name) for name, column in _NUMBERS.items()]
    read = charges.select(*numbers, *names).collect(engine="in-memory")
    charged, words = wording.apart(read, names)
    valid = organization.on(partition.day)
    decider = rules.decider(valid, partition.provider, partition.source)
    decided = on_the_day(decider.decide(words), organization, partition)
    parts = _parts(_named(decided, partition), organization, partition.day)
    return _shared_out(charged, parts), parts.drop(_BEFORE, _PART)


def columns(organization: Organization) -> list[str]:
    """List the columns of charges that attribution looks at."""
    return [*_NUMBERS.values(), *_texts(organization)]


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


def _texts(organization: Organization) -> list[str]:
    return sorted({*_WORDS.values(), *_ACCOUNTS, *rules.columns(organization)})


def _named(words: pl.DataFrame, partition: Partition) -> pl.DataFrame:
    """Give words the names that allocations and ledger entries use."""
    return words.select(
        pl.lit(partition.provider).alias("provider"),
        pl.lit(partition.source).alias("source"),
        pl.lit(partition.period).alias("period"),
        pl.lit(partition.day).alias("day"),
        pl.coalesce(_ACCOUNTS).alias("account"),
        *(pl.col(column).alias(name) for name, column in _WORDS.items()),
        *rules.DECISION_SCHEMA,
    )


def on_the_day(
    decided: pl.DataFrame, organization: Organization, partition: Partition
) -> pl.DataFrame:
    """Take back what was decided for cost centers that do not exist on the partition's day.

    `decided` has the columns of `rules.DECISION_SCHEMA`, and any others.
    """
    closed = [
        id_
        for id_, center in organization.cost_centers.items()
        if not center.valid_on(partition.day)
    ]
    if not closed:
        return decided
    emptied = [
        name for name, weights in _weights(organization, partition.day).items() if not weights
    ]
    day = pl.lit(partition.day.isoformat())
    gone = pl.col("cost_center").is_in(closed)
    nobody = pl.col("split").is_in(emptied).fill_null(value=False)
    said = (
        pl.when(gone)
        .then(pl.format("cost center {} is not valid on {}", "cost_center", day))
        .when(nobody)
        .then(pl.format("no cost center of split {} is valid on {}", "split", day))
        .otherwise("reason")
    )
    hit = gone.fill_null(value=False) | nobody
    return decided.with_columns(
        said.alias("reason"),
        pl.when(hit).then(pl.lit(rules.STEP_UNALLOCATED)).otherwise("step").alias("step"),
        pl.when(hit).then(None).otherwise("cost_center").alias("cost_center"),
        pl.when(hit).then(None).otherwise("split").alias("split"),
    )


def _weights(organization: Organization, day: date) -> dict[str, Shares]:
    """List each split's (cost center, numerator, denominator) among those that exist on `day`.

    The others share what would have been the part of one that does not exist.
    """
    centers = organization.cost_centers
    return splits.shares(
        organization.splits, lambda each: each in centers and centers[each].valid_on(day), {}
    )


def _parts(words: pl.DataFrame, organization: Organization, day: date) -> pl.DataFrame:
    """List the parts of every wording: one when it has no split, else one for each member.

    `_BEFORE` is the wording the part belongs to, `_PART` its place among the parts.
    """
    weights = pl.DataFrame(
        [
            (name, center, num, den, place)
            for name, members in _weights(organization, day).items()
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


def _shared_out(charged: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Divide charges by the weights of their split: largest remainder at 10⁻¹⁸.

    For an amount of `a` atoms and the weight `n/d` a part gets ⌊a·n/d⌋ and, while atoms are left
    over, one more to the largest remainders, the alphabetically first cost center first among
    equals. `a = q·d + r` keeps every product within 128 bits.
    """
    places = parts.select(_BEFORE, "split", "share_num", "share_den", _PART).with_row_index(WORDING)
    numbers = charged.rename({WORDING: _BEFORE}).with_row_index(_CHARGE)
    first = places.unique(_BEFORE, keep="first", maintain_order=True).select(WORDING, "split")
    placed = numbers.hstack(first[numbers.get_column(_BEFORE)])
    whole = placed.filter(pl.col("split").is_null())
    split = placed.filter(pl.col("split").is_not_null()).drop(WORDING, "split")
    given = [name for name in MEASURES if split.get_column(name).null_count() < len(split)]
    shared = split.join(places, on=_BEFORE, maintain_order="left_right").with_columns(
        _part(measure).alias(measure) for measure in given
    )
    return pl.concat([rows.select(*_NUMBERS, WORDING) for rows in (whole, shared)])


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
