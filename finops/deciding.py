"""What decides the allocations of partitions: charges, workloads, rules, and what splits go by.

A digest stands for all of it. As long as it is the same, so are the allocations.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

import polars as pl

from finops import charges, direct, holding, money, splits, telemetry
from finops.direct import Direct
from finops.holding import Relevant
from finops.organization import Organization
from finops.partition import Partition, Window, period_of
from finops.splits import NOTHING, Basis, Span, Split, SplitMethod
from finops.warehouse import Warehouse
from finops.workloads import Shelf

METHOD = "attribution/1"
"""Changes when the same charges and rules would be attributed differently by newer code."""

DIRECT = "direct"
"""Where the direct costs of partitions are kept."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What decides the allocations of one partition, and the digest of it.

    `basis` is what those splits go by that have a part in its charges.
    """

    charges: pl.LazyFrame
    workloads: Relevant | None
    basis: Basis
    idem: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Direct costs kept in a warehouse.

    With `is_trusted`, what is there of other partitions than those that are asked about counts
    whatever decides it now: for those who come after somebody who brought it up to date.
    """

    warehouse: Warehouse
    is_trusted: bool = False

    def get(self, partition: Partition) -> Direct | None:
        """Return what is kept of a partition, if anything readable is."""
        try:
            return direct.read(self.warehouse.read(_key(partition)))
        except (KeyError, ValueError):
            return None

    def put(self, partition: Partition, found: Direct) -> None:
        """Keep the direct costs of a partition."""
        self.warehouse.replace(_key(partition), found.text().encode())


class Deciding:
    """What decides the allocations in a warehouse by the rules of an organization.

    Measured splits look at other partitions, too: at the direct costs of all sources, which
    are `kept`. Without that they are worked out, and nothing is written.
    """

    def __init__(
        self, warehouse: Warehouse, organization: Organization, kept: Kept | None = None
    ) -> None:
        self._warehouse = warehouse
        self._organization = organization
        self._kept = kept
        self._shelf = Shelf(warehouse)
        self._measured = splits.measured(organization.splits)
        self._idems: dict[Partition, str] = {}
        self._direct: dict[Partition, Direct] = {}
        self._told: dict[date, dict[str, dict[str, Decimal]]] = {}

    def of(self, partition: Partition) -> Decided:
        """Tell what decides the allocations of one partition."""
        plain = self._without_splits(partition)
        basis = self.basis(partition)
        return Decided(plain.charges, plain.workloads, basis, _together(plain.idem, basis))

    def basis(self, partition: Partition) -> Basis:
        """Tell what those splits go by that have a part in the charges of one partition."""
        if not self._measured:
            return NOTHING
        divided = sorted(self._direct_of(partition).splits)
        return {name: self._amounts(name, partition) for name in divided}

    def _without_splits(self, partition: Partition) -> Decided:
        source = charges.read(self._warehouse, partition)
        workloads = holding.relevant(source, self._shelf)
        idem = self._idems[partition] = self._digest(source, workloads, partition)
        return Decided(source, workloads, NOTHING, idem)

    def _digest(
        self, source: pl.LazyFrame, workloads: Relevant | None, partition: Partition
    ) -> str:
        ids = source.select(pl.col("x_ChargeId").sort().str.join("\n"))
        facts = {
            "charges": hashlib.sha256(ids.collect().item().encode()).hexdigest(),
            "method": METHOD,
            "partition": partition.path,
            "rules": self._rules,
        }
        if workloads is not None:
            facts["workloads"] = workloads.digest
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _rules(self) -> str:
        return hashlib.sha256(self._organization.deciding.encode()).hexdigest()

    def _direct_of(self, partition: Partition) -> Direct:
        if partition not in self._direct:
            self._direct[partition] = self._current(partition) or self._worked_out(partition)
        return self._direct[partition]

    def _current(self, partition: Partition) -> Direct | None:
        """Return what is kept when it is of now; of other partitions it may be trusted to be."""
        found = None if self._kept is None else self._kept.get(partition)
        if found is None or self._kept is None:
            return None
        if partition not in self._idems:
            if self._kept.is_trusted:
                return found
            self._without_splits(partition)
        return found if found.decided == self._idems[partition] else None

    def _worked_out(self, partition: Partition) -> Direct:
        plain = self._without_splits(partition)
        held = None if plain.workloads is None else plain.workloads.holding(plain.charges)
        found = direct.of(plain.charges, self._organization, partition, held, plain.idem)
        if self._kept is not None:
            self._kept.put(partition, found)
        return found

    def _amounts(self, name: str, partition: Partition) -> dict[str, Decimal]:
        """Add up what each member of a split has in its span, by what counts for it."""
        split = self._measured[name]
        if split.method is SplitMethod.TELEMETRY:
            amounts = self._told_in(name, split.over, partition)
        else:
            amounts = self._carried_in(split, partition)
        found: dict[str, Decimal] = {}
        for center, amount in amounts:
            target = split.target(self._organization.lineage(center))
            if target is not None:
                found[target] = money.CONTEXT.add(found.get(target, Decimal(0)), amount)
        return {target: found[target] for target in sorted(found) if found[target]}

    def _carried_in(self, split: Split, partition: Partition) -> Iterator[tuple[str, Decimal]]:
        for each in self._partitions:
            if _is_in(split.over, each, partition):
                for one in self._direct_of(each).carried:
                    if one.currency == split.currency or split.by not in splits.COSTS:
                        yield one.cost_center, one.amounts[split.by or ""]

    def _told_in(
        self, name: str, span: Span, partition: Partition
    ) -> Iterator[tuple[str, Decimal]]:
        for day in _days(span, partition):
            if day not in self._told:
                telling = {
                    each: split
                    for each, split in self._measured.items()
                    if split.method is SplitMethod.TELEMETRY
                }
                self._told[day] = telemetry.told(self._shelf, self._organization, telling, day)
            yield from self._told[day][name].items()

    @cached_property
    def _partitions(self) -> list[Partition]:
        return charges.partitions(self._warehouse)


def _key(partition: Partition) -> str:
    return f"{DIRECT}/{partition.path}.json"


def _together(idem: str, basis: Basis) -> str:
    """Digest what splits go by with all the rest; the same as without them when there is none."""
    if not basis:
        return idem
    told = {
        name: {center: money.text(amount) for center, amount in amounts.items()}
        for name, amounts in basis.items()
    }
    facts = {"basis": told, "rest": idem}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _is_in(span: Span, each: Partition, partition: Partition) -> bool:
    if span is Span.DAY:
        return each.day == partition.day and each.period == partition.period
    return each.period == _month(span, partition)


def _days(span: Span, partition: Partition) -> Iterator[date]:
    """List the days of a span; a month is a billing month's calendar month."""
    if span is Span.DAY:
        yield partition.day
    else:
        yield from Window.of_period(_month(span, partition)).days()


def _month(span: Span, partition: Partition) -> str:
    if span is not Span.PREVIOUS_MONTH:
        return partition.period
    return period_of(Window.of_period(partition.period).start - timedelta(days=1))
