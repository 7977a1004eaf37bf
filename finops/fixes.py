"""The cheapest fixes: which tag, on which account or resource, would lift coverage most.

What the ledger says is unallocated is held against the rules that look a cost center up: a value
that names none wants an alias or a correction, a missing one wants a tag. Fixes are ranked
greedily, so no charge is counted for two of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

import polars as pl

from finops import charges, gaps, money, rules, trial
from finops.coverage import UNKNOWN_PROVIDER, Share
from finops.dimension_sets import DimensionSets
from finops.organization import Organization
from finops.partition import Partition
from finops.warehouse import Warehouse

MOST = 10
_MOST_RESOURCES = 3
_OWNED = Decimal("0.6")
"""The share of an account's other money from which on its owner is worth a hint."""

_POINTS = Decimal("0.01")
_ACCOUNT = ("service_provider", "account")
_CANDIDATE = ("kind", "column", "value", *_ACCOUNT)


class Kind(StrEnum):
    """What there is to do."""

    CORRECT = "correct"
    TAG = "tag"
    RULE = "rule"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing to do, and what it lifts: `points` are percent of what was billed.

    `coverage` is reached once it and all fixes before it are done. `hint` names whose it may be.
    """

    currency: str
    kind: Kind
    column: str | None
    value: str | None
    provider: str
    account: str | None
    account_name: str | None
    resources: tuple[str, ...]
    resource_count: int
    charges: int
    amount: Decimal
    points: Decimal
    coverage: Decimal
    hint: str | None

    @property
    def told(self) -> str:
        """Say what to do."""
        named = rules.spoken(self.column) if self.column else ""
        where = self.account_name or self.account or "no account"
        match self.kind:
            case Kind.CORRECT:
                return f"correct {named} = {self.value!r}, or make it an alias"
            case Kind.TAG if self.resource_count == 1 and self.resources:
                return f"set {named} on {self.resources[0]} of {where}"
            case Kind.TAG if self.resource_count:
                return f"set {named} on {self.resource_count} resources of {where}"
            case Kind.ATTRIBUTE:
                return "run `finops attribute`: the rules catch it by now"
        return f"write a rule for {where}"


def fixes(
    warehouse: Warehouse,
    entries: pl.LazyFrame,
    organization: Organization,
    wholes: Mapping[str, Share],
) -> list[Fix]:
    """Rank what would lift the coverage of each currency most; see `Fix`.

    `entries` are ledger entries of some periods, `wholes` what was billed in them by currency.
    """
    open_ = _open(warehouse, entries, organization)
    if open_.is_empty():
        return []
    candidates = pl.concat([_candidates(rows, organization) for rows in _by_era(open_)])
    owners, liked = _owners(entries), _liked(entries, organization)
    found: list[Fix] = []
    for currency, share in sorted(wholes.items()):
        mine = candidates.filter(pl.col("currency") == currency)
        found += _ranked(mine, share, organization, owners, liked)
    return found


def _open(warehouse: Warehouse, entries: pl.LazyFrame, organization: Organization) -> pl.DataFrame:
    """Join what is unallocated in the ledger to what the rules can see of the charge."""
    keys = ("provider", "source", "period", "day")
    kept = ("charge_id", "currency", *_ACCOUNT, "resource", "billed_cost")
    live = gaps.live_unallocated(entries).select(*keys, *kept).collect()
    there = set(charges.partitions(warehouse))
    names = sorted({*rules.columns(organization), "SubAccountName"})
    found = []
    for (provider, source, period, day), rows in live.group_by(keys, maintain_order=True):
        partition = Partition(str(provider), str(source), str(period), day)
        if partition in there:
            seen = charges.read(warehouse, partition).select("x_ChargeId", *names)
            wanted = seen.filter(pl.col("x_ChargeId").is_in(rows.get_column("charge_id").implode()))
            joined = rows.join(
                wanted.collect(), left_on="charge_id", right_on="x_ChargeId", how="inner"
            )
            era = pl.lit(organization.era(partition.day)).alias("~era")
            found.append(joined.with_columns(era))
    return pl.concat(found).with_row_index("~row") if found else pl.DataFrame()


def _by_era(open_: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for _, rows in open_.group_by("~era", maintain_order=True):
        yield rows


def _candidates(rows: pl.DataFrame, organization: Organization) -> pl.DataFrame:
    """List for every open charge the fixes that would catch it: one row for each pair."""
    valid = organization.on(rows.get_column("day")[0])
    sets = DimensionSets(rows, valid, {})
    is_caught = rules.decide(rows, valid, {}).get_column("step") != rules.STEP_UNALLOCATED
    base = rows.select(
        "~row", "currency", *_ACCOUNT, "resource", "billed_cost", account_name="SubAccountName"
    )
    frames = [_kind(base, Kind.ATTRIBUTE, None).filter(is_caught)]
    pending = ~is_caught
    wrong = pl.repeat(value=False, n=len(rows), dtype=pl.Boolean, eager=True)
    missing = []
    for rule in valid.rules:
        column = rule.cost_center_from
        if column is None:
            continue
        rest = {name: each for name, each in rule.match.items() if name != column}
        matching = sets.matching(rest)
        if matching is None:
            continue
        given = sets.values(column).series()
        is_given = given.is_not_null() & (given != "")
        corrected = matching & is_given & pending
        frames.append(_kind(base, Kind.CORRECT, column, given).filter(corrected))
        wrong |= corrected
        missing.append((column, matching & ~is_given & pending))
    tagged = pl.repeat(value=False, n=len(rows), dtype=pl.Boolean, eager=True)
    for column, mask in missing:
        frames.append(_kind(base, Kind.TAG, column).filter(mask & ~wrong))
        tagged |= mask
    frames.append(_kind(base, Kind.RULE, None).filter(pending & ~wrong & ~tagged))
    return pl.concat(frames).unique(maintain_order=True)


def _kind(
    base: pl.DataFrame, kind: Kind, column: str | None, value: pl.Series | None = None
) -> pl.DataFrame:
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(base))
    found = base.with_columns(
        pl.lit(kind.value).alias("kind"),
        pl.lit(column, pl.String).alias("column"),
        (nothing if value is None else value).alias("value"),
    )
    if kind in {Kind.CORRECT, Kind.ATTRIBUTE}:
        # One correction counts wherever the value is.
        return found.with_columns(
            pl.lit(None, pl.String).alias("account_name"),
            *(pl.lit(None, pl.String).alias(name) for name in _ACCOUNT),
        )
    return found


def _ranked(
    candidates: pl.DataFrame,
    share: Share,
    organization: Organization,
    owners: Mapping[tuple[str | None, str | None], str],
    liked: Sequence[str],
) -> Iterator[Fix]:
    covered = share.allocated
    preference = {column: place for place, column in enumerate(liked)}
    rank = pl.col("column").replace_strict(
        preference, default=len(preference), return_dtype=pl.Int64
    )
    for _ in range(MOST):
        best = (
            candidates.group_by(_CANDIDATE)
            .agg(
                pl.col("billed_cost").sum().alias("amount"),
                pl.len().alias("charges"),
                pl.col("resource").n_unique().alias("resource_count"),
                pl.col("account_name").drop_nulls().first(),
            )
            .sort("amount", rank, *_CANDIDATE, descending=[True, *[False] * 6])
            .head(1)
        )
        if best.is_empty() or best.item(0, "amount") <= 0:
            return
        mine = candidates.join(best, on=_CANDIDATE, how="semi", nulls_equal=True)
        facts = best.row(0, named=True)
        covered = money.CONTEXT.add(covered, facts["amount"])
        yield _fix(facts, mine, share, covered, _hint(facts, organization, owners))
        candidates = candidates.join(mine, on="~row", how="anti")


def _fix(
    facts: Mapping[str, object],
    mine: pl.DataFrame,
    share: Share,
    covered: Decimal,
    hint: str | None,
) -> Fix:
    dearest = (
        mine.filter(pl.col("resource").is_not_null())
        .group_by("resource")
        .agg(pl.col("billed_cost").sum())
        .sort("billed_cost", "resource", descending=[True, False])
    )
    amount = Decimal(str(facts["amount"]))
    value, column, account = (facts[name] for name in ("value", "column", "account"))
    name, provider = facts["account_name"], facts["service_provider"]
    return Fix(
        currency=str(mine.item(0, "currency")),
        kind=Kind(str(facts["kind"])),
        column=None if column is None else str(column),
        value=None if value is None else str(value),
        provider=UNKNOWN_PROVIDER if provider is None else str(provider),
        account=None if account is None else str(account),
        account_name=None if name is None else str(name),
        resources=tuple(dearest.get_column("resource").head(_MOST_RESOURCES)),
        resource_count=len(dearest),
        charges=len(mine),
        amount=amount,
        points=_points(amount, share.billed),
        coverage=Share(covered, money.CONTEXT.subtract(share.billed, covered), Decimal(0)).coverage,
        hint=hint,
    )


def _points(amount: Decimal, billed: Decimal) -> Decimal:
    if billed <= 0:
        return Decimal(0)
    quotient = money.CONTEXT.divide(amount * 100, billed)
    return quotient.quantize(_POINTS, ROUND_DOWN)


def _hint(
    facts: Mapping[str, object],
    organization: Organization,
    owners: Mapping[tuple[str | None, str | None], str],
) -> str | None:
    if facts["kind"] == Kind.CORRECT:
        return trial.nearest(str(facts["value"]), list(organization.by_name))
    key = (facts["service_provider"], facts["account"])
    return owners.get(key)  # type: ignore[arg-type]


def _owners(entries: pl.LazyFrame) -> dict[tuple[str | None, str | None], str]:
    """Find for each account the cost center that carries most of its other money."""
    carried = (
        entries.filter(pl.col("cost_center").is_not_null(), pl.col("account").is_not_null())
        .group_by(*_ACCOUNT, "cost_center")
        .agg(pl.col("billed_cost").sum())
        .collect()
    )
    found = {}
    for (provider, account), rows in carried.group_by(_ACCOUNT):
        total = Decimal(str(rows.get_column("billed_cost").sum()))
        best = rows.sort("billed_cost", "cost_center", descending=[True, False]).row(0, named=True)
        if total > 0 and best["billed_cost"] >= money.CONTEXT.multiply(_OWNED, total):
            found[provider, account] = best["cost_center"]
    return found


def _liked(entries: pl.LazyFrame, organization: Organization) -> list[str]:
    """List the columns that cost centers are looked up from, the ones that catch most first."""
    caught = entries.group_by("rule").agg(pl.col("billed_cost").abs().sum()).collect()
    by_rule = dict(caught.iter_rows())
    sums: dict[str, Decimal] = {}
    for rule in organization.rules:
        if rule.cost_center_from is not None:
            more = by_rule.get(rule.id) or Decimal(0)
            sums[rule.cost_center_from] = sums.get(rule.cost_center_from, Decimal(0)) + more
    return sorted(sums, key=lambda column: -sums[column])
