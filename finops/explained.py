"""Charges that workloads explain: who held how much of them, and whose each holder is.

A holder's part is decided by the same rules as a charge, with the workload's tags laid over the
charge's. What nobody held goes by the organization's policy for idle time.
"""

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from finops import focus, rules, shares
from finops.held import (
    AMOUNT,
    GPU_TIME,
    GPU_TIME_HELD,
    HOLDER,
    MEASURED,
    OVERBOOKED,
    SPELL,
    TIME_HELD,
    USED,
    WEIGHT,
)
from finops.holding import Holding
from finops.organization import Organization
from finops.rules import STEP_SPLIT, STEP_UNALLOCATED
from finops.wording import WORDING

STEP_WORKLOAD = "workload"
STEP_IDLE = "idle"

PAIR = "~pair"
"""A wording and a spell: what charges have in common that are shared out alike."""
_CASE, _END, _TIMES = "~case", "~end", "~times"
_OVER, _TOGETHER, _SAME, _FIRST = "~over", "~together", "~same", "~first"
_MEMBER, _AMONG, _BESIDE = "~member", "~among", "\x1f"
_TENTHS = "~tenths"
_WHO = ["kind", "name"]
_MOST_FACTOR = 10**18
OVER = "; together they held "
"""What the reason goes on with where more was held than there is."""
BUT = ": "
"""Between who held a part and why nobody answers for it."""

Decide = Callable[[pl.DataFrame], pl.DataFrame]
Weights = Mapping[str, Sequence[tuple[str, int, int]]]


