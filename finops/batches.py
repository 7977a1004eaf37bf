"""What happens to one batch of normalized rows on its way to a partition.

Each function is one step: refuse what cannot be read, find the partition, tidy text, identify.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext

import polars as pl
import polars_hash  # noqa: F401 - registers the `chash` namespace

from finops import checks, focus, money, normalize
from finops.errors import Issue
from finops.focus import Column, Kind
from finops.normalize import ROW, SUSPECT
from finops.raw import Scope

PERIOD = "period"
DAY = "day"
ID_LENGTH = 32
"""Hex digits of a charge id: 128 bits of SHA-256."""

_DESCRIPTIONS = tuple(c for c in focus.CONTENT if c.kind in {Kind.TEXT, Kind.JSON})
_FACTS = tuple(c for c in focus.CONTENT if c.kind not in {Kind.TEXT, Kind.JSON})
_PLACE = "~place"
_DIGEST = "~digest"
_MOST_NAMED = 5
_FIELD_END = "\x1f"
_NULL = "\x00"
_EXAMPLES = {
    Kind.TIME: "is no time; write it as 2026-10-01T00:00:00Z",
    Kind.COUNT: "is no whole number",
}


def unreadable(batch: pl.DataFrame, where: str) -> Iterator[Issue]:
    """Name values that are no number or time: their money or day cannot be known."""
    for name in _suspects(batch):
        column = focus.BY_NAME[name.removeprefix(SUSPECT)]
        failed = batch.filter(pl.col(name).is_not_null() & pl.col(column.name).is_null())
        for row, text in failed.select(ROW, name).head(_MOST_NAMED).iter_rows():
            said = _EXAMPLES.get(column.kind, "is no finite number of at most 20 digits before the point")
            yield Issue(
                f"{where}: row {row + 1}: {column.name}", f"{text!r} {said}; correct it at the source"
            )


def rounding(batch: pl.DataFrame) -> dict[str, Decimal]:
    """Add up what 18 decimals could not hold of BilledCost, by currency."""
    name = f"{SUSPECT}BilledCost"
    if name not in batch.columns:
        return {}
    lost: dict[str, Decimal] = {}
    fine = batch.filter(pl.col(name).is_not_null())
    with localcontext(prec=100):
        for text, kept, currency in fine.select(name, "BilledCost", "BillingCurrency").iter_rows():
            code = currency or checks.NO_CURRENCY
            lost[code] = lost.get(code, Decimal(0)) + Decimal(text) - kept
    return lost


def located(batch: pl.DataFrame) -> pl.DataFrame:
    """Add the billing period (`2026-10`) and the charge day that a row belongs to."""
    start = pl.coalesce("ChargePeriodStart", "BillingPeriodStart")
    billed_from = pl.coalesce("BillingPeriodStart", "ChargePeriodStart")
    return batch.with_columns(
        billed_from.dt.strftime("%Y-%m").alias(PERIOD), start.dt.date().alias(DAY)
    )


def in_scope(scope: Scope) -> pl.Expr:
    """Tell whether a located row belongs to what the delivery speaks for."""
    inside = pl.col(PERIOD).is_in(sorted(scope.periods))
    if scope.days is not None:
        inside |= pl.col(DAY).is_between(scope.days.start, scope.days.end, closed="left")
    return inside


def tidied(batch: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Make empty text null and equal values equal text; count the JSON that had to be left out."""
    rows = batch.drop([name for name in batch.columns if name.startswith(SUSPECT)])
    given = [
        column
        for column in focus.CONTENT
        if rows.get_column(column.name).null_count() < len(rows)
    ]
    texts = [column for column in given if column.kind is Kind.TEXT]
    blank = [column.name for column in texts if (rows.get_column(column.name) == "").any()]
    spelled = [_spelled(rows, column) for column in texts if column.allowed]
    rows = rows.with_columns(pl.col(blank).replace("", None)).with_columns(
        expr for expr in spelled if expr is not None
    )
    untidy: dict[str, int] = {}
    for column in given:
        if column.kind is Kind.JSON:
            rows, bad = _with_canonical_json(rows, column.name)
            untidy |= {f"{column.name}: {checks.BAD_JSON}": bad} if bad else {}
    return rows, untidy


