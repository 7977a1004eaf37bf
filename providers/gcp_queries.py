"""The two questions to a billing table: what is there, and the rows of some days.

Both name every column and never say `SELECT *`: the list is made from the table's own schema, so
a column that Google adds tomorrow is kept, and one that it takes away is not asked for. Structs
of the detailed export become columns (`service.id` is `service_id`), repeated fields JSON text.

The export is partitioned by the day a row was exported. A row is never exported much before the
day it is for, nor before its invoice's month began; so that lower bound spares reading the rest.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from finops.errors import DataError
from finops.partition import Window

DAY, MONTH = "finops_day", "finops_month"
"""The two columns that say where a row belongs: `2026-10-03`, and the invoice's month `202610`."""


class Kind(StrEnum):
    """Which export a table is."""

    DETAILED = "detailed"
    FOCUS = "focus"


@dataclass(frozen=True, slots=True)
class Names:
    """What the columns are called that decide where a row belongs and what it costs."""

    start: str
    month: str
    exported: str
    currency: str
    cost: str
    credits: str


_NAMES = {
    Kind.DETAILED: Names(
        "usage_start_time",
        "invoice.month",
        "export_time",
        "currency",
        "cost",
        "IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) c), 0)",
    ),
    Kind.FOCUS: Names(
        "ChargePeriodStart",
        "REPLACE(SUBSTR(CAST(DATE(BillingPeriodStart) AS STRING), 1, 7), '-', '')",
        "x_ExportTime",
        "BillingCurrency",
        "BilledCost",
        "0",
    ),
}
_REQUIRED = {
    Kind.DETAILED: (
        "cost",
        "credits",
        "currency",
        "invoice",
        "usage_end_time",
        "usage_start_time",
    ),
    Kind.FOCUS: (
        "BilledCost",
        "BillingCurrency",
        "BillingPeriodStart",
        "ChargeCategory",
        "ChargePeriodEnd",
        "ChargePeriodStart",
    ),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A billing table as BigQuery describes it."""

    name: str
    kind: Kind
    fields: tuple[Mapping[str, Any], ...]
    is_by_export_day: bool
    location: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """SQL with its parameters: name, BigQuery's type, value; a list value is an array."""

    text: str
    parameters: tuple[tuple[str, str, object], ...]

    def told(self) -> str:
        """Write the parameters as JSON, for the receipt."""
        return json.dumps({name: value for name, _, value in self.parameters}, default=str)


def kind_of(columns: Iterable[str], name: str) -> Kind:
    """Tell the export by its columns; raises `DataError` when it is neither."""
    has = set(columns)
    for kind, required in _REQUIRED.items():
        if len(has.intersection(required)) > len(required) // 2:
            missing = sorted(set(required) - has)
            if missing:
                raise DataError(
                    f"{name}: looks like Google's {kind} export but has no {', '.join(missing)}; "
                    f"give the table itself, or a view that keeps these columns"
                )
            return kind
    raise DataError(
        f"{name}: is neither Google's detailed export nor its FOCUS export; give the table "
        f"gcp_billing_export_resource_v1_… or gcp_billing_export_focus_… (the standard export "
        f"gcp_billing_export_v1_… knows no resources)"
    )


def demand_export_time(table: Table) -> None:
    """Refuse a table that does not say when its rows came: late ones would go unseen."""
    exported = _NAMES[table.kind].exported
    if exported not in {entry["name"] for entry in table.fields}:
        raise DataError(
            f"{table.name}: has no {exported}; give the table itself, or a view that keeps it"
        )


def totals(table: Table, window: Window, slack: timedelta) -> Query:
    """Ask for rows, money and last export of each day, invoice month and currency.

    The columns are day, month, currency, rows, cost, credits, the largest amount of either that
    was added up, and the time of the last export.
    """
    named = _NAMES[table.kind]
    parts = (
        f"SELECT {_day(named)} AS {DAY}, {_month(named)} AS {MONTH}, {named.currency} AS currency,",
        f"COUNT(*) AS row_count, SUM({named.cost}) AS cost, SUM({named.credits}) AS credits,",
        f"SUM(ABS({named.cost})) AS turnover, MAX({named.exported}) AS exported_until",
        f"FROM `{table.name}` WHERE {_within(named)}{_pruned(table)}",
        f"GROUP BY {DAY}, {MONTH}, currency ORDER BY {DAY}, {MONTH}, currency",
    )
    return Query(" ".join(parts), (*_window(window), *_since(table, _first(window), slack)))


def rows(
    table: Table,
    wanted: Sequence[tuple[str, str]],
    until: datetime,
    slack: timedelta,
) -> Query:
    """Ask for all rows of the `wanted` days and invoice months that were exported by `until`."""
    named = _NAMES[table.kind]
    selected = ", ".join(f"{source} AS `{name}`" for name, source in columns(table))
    parts = (
        f"SELECT {_day(named)} AS {DAY}, {_month(named)} AS {MONTH}, {selected}",
        f"FROM `{table.name}`",
        f"WHERE CONCAT({_day(named)}, '/', {_month(named)}) IN UNNEST(@wanted)",
        f"AND {named.exported} <= @until{_pruned(table)}",
    )
    first = min((_earliest(day, month) for day, month in wanted), default=date.max)
    keys = [f"{day}/{month}" for day, month in wanted]
    parameters = (("wanted", "STRING", keys), ("until", "TIMESTAMP", until))
    return Query(" ".join(parts), (*parameters, *_since(table, first, slack)))


def columns(table: Table) -> list[tuple[str, str]]:
    """Name the columns of the rows, each with the SQL that makes it."""
    return [each for entry in table.fields for each in _selected(entry, (), table.kind)]


def _selected(
    entry: Mapping[str, Any], parents: tuple[str, ...], kind: Kind
) -> Iterator[tuple[str, str]]:
    path = (*parents, str(entry["name"]))
    source = ".".join(f"`{part}`" for part in path)
    is_struct = entry["type"] in {"RECORD", "STRUCT"}
    if (
        entry.get("mode") == "REPEATED"
        or entry["type"] == "JSON"
        or (is_struct and kind is Kind.FOCUS)
    ):
        yield "_".join(path), f"TO_JSON_STRING({source})"
    elif is_struct:
        for part in entry["fields"]:
            yield from _selected(part, path, kind)
    else:
        yield "_".join(path), source


def _day(named: Names) -> str:
    return f"IFNULL(CAST(DATE({named.start}) AS STRING), '')"


def _month(named: Names) -> str:
    return f"IFNULL({named.month}, '')"


def _within(named: Names) -> str:
    in_days = f"({named.start} >= @start AND {named.start} < @end)"
    return f"({in_days} OR {_month(named)} IN UNNEST(@months))"


def _pruned(table: Table) -> str:
    return " AND _PARTITIONTIME >= @since" if table.is_by_export_day else ""


def _window(window: Window) -> tuple[tuple[str, str, object], ...]:
    months = [period.replace("-", "") for period in window.periods()]
    return (
        ("start", "TIMESTAMP", window.start_at),
        ("end", "TIMESTAMP", window.end_at),
        ("months", "STRING", months),
    )


def _since(table: Table, first: date, slack: timedelta) -> tuple[tuple[str, str, object], ...]:
    if not table.is_by_export_day:
        return ()
    return (("since", "TIMESTAMP", Window(first - slack, first).start_at),)


def _first(window: Window) -> date:
    return min(window.start, _first_of(window.periods()[0].replace("-", "")))


def _earliest(day: str, month: str) -> date:
    """Tell when the first row of a day and invoice month can have been exported."""
    known = [date.fromisoformat(day)] if day else []
    known += [_first_of(month)] if month else []
    return max(known, default=date(1970, 1, 5))


def _first_of(month: str) -> date:
    return date(int(month[:4]), int(month[4:]), 1)