def parts(
    pairs: pl.DataFrame, words: pl.DataFrame, holding: Holding, decide: Decide, weights: Weights
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """List the parts of every pair, and what there is to say of them.

    `pairs` has `PAIR`, `WORDING` (a row of `words`) and `SPELL`. The parts have `PAIR`,
    `share_num`, `share_den` and `WORDING`: a row of the words returned, which are the columns of
    `words` and `rules.DECISION_SCHEMA`, with the shares.
    `decide` adds `DECISION_SCHEMA` to dimension sets; `weights` are those of each split.
    """
    held = pairs.join(holding.parts, on=SPELL, maintain_order="left_right")
    cases = held.select(WORDING, HOLDER).unique(maintain_order=True).with_row_index(_CASE)
    held = held.join(cases, on=[WORDING, HOLDER], how="left", nulls_equal=True).select(
        PAIR, _CASE, AMOUNT, MEASURED, USED, OVERBOOKED
    )
    decided = decide(_dimensions(cases, words, holding))
    merged = _merged(held, cases, decided)
    ends = _ends(decided, weights)
    return _said(_shared(merged, ends, weights), ends)


def with_policy(decided: pl.DataFrame, organization: Organization) -> pl.DataFrame:
    """Let the policy decide about idle time: `kind` is null where nobody held it."""
    owners = decided.get_column("cost_center").unique().to_list()
    found = [
        organization.idle.policy(organization.lineage(each) if each else ()) for each in owners
    ]
    policies = pl.DataFrame(
        {
            "cost_center": owners,
            "to": [policy.cost_center for _, policy in found],
            "among": [policy.split for _, policy in found],
            "policy": [name for name, _ in found],
        },
        schema=dict.fromkeys(("cost_center", "to", "among", "policy"), pl.String()),
    )
    goes = pl.col("kind").is_null() & pl.any_horizontal(
        pl.col("to").is_not_null(), pl.col("among").is_not_null()
    )
    return (
        decided.join(
            policies, on="cost_center", how="left", nulls_equal=True, maintain_order="left"
        )
        .with_columns(
            pl.when(goes).then("to").otherwise("cost_center").alias("cost_center"),
            pl.when(goes).then("among").otherwise("split").alias("split"),
            pl.when(goes).then("policy").otherwise("rule").alias("rule"),
            pl.when(goes).then(None).otherwise("reason").alias("reason"),
            pl.when(goes).then(pl.lit(STEP_SPLIT)).otherwise("step").alias("step"),
        )
        .drop("to", "among", "policy")
    )


def _dimensions(cases: pl.DataFrame, words: pl.DataFrame, holding: Holding) -> pl.DataFrame:
    """Give each case the words of its charges, with what is known of the workload laid over."""
    facts = pl.struct(focus.WORKLOAD_FACTS).struct.json_encode().alias(focus.WORKLOAD)
    named = holding.holders.select(HOLDER, *_WHO, pl.col("tags").alias(_OVER), facts)
    cased = words[cases.get_column(WORDING)].drop(focus.WORKLOAD, strict=False)
    joined = cased.hstack(cases.select(_CASE, HOLDER)).join(
        named, on=HOLDER, how="left", maintain_order="left"
    )
    both = [focus.TAGS, _OVER]
    tags = joined.select(both).unique()
    over = [_laid_over(*each) for each in tags.iter_rows()]
    together = tags.with_columns(pl.Series(_TOGETHER, over, pl.String))
    return (
        joined.join(together, on=both, how="left", nulls_equal=True, maintain_order="left")
        .drop(*both, HOLDER)
        .rename({_TOGETHER: focus.TAGS})
    )


@functools.lru_cache(maxsize=100_000)
def _laid_over(tags: str | None, over: str | None) -> str | None:
    if not over:
        return tags
    return json.dumps({**json.loads(tags or "{}"), **json.loads(over)}, sort_keys=True)


def _merged(held: pl.DataFrame, cases: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Add up what cannot be told apart: the same name, going the same way for the same reason."""
    same = pl.struct(*_WHO, *rules.DECISION_SCHEMA.names()).rank("dense").cast(pl.UInt32)
    group = decided.select(_CASE, same.alias(_SAME)).hstack(cases.select(WORDING))
    first = pl.col(_CASE).min().over(_SAME, WORDING).alias(_FIRST)
    if group.select(first).to_series().equals(group.get_column(_CASE).alias(_FIRST)):
        return held
    used = (pl.col(USED) * pl.col(AMOUNT)).sum() // pl.col(AMOUNT).sum()
    added = (
        held.join(group.select(_CASE, first), on=_CASE, how="left", maintain_order="left")
        .drop(_CASE)
        .rename({_FIRST: _CASE})
        .group_by(PAIR, _CASE, MEASURED, OVERBOOKED, maintain_order=True)
        .agg(
            pl.when(pl.col(USED).is_not_null().all()).then(used.cast(pl.Int64)).alias(USED),
            pl.col(AMOUNT).sum(),
        )
    )
    return shares.reduced(added, PAIR, AMOUNT)


def _ends(decided: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """List where each case goes: to one cost center, to nobody, or to the members of a split.

    They come in the order of the parts of a charge: the alphabetically first gets what is left over
    first.
    """
    members = pl.DataFrame(
        [(name, center) for name, each in weights.items() for center, _, _ in each],
        schema={"split": pl.String, _MEMBER: pl.String},
        orient="row",
    )
    order = ["cost_center", "step", "rule", *_WHO, "reason", _CASE]
    return (
        decided.join(members, on="split", how="left", maintain_order="left_right")
        .with_columns(pl.coalesce("cost_center", _MEMBER).alias("cost_center"), _step())
        .sort(order, nulls_last=True)
        .with_row_index(_END)
    )


def _numbers(weights: Sequence[tuple[str, int, int]], factor: int) -> list[tuple[str, int]]:
    """Bring the weights of a split to a common denominator; cut off at 18 digits."""
    if factor <= _MOST_FACTOR:
        return [(center, factor * num // den) for center, num, den in weights]
    numbers = [(center, _MOST_FACTOR * num // den) for center, num, den in weights]
    rest = _MOST_FACTOR - sum(number for _, number in numbers)
    return [(center, number + (place < rest)) for place, (center, number) in enumerate(numbers)]


def _step() -> pl.Expr:
    """Name the step: nobody's stays `unallocated`, whatever held it."""
    return (
        pl.when(pl.col("step") == STEP_UNALLOCATED)
        .then("step")
        .when(pl.col("kind").is_null())
        .then(pl.lit(STEP_IDLE))
        .otherwise(pl.lit(STEP_WORKLOAD))
        .alias("step")
    )


def _shared(held: pl.DataFrame, ends: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """Give each end of a pair its share, in whole numbers that add up to `share_den`."""
    total = pl.col(AMOUNT).sum().over(PAIR)
    tenths = ((pl.col(AMOUNT) * 1000 + total // 2) // total).cast(pl.Int64).alias(_TENTHS)
    went = held.with_columns(tenths).join(ends.select(_CASE, _END, "split", _MEMBER), on=_CASE)
    went = went.sort(PAIR, _END)
    is_split = pl.col("split").is_not_null().any().over(PAIR)
    plain, split = went.filter(~is_split), _divided(went.filter(is_split), weights)
    return (
        pl.concat([plain, shares.reduced(split, PAIR, AMOUNT)])
        .drop("split", _MEMBER)
        .sort(PAIR, _END)
        .with_columns(
            pl.col(AMOUNT).cast(pl.Int64).alias("share_num"),
            pl.col(AMOUNT).sum().over(PAIR).cast(pl.Int64).alias("share_den"),
        )
    )


def _divided(went: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """Divide what holders held among the members of splits, whole numbers as before.

    The common denominator is that of the pair's own splits: what others there are changes nothing.
    """
    named = pl.col("split").drop_nulls().unique().sort().str.join(_BESIDE)
    among = went.group_by(PAIR).agg(named.alias(_AMONG))
    times = pl.DataFrame(
        [
            (alike, *row)
            for alike in among.get_column(_AMONG).unique().sort()
            for row in _times({name: weights[name] for name in alike.split(_BESIDE)})
        ],
        schema={
            _AMONG: pl.String,
            "split": pl.String,
            _MEMBER: pl.String,
            _TIMES: pl.Int64,
        },
        orient="row",
    )
    return (
        went.join(among, on=PAIR, how="left", maintain_order="left")
        .join(times, on=times.columns[:-1], how="left", nulls_equal=True, maintain_order="left")
        .with_columns(pl.col(AMOUNT) * pl.col(_TIMES))
        .drop(_AMONG, _TIMES)
    )


def _times(weights: Weights) -> Iterator[tuple[str | None, str | None, int]]:
    """List by how much to multiply: for members of splits, and for what is not split."""
    dens = (den // math.gcd(num, den) for each in weights.values() for _, num, den in each)
    factor = math.lcm(*dens)
    yield None, None, min(factor, _MOST_FACTOR)
    for name, each in weights.items():
        for center, number in _numbers(each, factor):
            yield name, center, number


def _said(went: pl.DataFrame, ends: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put into words what is alike, once."""
    alike = [_END, "share_num", "share_den", _TENTHS, MEASURED, USED, OVERBOOKED]
    said = went.select(alike).unique(maintain_order=True).with_row_index(WORDING)
    numbered = went.join(said, on=alike, how="left", nulls_equal=True, maintain_order="left")
    spoken = said.hstack(ends[said.get_column(_END)].drop(_END)).with_columns(
        _reason().alias("reason")
    )
    return (
        numbered.select(PAIR, "share_num", "share_den", WORDING),
        spoken.drop(_END, _TENTHS, MEASURED, USED, OVERBOOKED, WORDING, _CASE, *_WHO, _MEMBER),
    )


def _reason() -> pl.Expr:
    """Say who held how much, or why nobody answers for it: see `docs/attribution.md`."""
    is_idle = pl.col("kind").is_null()
    who = pl.when(is_idle).then(pl.lit("idle")).otherwise(pl.format("{} {}", *_WHO))
    unit = (
        pl.when(pl.col(MEASURED) == WEIGHT)
        .then(pl.lit("by weight"))
        .otherwise(pl.format("of the {}", MEASURED))
    )
    much = pl.format("{} {}", _percent(_TENTHS), unit)
    used = pl.format(", used {} of that", _percent(USED)).fill_null("")
    over = pl.format(OVER + "{} of it", _percent(OVERBOOKED)).fill_null("")
    said = pl.format("{} held {}{}{}", who, much, used, over)
    return (
        pl.when(pl.col("step") == STEP_UNALLOCATED)
        .then(pl.format("{}" + BUT + "{}", who, "reason"))
        .when(is_idle)
        .then(pl.format("nobody held {}", much))
        .otherwise(said)
    )


_SAID_HELD = (
    r"(?s)^(.*) held [0-9]+\.[0-9] % "
    rf"(by {WEIGHT}|of the (?:{GPU_TIME_HELD}|{GPU_TIME}|{TIME_HELD}))"
    rf"(?:, used [0-9]+\.[0-9] % of that)?(?:{OVER}[0-9]+\.[0-9] % of it)?$"
)


def holder() -> pl.Expr:
    """Read `kind name` of who held a part out of the reason that the step `workload` gives."""
    return pl.when(pl.col("step") == STEP_WORKLOAD).then(pl.col("reason").str.extract(_SAID_HELD))


def measured() -> pl.Expr:
    """Read what a part was measured by, as `held.parts` names it; null where it is not said."""
    said = pl.col("reason").str.extract(_SAID_HELD, 2)
    is_told = pl.col("step").is_in([STEP_WORKLOAD, STEP_IDLE])
    return pl.when(is_told).then(said.str.strip_prefix("by ").str.strip_prefix("of the "))


def possible_holders(reason: str) -> list[str]:
    """List the `kind name` that the reason of an unallocated part may begin with, longest first."""
    ends = [place for place in range(len(reason)) if reason.startswith(BUT, place)]
    return [reason[:end] for end in reversed(ends)]


def _percent(thousandths: str) -> pl.Expr:
    number = pl.col(thousandths)
    return pl.format("{}.{} %", number // 10, number % 10)