def identified(rows: pl.DataFrame, raw_id: str) -> pl.DataFrame:
    """Give each row the id of its content (equal rows still share one) and its raw object.

    The id is SHA-256 over the numbers and times of the row and a SHA-256 of its descriptions.
    Few descriptions are distinct, so each is hashed once: three times faster on a real bill.
    """
    descriptions = [column for column in _DESCRIPTIONS if _has_values(rows, column.name)]
    names = [column.name for column in descriptions]
    digest = (
        rows.select(names)
        .with_row_index(_PLACE)
        .group_by(names)
        .agg(_PLACE)
        .select(_PLACE, _content_text(rows, _DESCRIPTIONS).chash.sha2_256().alias(_DIGEST))
        .explode(_PLACE)
        .sort(_PLACE)
        .get_column(_DIGEST)
    )
    content = pl.concat_str(_content_text(rows, _FACTS), pl.lit(digest), separator=_FIELD_END)
    return rows.with_columns(
        content.chash.sha2_256().str.head(ID_LENGTH).alias("x_ChargeId"),
        pl.lit(raw_id).alias("x_RawId"),
    )


def _suspects(batch: pl.DataFrame) -> list[str]:
    return [
        name
        for name in batch.columns
        if name.startswith(SUSPECT) and batch.get_column(name).null_count() < len(batch)
    ]


def _with_canonical_json(rows: pl.DataFrame, name: str) -> tuple[pl.DataFrame, int]:
    """Rewrite a JSON column, each distinct text once."""
    canonical: dict[str, str | None] = {}
    bad: list[str] = []
    for text in rows.get_column(name).drop_nulls().unique():
        try:
            canonical[text] = normalize.canonical_json(text)
        except (ValueError, KeyError, TypeError, RecursionError):
            canonical[text] = None
            bad.append(text)
    count = int(rows.get_column(name).is_in(bad).sum()) if bad else 0
    changed = {text: new for text, new in canonical.items() if text != new}
    if not changed:
        return rows, count
    mapping = pl.DataFrame(
        {name: list(changed), "canonical": list(changed.values())},
        schema={name: pl.String, "canonical": pl.String},
    )
    joined = rows.join(mapping.with_columns(changed=pl.lit(value=True)), on=name, how="left", maintain_order="left")
    value = pl.when("changed").then("canonical").otherwise(name).alias(name)
    return joined.with_columns(value).drop("canonical", "changed"), count


def _spelled(rows: pl.DataFrame, column: Column) -> pl.Expr | None:
    """Accept `Usage-based` for `Usage-Based`; what is not allowed stays for the checks."""
    right = {word.lower(): word for word in column.allowed}
    found = rows.get_column(column.name).unique().drop_nulls()
    wrong = {
        text: right[text.lower()]
        for text in found
        if text not in column.allowed and text.lower() in right
    }
    return pl.col(column.name).replace(wrong) if wrong else None


def _has_values(rows: pl.DataFrame, name: str) -> bool:
    return rows.get_column(name).null_count() < len(rows)


def _content_text(rows: pl.DataFrame, columns: Sequence[Column]) -> pl.Expr:
    """Write the content of `columns` as one text, in their fixed order.

    Nulls at the end are cut off, so that columns added to the end of that order later leave the
    ids of old rows as they are.
    """
    parts: list[pl.Expr] = []
    pending = 0  # columns without any value become one constant
    for column in columns:
        series = rows.get_column(column.name)
        if series.null_count() == len(rows):
            pending += 1
            continue
        parts += [pl.lit(_FIELD_END.join([_NULL] * pending))] if pending else []
        pending = 0
        text = _plain(column.name, column.kind)
        parts.append(text.fill_null(_NULL) if series.null_count() else text)
    joined = pl.concat_str(parts, separator=_FIELD_END)
    return joined.str.strip_chars_end(_FIELD_END + _NULL)


def _plain(name: str, kind: Kind) -> pl.Expr:
    match kind:
        case Kind.MONEY | Kind.PRICE | Kind.QUANTITY:
            return money.to_atoms(pl.col(name)).cast(pl.String)
        case Kind.TIME:
            return pl.col(name).dt.timestamp("us").cast(pl.String)
        case Kind.TEXT | Kind.JSON:
            return pl.col(name)
        case _:
            return pl.col(name).cast(pl.String)
