"""What is wrong with a set of rules: unreachable, dead and overlapping ones, and what nobody uses.

Some of it can be proven from the conditions; the rest is asked of the charges of a period.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import polars as pl

from finops import conditions, splits
from finops.dimension_sets import DimensionSets
from finops.errors import Severity
from finops.organization import Organization
from finops.partition import Window
from finops.rulebook import Dated, Match, Rule
from finops.trial import BILLED, CHARGES, CURRENCY, Trial


class Fault(StrEnum):
    """What can be wrong."""

    UNREACHABLE = "unreachable"
    SHADOWED = "shadowed"
    DEAD = "dead"
    UNUSED = "unused"
    OVERLAPPING = "overlapping"

    @property
    def severity(self) -> Severity:
        """Order matters where rules overlap, which may be meant; the others are mistakes."""
        return Severity.INFO if self is Fault.OVERLAPPING else Severity.WARNING


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: of what, why, and what to do; `billed` is the money it is about, by currency."""

    fault: Fault
    subject: str
    message: str
    charges: int = 0
    billed: dict[str, Decimal] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Give all of it, amounts as decimal text."""
        return {
            "fault": self.fault,
            "severity": self.fault.severity,
            "subject": self.subject,
            "message": self.message,
            "charges": self.charges,
            "billed": self.billed,
        }


@dataclass(slots=True)
class _Met:
    """The charges that a rule matches: those it takes, and what others took of them before."""

    matched: int = 0
    taken: int = 0
    lost: dict[str, "_Lost"] = field(default_factory=dict)


@dataclass(slots=True)
class _Lost:
    charges: int = 0
    billed: dict[str, Decimal] = field(default_factory=dict)
    differs: bool = False


def lint(organization: Organization, trials: Sequence[Trial], period: str | None) -> list[Finding]:
    """List every fault, provable ones first; without `trials` only those that can be proven."""
    proven = [*_unreachable_rules(organization), *_unreachable_values(organization)]
    known = {finding.subject for finding in proven}
    asked = [
        finding
        for finding in _asked(organization, trials, period or "any period")
        if finding.subject not in known
    ]
    return [*proven, *asked, *_unused(organization, trials, period)]


def _rule(rule: Rule) -> str:
    return f"rule {rule.id}"


def _unreachable_rules(organization: Organization) -> Iterator[Finding]:
    for place, rule in enumerate(organization.rules):
        above = next((one for one in organization.rules[:place] if _takes_all(one, rule)), None)
        if above is not None:
            yield Finding(
                Fault.UNREACHABLE,
                _rule(rule),
                f"rule {above.id} above takes every charge that this could match; "
                f"move this above it, or take this out",
            )


def _takes_all(above: Rule, rule: Rule) -> bool:
    """Tell whether it is certain that `above` leaves nothing for `rule`."""
    if not above.covers(rule) or not _all_imply(rule.match, above.match):
        return False
    if above.cost_center_from is None:
        return True
    return (above.cost_center_from, above.lookup) == (rule.cost_center_from, rule.lookup)


def _all_imply(narrow: Match, wide: Match) -> bool:
    return all(
        column in narrow and conditions.implies(narrow[column], condition)
        for column, condition in wide.items()
    )


def _unreachable_values(organization: Organization) -> Iterator[Finding]:
    for tag, lines in organization.virtual_tags.items():
        for place, line in enumerate(lines):
            for above in lines[:place]:
                decides = above.value is not None and above.covers(line)
                if decides and _all_imply(line.match, above.match):
                    yield Finding(
                        Fault.UNREACHABLE,
                        f"virtual tag {tag}, line {place + 1}",
                        f"the line that gives {above.value!r} takes all that this could match; "
                        f"move this above it, or take this out",
                    )
                    break


def _asked(organization: Organization, trials: Sequence[Trial], period: str) -> Iterator[Finding]:
    met: dict[str, _Met] = {}
    for trial in trials:
        sets = trial.dimensions()
        for rule in trial.organization.rules:
            _meet(rule, trial, sets, met.setdefault(rule.id, _Met()))
    for rule in organization.rules:
        if rule.id not in met:
            continue
        found = met[rule.id]
        if not found.matched:
            yield Finding(
                Fault.DEAD,
                _rule(rule),
                f"matches no charge of {period}; take it out or correct its conditions",
            )
        elif not found.taken:
            yield _shadowed(rule, found)
        else:
            yield from _overlapping(rule, found)


def _meet(rule: Rule, trial: Trial, sets: DimensionSets, met: _Met) -> None:
    matching = sets.matching(rule.match)
    if matching is None:
        return
    center = pl.Series([rule.cost_center], dtype=pl.String).new_from_index(0, len(sets))
    if rule.cost_center_from is not None:
        center = sets.looked_up(rule.cost_center_from, rule.lookup)
        matching &= center.is_not_null()
    matched = trial.sets.with_columns(center.alias("~would")).filter(matching)
    met.matched += int(matched.get_column(CHARGES).sum())
    met.taken += int(matched.filter(pl.col("rule") == rule.id).get_column(CHARGES).sum())
    others = matched.filter(pl.col("rule") != rule.id)
    same = (pl.col("cost_center").eq_missing(pl.col("~would"))) & pl.col("split").eq_missing(
        pl.lit(rule.split, pl.String)
    )
    grouped = others.group_by("rule", CURRENCY, maintain_order=True).agg(
        pl.col(CHARGES).sum(), pl.col(BILLED).sum(), (~same).any().alias("~differs")
    )
    for other, currency, count, billed, differs in grouped.iter_rows():
        lost = met.lost.setdefault(other, _Lost())
        lost.charges += count
        lost.billed[currency] = lost.billed.get(currency, Decimal(0)) + billed
        lost.differs |= differs


def _shadowed(rule: Rule, met: _Met) -> Finding:
    takers = " and ".join(met.lost)
    billed: dict[str, Decimal] = {}
    for lost in met.lost.values():
        for currency, amount in lost.billed.items():
            billed[currency] = billed.get(currency, Decimal(0)) + amount
    return Finding(
        Fault.SHADOWED,
        _rule(rule),
        f"every charge it matches is taken above, by {takers}; move it up or take it out",
        met.matched,
        billed,
    )


def _overlapping(rule: Rule, met: _Met) -> Iterator[Finding]:
    for other, lost in met.lost.items():
        if lost.differs:
            yield Finding(
                Fault.OVERLAPPING,
                _rule(rule),
                f"matches charges that rule {other} above takes for others; "
                f"right if {other} is meant to come first",
                lost.charges,
                lost.billed,
            )


def _unused(
    organization: Organization, trials: Sequence[Trial], period: str | None
) -> Iterator[Finding]:
    rules = organization.rules
    dividing = [rule.split for rule in rules]
    dividing += [policy.split for policy in organization.idle.policies.values()]
    used = splits.used(organization.splits, [name for name in dividing if name is not None])
    lookups = {rule.lookup for rule in rules}
    for name in organization.splits:
        if name not in used:
            yield Finding(
                Fault.UNUSED,
                f"split {name}",
                "no rule and no idle policy leads to it; take it out",
            )
    for name in organization.lookups:
        if name not in lookups:
            yield Finding(Fault.UNUSED, f"lookup {name}", "no rule names it; take it out")
    if trials or all(rule.cost_center_from is None for rule in rules):
        yield from _unused_cost_centers(organization, trials, period)


def _unused_cost_centers(
    organization: Organization, trials: Sequence[Trial], period: str | None
) -> Iterator[Finding]:
    named = {rule.cost_center for rule in organization.rules}
    named |= {policy.cost_center for policy in organization.idle.policies.values()}
    for table in organization.lookups.values():
        named |= set(table.values())
    for split in organization.splits.values():
        named |= set(split.members)
    for trial in trials:
        named |= set(trial.sets.get_column("cost_center"))
    used = {above for center in named if center for above in organization.lineage(center)}
    for center, made in organization.cost_centers.items():
        if center not in used and (period is None or _exists_in(made, period)):
            yield Finding(
                Fault.UNUSED,
                f"cost center {center}",
                "no rule, idle policy, split or tag sends it anything, nor to any below it; "
                "take it out or correct the tags",
            )


def _exists_in(center: Dated, period: str) -> bool:
    """Tell whether a cost center exists on any day of a month."""
    month = Window.of_period(period)
    begun = center.valid_from is None or center.valid_from < month.end
    return begun and (center.valid_to is None or month.start < center.valid_to)
