"""Holding what was read against what the provider says it sent.

A difference is an issue that the user sees; the rows stay, since neither side is known to be right.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from finops import money
from finops.errors import Issue, Severity
from finops.warehouse import Warehouse

RECEIPTS = "ingests"
"""Where each ingest writes what it took, and what was stated of it."""

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


def remembered(warehouse: Warehouse) -> dict[str, list[Reconciled]]:
    """Read from the receipts of ingests what was compared last, by source.

    Of a figure that several ingests compared, the one of the newest window counts.
    """
    found: dict[str, dict[tuple[str, str], Reconciled]] = {}
    keys = [key for key in warehouse.list(f"{RECEIPTS}/") if key.endswith(".json")]
    for key in sorted(keys, key=_newest_window_last):
        source = key.rsplit("/", 2)[1].removeprefix("source=")
        known = found.setdefault(source, {})
        for each in json.loads(warehouse.read(key)).get("reconciled", ()):
            amounts = Decimal(each["stated"]), Decimal(each["found"])
            known[each["what"], each["unit"]] = Reconciled(
                each["what"], each["unit"], *amounts, each["agrees"]
            )
    return {source: list(known.values()) for source, known in sorted(found.items())}


def _newest_window_last(key: str) -> tuple[str, str]:
    start, _, end = key.rpartition("/")[2].removesuffix(".json").partition("_")
    return end, start
