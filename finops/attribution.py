"""Attribution: whose cost is each charge, exactly.

Charges x rules x organization give allocations: one row per charge and cost center that carries
a share of it. The shares of a charge add up to it for every cost measure, to the last of 18
decimals; that is asserted before the rows are used and again after they were read back.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import polars as pl

from finops import money, rules
from finops.errors import FinopsError
from finops.focus import TIME_DTYPE
from finops.organization import Organization
from finops.partition import Partition

MEASURES: Mapping[str, str] = {
    "billed_cost": "BilledCost",
    "effective_cost": "EffectiveCost",
    "contracted_cost": "ContractedCost",
    "list_cost": "ListCost",
    "gpu_hours": "x_GpuHours",
    "quantity": "ConsumedQuantity",
}
"""What is shared out, and the FOCUS column it comes from."""

ALLOCATION_SCHEMA = pl.Schema(
    {
        "charge_id": pl.String(),
        "src": pl.String(),
        "src_row": pl.Int64(),
        "provider": pl.String(),
        "source": pl.String(),
        "period": pl.String(),
        "day": pl.Date(),
        "charge_start": TIME_DTYPE,
        "charge_end": TIME_DTYPE,
        "service_provider": pl.String(),
        "account": pl.String(),
        "resource": pl.String(),
        "service": pl.String(),
        "sku": pl.String(),
        "region": pl.String(),
        "cost_center": pl.String(),
        "step": pl.String(),
        "rule": pl.String(),
        "reason": pl.String(),
        "share_num": pl.Int64(),
        "share_den": pl.Int64(),
        "billed_cost": money.DTYPE,
        "effective_cost": money.DTYPE,
        "contracted_cost": money.DTYPE,
        "list_cost": money.DTYPE,
        "currency": pl.String(),
        "quantity": money.DTYPE,
        "unit": pl.String(),
        "gpu_model": pl.String(),
        "gpu_hours": money.DTYPE,
    }
)

_PART = "~part"


def dimension_sets(charges: pl.LazyFrame, organization: Organization) -> pl.DataFrame:
    """Collect the distinct combinations of the columns that the rules look at."""
    names = rules.columns(organization)
    if not names:
        return pl.DataFrame({_PART: [0]})
    return charges.select(names).unique().collect(engine="streaming").sort(names)


def allocate(
    charges: pl.LazyFrame, organization: Organization, partition: Partition
) -> pl.LazyFrame:
    """Share out the charges of one partition; see `ALLOCATION_SCHEMA`. Order is the charges'."""
    constants = {"provider": partition.provider, "source": partition.source}
    decisions = rules.decide(dimension_sets(charges, organization), organization, constants)
    closed = _closed_on(partition, organization)
    decisions = _without(decisions, closed, partition) if closed else decisions
    named = _named(charges, partition)
    names = rules.columns(organization)
    if names:
        decided = named.join(decisions.lazy(), on=names, how="left", nulls_equal=True, maintain_order="left")
    else:
        decided = named.join(decisions.lazy().drop(_PART), how="cross", maintain_order="left")
    whole = decided.filter(pl.col("split").is_null()).with_columns(
        share_num=pl.lit(1, pl.Int64), share_den=pl.lit(1, pl.Int64)
    )
    frames = [whole.select(ALLOCATION_SCHEMA.names())]
    if decisions.get_column("split").null_count() < len(decisions):
        shared = decided.filter(pl.col("split").is_not_null())
        frames.append(_shared_out(shared, organization).select(ALLOCATION_SCHEMA.names()))
    return pl.concat(frames)


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
    return {code: Decimal(amount) for code, amount in expected.select("currency", "billed_cost").iter_rows()}


def _named(charges: pl.LazyFrame, partition: Partition) -> pl.LazyFrame:
    """Give charges the names that allocations and ledger entries use."""
    return charges.with_columns(
        pl.col("x_ChargeId").alias("charge_id"),
        pl.col("x_RawId").alias("src"),
        pl.col("x_RawRow").alias("src_row"),
        pl.lit(partition.provider).alias("provider"),
        pl.lit(partition.source).alias("source"),
        pl.lit(partition.period).alias("period"),
        pl.lit(partition.day).alias("day"),
        pl.col("ChargePeriodStart").alias("charge_start"),
        pl.col("ChargePeriodEnd").alias("charge_end"),
        pl.col("ServiceProviderName").alias("service_provider"),
        pl.coalesce("SubAccountId", "BillingAccountId").alias("account"),
        pl.col("ResourceId").alias("resource"),
        pl.col("ServiceName").alias("service"),
        pl.col("SkuId").alias("sku"),
        pl.col("RegionId").alias("region"),
        pl.col("BillingCurrency").alias("currency"),
        pl.col("ConsumedUnit").alias("unit"),
        pl.col("x_GpuModel").alias("gpu_model"),
        *(pl.col(column).alias(name) for name, column in MEASURES.items()),
    )


def _closed_on(partition: Partition, organization: Organization) -> list[str]:
    return [
        id_
        for id_, center in organization.cost_centers.items()
        if not center.valid_on(partition.day)
    ]


def _without(decisions: pl.DataFrame, closed: Sequence[str], partition: Partition) -> pl.DataFrame:
    """Take back what was decided for cost centers that do not exist on the partition's day."""
    hit = pl.col("cost_center").is_in(closed)
    said = pl.format("cost center {} is not valid on {}", "cost_center", pl.lit(partition.day.isoformat()))
    return decisions.with_columns(
        pl.when(hit).then(said).otherwise("reason").alias("reason"),
        pl.when(hit).then(pl.lit(rules.STEP_UNALLOCATED)).otherwise("step").alias("step"),
        pl.when(hit).then(None).otherwise("cost_center").alias("cost_center"),
    )


def _shared_out(shared: pl.LazyFrame, organization: Organization) -> pl.LazyFrame:
    """Divide charges by the weights of their split: largest remainder at 10⁻¹⁸.

    For an amount of `a` atoms and the weight `n/d` a part gets ⌊a·n/d⌋ and, while atoms are left
    over, one more to the largest remainders, the alphabetically first cost center first among
    equals. `a = q·d + r` keeps every product within 128 bits.
    """
    weights = pl.LazyFrame(
        [
            (name, center, num, den, place)
            for name, split in organization.splits.items()
            for place, (center, num, den) in enumerate(split.weights)
        ],
        schema={
            "split": pl.String,
            "cost_center": pl.String,
            "share_num": pl.Int64,
            "share_den": pl.Int64,
            _PART: pl.Int64,
        },
        orient="row",
    )
    parts = shared.drop("cost_center").join(weights, on="split", how="left", maintain_order="left")
    return parts.with_columns(_part(measure).alias(measure) for measure in MEASURES)


def _part(measure: str) -> pl.Expr:
    atoms = money.to_atoms(pl.col(measure))
    magnitude, den = atoms.abs(), pl.col("share_den").cast(pl.Int128)
    num = pl.col("share_num").cast(pl.Int128)
    scaled = (magnitude % den) * num
    floor = (magnitude // den) * num + scaled // den
    # Ranking by (remainder, then earlier place) in one number: places are far fewer than 10⁶.
    order = (scaled % den) * 1_000_000 - pl.col(_PART)
    rank = order.rank("ordinal", descending=True).over("charge_id")
    left_over = magnitude - floor.sum().over("charge_id")
    extra = (rank.cast(pl.Int128) <= left_over).cast(pl.Int128)
    return money.from_atoms((floor + extra) * atoms.sign())
