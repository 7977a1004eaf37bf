"""Holding a bill against the FOCUS specification: every rule, how many rows break it, and which.

One streaming pass; memory does not grow with the bill. The rules of an ingest are judged exactly
as an ingest judges them, so what is fatal or set aside here would be there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from finops import batches, charges, checks, delivered, focus, normalize, specification, wording
from finops.checks import Check
from finops.delivered import FORM
from finops.errors import Severity
from finops.focus import Kind
from finops.normalize import ROW, SUSPECT

FIRST_ROWS = 5
"""So many broken rows are named."""

OLDEST = "1.0"
_BATCH_ROWS = 100_000  # hundreds of rules are asked of each row at once
_SINCE_RENAMED = "1.4"
_PROVIDER = "ServiceProviderName"

_CONSISTENT = (
    ("CommitmentDiscountId", "CommitmentDiscountUnit", Severity.WARNING),
    ("ServiceName", "ServiceCategory", Severity.WARNING),
    ("ServiceName", "ServiceSubcategory", Severity.INFO),
    ("SkuPriceId", "SkuId", Severity.WARNING),
)
"""Within a provider, each of the first goes with one of the second."""

_ORDER = {severity: place for place, severity in enumerate(reversed(Severity))}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule: the column it is about, what a broken row does, and how much that matters."""

    column: str
    severity: Severity
    message: str
    is_of_ingest: bool = False

    @property
    def id(self) -> str:
        return f"{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one requirement: `broken` rows, the first of them (row 1 is the first).

    `broken` is `None` when the bill does not have the column.
    """

    requirement: Requirement
    broken: int | None
    first_rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Conformance:
    """What came of one bill: its rows, the FOCUS version it looks like, all requirements."""

    name: str
    version: str
    rows: int
    results: tuple[Result, ...]
    unnamed_columns: tuple[str, ...]

    @property
    def broken(self) -> list[Result]:
        """What is broken, the worst first."""
        found = [result for result in self.results if result.broken]
        return sorted(found, key=lambda result: _ORDER[result.requirement.severity])

    @property
    def is_refused(self) -> bool:
        """Tell whether an ingest would refuse the bill."""
        return any(result.requirement.severity is Severity.FATAL for result in self.broken)

    @property
    def sets_aside(self) -> bool:
        """Tell whether an ingest would put rows in quarantine."""
        return any(result.requirement.severity is Severity.QUARANTINE for result in self.broken)


def requirements() -> list[Requirement]:
    """List every requirement, each once, by column and then in the order of the rules."""
    ingested = [Requirement(c.column, c.severity, c.message, True) for c in checks.CHECKS]
    unreadable = [
        Requirement(c.name, Severity.FATAL, batches.unreadable_as(c.kind), True)
        for c in focus.CONTENT
        if c.kind not in {Kind.TEXT, Kind.JSON, Kind.FLAG}
    ]
    no_json = [
        Requirement(c.name, Severity.WARNING, checks.BAD_JSON, True)
        for c in focus.COST_AND_USAGE
        if c.kind is Kind.JSON
    ]
    rules = (*specification.ROWS, *specification.AS_DELIVERED)
    specified = [Requirement(c.column, c.severity, c.message) for c in rules]
    as_delivered = [Requirement(*rule) for rule in delivered.rules()]
    consistent = [
        Requirement(parent, severity, _more_than_one(child))
        for parent, child, severity in _CONSISTENT
    ]
    found = [*unreadable, *ingested, *no_json, *specified, *consistent, *as_delivered]
    return sorted(found, key=lambda one: one.column)


def check(
    rows: pl.LazyFrame, name: str, progress: Callable[[int], None] = lambda _: None
) -> Conformance:
    """Hold `rows`, a bill as delivered, against every requirement.

    Raises `DataError` when it is no FOCUS bill, or breaks off.
    """
    schema = rows.collect_schema()
    given = normalize.matched(schema.names())
    version = _version(set(given))
    marks = delivered.forms(schema, given)
    carried = [mark.meta.output_name() for mark in marks]
    tally = _Tally(set(given), {column for column in given if schema[given[column]] == pl.String})
    for batch in charges.stream(rows.with_columns(marks), name, carried, _BATCH_ROWS):
        tally.take(batches.without_blank(batch))
        progress(len(batch))
    unnamed = delivered.unknown_columns(schema, given)
    whole = delivered.of_schema(schema, given, version)
    if unnamed:
        whole.add(_id_of_unnamed())
    tally.take_all(whole)
    results = (_result(one, set(given), version, tally) for one in requirements())
    return Conformance(name, version, tally.rows, tuple(results), tuple(unnamed))


def _id_of_unnamed() -> str:
    (found,) = (one for one in requirements() if one.column == delivered.OTHER_COLUMNS)
    return found.id


def _version(given: set[str]) -> str:
    """Name the oldest version of FOCUS that has all the columns of a bill."""
    since = [column.since for column in focus.COST_AND_USAGE if column.name in given]
    is_renamed = _PROVIDER in given and not given & set(normalize.RENAMED.values())
    return max([OLDEST, *since, *([_SINCE_RENAMED] if is_renamed else [])])


def _result(requirement: Requirement, given: set[str], version: str, tally: "_Tally") -> Result:
    if not _applies(requirement, given, version):
        return Result(requirement, None)
    first = tuple(row + 1 for row in tally.first.get(requirement.id, ()))
    return Result(requirement, tally.broken.get(requirement.id, 0), first)


def _applies(requirement: Requirement, given: set[str], version: str) -> bool:
    """Tell whether a bill can break the rule: of a column it does not have only the absence."""
    if requirement.message == delivered.ABSENT:
        return specification.is_of_version(requirement.column, version)
    if requirement.column == delivered.OTHER_COLUMNS:
        return True
    return specification.stored_as(requirement.column) in given


def _more_than_one(child: str) -> str:
    return f"goes with more than one {child}"


class _Tally:
    """What is counted while batches go by."""

    def __init__(self, given: set[str], texts: set[str]) -> None:
        self.rows = 0
        self.broken: dict[str, int] = {}
        self.first: dict[str, list[int]] = {}
        self._given = given
        self._texts = texts
        self._pairs = [pl.DataFrame()] * len(_CONSISTENT)

    def take(self, batch: pl.DataFrame) -> None:
        """Judge one normalized batch."""
        self.rows += len(batch)
        for rule, broken in (*_unreadable(batch), *_marked(batch), *self._bad_json(batch)):
            self._count(batch, rule, broken)
        self._judge(batch, specification.AS_DELIVERED)
        numbers, words = batches.apart(batch)
        words, _ = batches.tidied(words)
        rows = wording.whole(numbers, words)
        self._judge(rows, (*checks.CHECKS, *specification.ROWS))
        self._pairs = [
            _summed([known, _pairs(rows, parent, child)])
            for known, (parent, child, _) in zip(self._pairs, _CONSISTENT, strict=True)
        ]

    def take_all(self, whole: Iterable[str]) -> None:
        """Finish: rules in `whole` are broken by every row, and each name has one meaning."""
        for rule in whole:
            self.broken[rule] = self.rows
        for known, (parent, child, _) in zip(self._pairs, _CONSISTENT, strict=True):
            if known.is_empty():
                continue
            torn = known.filter(pl.col("child").n_unique().over("provider", "parent") > 1)
            if not torn.is_empty():
                rule = f"{parent}: {_more_than_one(child)}"
                self.broken[rule] = int(torn.get_column("rows").sum())
                self.first[rule] = sorted(torn.get_column("first"))[:FIRST_ROWS]

    def _judge(self, rows: pl.DataFrame, rules: Iterable[Check]) -> None:
        asked = [
            rule
            for rule in rules
            if specification.stored_as(rule.column) in self._given and rule.possible(rows)
        ]
        sums = rows.select(rule.broken.sum().alias(rule.id) for rule in asked)
        counts = sums.row(0, named=True)
        for rule in asked:
            if counts[rule.id]:
                self._add(rows, rule.id, rule.broken, int(counts[rule.id]))

    def _count(self, rows: pl.DataFrame, rule: str, broken: pl.Expr) -> None:
        count = int(rows.select(broken.sum()).item() or 0)
        if count:
            self._add(rows, rule, broken, count)

    def _add(self, rows: pl.DataFrame, rule: str, broken: pl.Expr, count: int) -> None:
        self.broken[rule] = self.broken.get(rule, 0) + count
        named = self.first.setdefault(rule, [])
        if len(named) < FIRST_ROWS:
            found = rows.select(pl.col(ROW).filter(broken).head(FIRST_ROWS - len(named)))
            named.extend(found.to_series().to_list())

    def _bad_json(self, batch: pl.DataFrame) -> Iterator[tuple[str, pl.Expr]]:
        for column in focus.COST_AND_USAGE:
            if column.kind is not Kind.JSON:
                continue
            texts: dict[str, list[str]] = {}
            for text in batch.get_column(column.name).drop_nulls().unique():
                is_text = column.name in self._texts
                for fault in delivered.json_faults(column.name, text, is_text=is_text):
                    texts.setdefault(fault, []).append(text)
            for fault, found in texts.items():
                yield f"{column.name}: {fault}", pl.col(column.name).is_in(found)


def _unreadable(batch: pl.DataFrame) -> Iterator[tuple[str, pl.Expr]]:
    for name in batch.columns:
        if name.startswith(SUSPECT):
            column = focus.BY_NAME[name.removeprefix(SUSPECT)]
            lost = pl.col(name).is_not_null() & pl.col(column.name).is_null()
            yield f"{column.name}: {batches.unreadable_as(column.kind)}", lost


def _marked(batch: pl.DataFrame) -> Iterator[tuple[str, pl.Expr]]:
    for name in batch.columns:
        if name.startswith(FORM):
            yield delivered.form_rule(name.removeprefix(FORM)), pl.col(name)


def _pairs(rows: pl.DataFrame, parent: str, child: str) -> pl.DataFrame:
    """Count each combination of provider, parent and child, with its first row."""
    both = rows.filter(pl.col(parent).is_not_null() & pl.col(child).is_not_null())
    return both.group_by(
        pl.col(_PROVIDER).alias("provider"), pl.col(parent).alias("parent"), child=child
    ).agg(pl.len().alias("rows"), pl.col(ROW).min().alias("first"))


def _summed(frames: list[pl.DataFrame]) -> pl.DataFrame:
    known = pl.concat([frame for frame in frames if frame.width])
    return known.group_by("provider", "parent", "child").agg(
        pl.col("rows").sum(), pl.col("first").min()
    )
