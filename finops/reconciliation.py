"""Holding what was read against what the provider says it sent.

A difference is an issue that the user sees; the rows stay, since neither side is known to be right.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from finops import money
from finops.errors import Issue, Severity

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Stated:
    """A total that the provider states: a manifest's row count, an invoice's amount.

    It speaks of all rows of the raw objects named by `raw_ids`, whether or not they lie in the
    window asked for. Amounts are by currency; a difference of up to `tolerance` agrees.
    """

    what: str
    raw_ids: frozenset[str]
    rows: int | None = None
    billed: Mapping[str, Decimal] = field(default_factory=dict)
    tolerance: Decimal = _NOTHING


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read from one raw object."""

    rows: int
    billed: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One stated figure beside the one that was found; `unit` is `rows` or a currency."""

    what: str
    unit: str
    stated: Decimal
    found: Decimal
    agrees: bool

    @property
    def difference(self) -> Decimal:
        return self.found - self.stated


def reconcile(stated: Iterable[Stated], seen: Mapping[str, Seen]) -> Iterator[Reconciled]:
    """Compare every stated figure with what was read from its raw objects."""
    for each in stated:
        read = [seen[raw_id] for raw_id in sorted(each.raw_ids) if raw_id in seen]
        if each.rows is not None:
            rows = Decimal(sum(one.rows for one in read))
            stated_rows = Decimal(each.rows)
            yield Reconciled(each.what, "rows", stated_rows, rows, rows == stated_rows)
        for currency, amount in sorted(each.billed.items()):
            found = money.exact_sum(one.billed.get(currency, _NOTHING) for one in read)
            agrees = abs(found - amount) <= each.tolerance
            yield Reconciled(each.what, currency, amount, found, agrees)


def issues(reconciled: Iterable[Reconciled], source: str) -> Iterator[Issue]:
    """Say every difference in a sentence."""
    for each in reconciled:
        if not each.agrees:
            yield Issue(
                source,
                f"{each.what} states {money.text(each.stated)} {each.unit} but "
                f"{money.text(each.found)} were read, {money.text(abs(each.difference))} "
                f"{'more' if each.difference > 0 else 'fewer'}; take the days in again, and ask "
                f"the provider if the difference stays",
                Severity.WARNING,
            )
