"""Lifting a bill of FOCUS 1.0 to 1.4 to the canonical columns and types.

Text, floats, decimals, dates and maps become what `finops.focus` says they are. A value that
cannot be converted, or that loses digits, is kept as text in a *suspect* column (`~BilledCost`),
so that nothing changes silently.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from finops import focus, money
from finops.distinct import once_each
from finops.errors import DataError
from finops.focus import Column, Kind

SUSPECT = "~"
_GIVEN = "<"
ROW = "x_RawRow"
GIVEN_ROW = "~row"
"""How a provider says itself which row of the raw object a row was read from."""

CORE = (
    "BilledCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
)
"""Without these a table is no FOCUS bill, whatever its version."""

RENAMED = {"ProviderName": "x_ProviderName", "PublisherName": "x_PublisherName"}
"""Columns of FOCUS 1.0 to 1.3 that 1.4 does not have, and the names they are kept under."""

_FALLBACKS: Mapping[str, Sequence[str]] = {
    # FOCUS 1.3 split ProviderName and PublisherName into who sells and who hosts.
    "ServiceProviderName": ("x_ProviderName", "x_PublisherName", "InvoiceIssuerName"),
    "HostProviderName": ("x_ProviderName",),
}
_TIME_FORMATS = (
    "%Y-%m-%dT%H:%M:%SZ",  # says no more than the next one, but Polars reads it ten times faster
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d",
)
_LONGEST_EXACT_TEXT = money.SCALE + len(".")
_WRAPPED = "json"
_DAY_UNITS = {"ms": 86_400_000, "us": 86_400_000_000}
"""Of the times that may lie too far off; nanoseconds reach from 1677 to 2262."""
_FARTHEST_DAYS = 100_000 * 365
_DOUBLED = re.compile(r"_duplicated_\d+$")
"""What Polars adds to a column name that a CSV header holds a second time."""


def canonical(rows: pl.LazyFrame, name: str, carried: Sequence[str] = ()) -> pl.LazyFrame:
    """Bring `rows` to `focus.CONTENT` plus the row number and suspect columns.

    `name` is what messages call the bill; columns in `carried` pass through as they are. Raises
    `DataError` when it is no FOCUS bill.
    """
    rows = _unwrapped(_numbered(rows))
    schema = rows.collect_schema()
    delivered = matched(schema.names())
    _demand_core(delivered, name)
    _refuse_doubled(schema.names(), name)
    types = {name: schema[source] for name, source in delivered.items()}
    typed = [column for column in focus.CONTENT if column.name in delivered]
    doubtful = [column for column in typed if _can_fail(column, types[column.name])]
    unknown = sorted(set(schema.names()) - set(delivered.values()) - {ROW, *carried})
    kept = [_as_json(unknown, schema).alias(focus.SOURCE_COLUMNS)] if unknown else []
    values = [
        _value(column, delivered[column.name], types[column.name]).alias(column.name)
        for column in typed
    ]
    given = [pl.col(delivered[column.name]).alias(_GIVEN + column.name) for column in doubtful]
    suspects = [_suspect(column, types[column.name]) for column in doubtful]
    # In two steps, so that a value is not converted a second time to see whether it failed.
    lifted = (
        rows.select(pl.col(ROW).cast(pl.Int64), *values, *given, *kept, *carried)
        .with_columns(suspects)
        .drop(_GIVEN + column.name for column in doubtful)
    )
    return _completed(lifted, {*delivered, *([focus.SOURCE_COLUMNS] if unknown else [])})


def _numbered(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add row numbers, unless the provider did; a bill's own `x_RawRow` is not to be believed."""
    names = rows.collect_schema().names()
    if GIVEN_ROW in names:
        return rows.drop(ROW, strict=False).rename({GIVEN_ROW: ROW})
    return rows.drop(ROW, strict=False).with_row_index(ROW)


def canonical_json(text: str | None) -> str | None:
    """Write a JSON object with sorted keys and no spaces, so that equal tags are equal text.

    Accepts what providers send: an object, a list of key and value pairs (a MAP column), and
    Azure's object without braces. A null value is no value: a column of structs names every
    key in every row. Returns `None` for no tags; raises `ValueError` for no JSON.
    """
    if text is None:
        return None
    stripped = text.strip()
    braced = stripped if stripped[:1] in {"{", "["} else f"{{{stripped}}}"
    found = json.loads(braced, parse_float=lambda number: number)
    if isinstance(found, list):
        found = {pair["key"]: pair["value"] for pair in found}
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - callers treat all bad JSON alike
    given = {key: value for key, value in found.items() if value is not None}
    if not given:
        return None
    canonical = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    canonical.encode()  # half of a surrogate pair is JSON, but no text: raises a ValueError
    return canonical


def matched(names: Sequence[str]) -> dict[str, str]:
    """Map canonical names to delivered ones; some databases change the case on export."""
    by_lower = {name.strip().lower(): name for name in names}
    wanted = {name.lower(): name for name in focus.BY_NAME}
    wanted |= {old.lower(): new for old, new in RENAMED.items()}
    content = {column.name for column in focus.CONTENT} - {focus.SOURCE_COLUMNS}
    return {
        wanted[lower]: name
        for lower, name in by_lower.items()
        if lower in wanted and wanted[lower] in content
    }


def _demand_core(delivered: Mapping[str, str], name: str) -> None:
    missing = [column for column in CORE if column not in delivered]
    if missing:
        raise DataError(
            f"{name}: is no FOCUS bill: it has no {', '.join(missing)}; "
            f"export it as FOCUS 1.0 to 1.4 (or use the provider made for this format)"
        )


def _refuse_doubled(names: Sequence[str], bill: str) -> None:
    """Refuse a bill with two columns of one FOCUS name: which of them counts is anyone's guess."""
    plain = [_DOUBLED.sub("", name).strip().lower() for name in names]
    known = {column.name.lower(): column.name for column in focus.CONTENT}
    doubled = sorted({known[name] for name in plain if name in known and plain.count(name) > 1})
    if doubled:
        raise DataError(f"{bill}: has {', '.join(doubled)} more than once; export each column once")


def _unwrapped(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Turn columns of types that hold words in other ways, which many writers make, into text."""
    told = [_told(pl.col(name), dtype) for name, dtype in rows.collect_schema().items()]
    return rows.with_columns(column for column in told if column is not None)


def _told(column: pl.Expr, dtype: object) -> pl.Expr | None:
    """Write `column` as text; None when its type is one that the rest of this module knows."""
    match dtype:
        case pl.Categorical() | pl.Enum() | pl.Null():
            return column.cast(pl.String)
        case pl.Binary():
            return _in_python(column, _as_words)
        case pl.Duration():
            return column.dt.to_string("iso")
        case pl.BaseExtension():
            stored = column.ext.storage()
            return _told(stored, dtype.ext_storage()) or stored
    return None


def _in_python(column: pl.Expr, convert: Callable[[pl.Series], pl.Series]) -> pl.Expr:
    return column.map_batches(convert, return_dtype=pl.String(), is_elementwise=True)


def _as_words(column: pl.Series) -> pl.Series:
    """Read bytes as UTF-8; a value that is none comes as hexadecimal digits."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        words = [None if value is None else _words(value) for value in column]
        return pl.Series(column.name, words, pl.String)


def _words(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _as_json_text(column: pl.Series) -> pl.Series:
    """Write nested values that hold bytes, which Polars cannot write as JSON."""
    return pl.Series(column.name, [_nested_json(value) for value in column.to_list()], pl.String)


def _nested_json(value: object) -> str | None:
    def told(inner: object) -> str:
        return _words(inner) if isinstance(inner, bytes) else str(inner)

    return None if value is None else json.dumps(value, default=told, ensure_ascii=False)


def _holds_bytes(dtype: object) -> bool:
    match dtype:
        case pl.Struct():
            return any(_holds_bytes(field.dtype) for field in dtype.fields)
        case pl.Map():
            return _holds_bytes(dtype.key) or _holds_bytes(dtype.value)
        case pl.List() | pl.Array():
            return _holds_bytes(dtype.inner)
    return isinstance(dtype, pl.Binary)


def _json(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Write nested values as JSON; Polars does so for structs, so others travel in one."""
    if _holds_bytes(dtype):
        return _in_python(source, _as_json_text)
    if isinstance(dtype, pl.Struct):
        text = source.struct.json_encode()
    elif isinstance(dtype, pl.Map | pl.List | pl.Array):
        wrapped = pl.struct(source.alias(_WRAPPED)).struct.json_encode()
        text = wrapped.str.strip_prefix(f'{{"{_WRAPPED}":').str.strip_suffix("}")
    else:
        return source.cast(pl.String)
    return pl.when(source.is_not_null()).then(text)


def _value(column: Column, delivered: str, dtype: pl.DataType) -> pl.Expr:
    source = pl.col(delivered)
    match column.kind:
        case Kind.MONEY | Kind.PRICE | Kind.QUANTITY:
            return _decimal(source, dtype)
        case Kind.TIME:
            return as_time(source, dtype)
        case Kind.JSON:
            return _json(source, dtype)
        case Kind.COUNT:
            return source.cast(pl.Int64, strict=False)
        case Kind.FLAG:
            return source.cast(pl.String).str.to_lowercase().is_in(["true", "1"])
        case _:
            return source if dtype == pl.String else source.cast(pl.String)


def _decimal(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Read exactly: text digit by digit, a double by the shortest text that names it."""
    if dtype.is_integer() or dtype.is_decimal():
        return source.cast(money.DTYPE, strict=False)
    return _plain_text(source).cast(money.DTYPE, strict=False)


def _plain_text(source: pl.Expr) -> pl.Expr:
    return source.cast(pl.String).str.strip_chars()


def as_time(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Read times as `canonical` does: UTC, to the microsecond; null for what is none."""
    if isinstance(dtype, pl.Datetime):
        near = _nearer(source, dtype, _DAY_UNITS.get(dtype.time_unit))
        zoned = (
            near.dt.convert_time_zone("UTC")
            if dtype.time_zone
            else near.dt.replace_time_zone("UTC")
        )
        return zoned.dt.cast_time_unit("us")
    if dtype == pl.Date:
        near = _nearer(source, dtype, 1)
        return near.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return source.cast(pl.String).map_batches(_times, focus.TIME_DTYPE, is_elementwise=True)


def _times(texts: pl.Series) -> pl.Series:
    return once_each(texts, _read_times)


def _read_times(texts: pl.Series) -> pl.Series:
    """Read times in the first format that fits all of them, else each in the first that fits it."""
    for form in _TIME_FORMATS:
        found = _parsed(texts, form)
        if found.null_count() == texts.null_count():
            return found
    tidy = texts.str.strip_chars().str.replace(r" ?UTC$", "Z").str.replace(" ", "T", literal=True)
    each = [_parsed(tidy, form).alias(form) for form in _TIME_FORMATS]
    return pl.select(pl.coalesce(each)).to_series()


def _parsed(texts: pl.Series, form: str) -> pl.Series:
    if form.endswith("z"):
        return texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    return texts.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")


def _nearer(source: pl.Expr, dtype: pl.DataType, units_a_day: int | None) -> pl.Expr:
    """Bring a time that no calendar holds nearer: still so far off that the checks refuse it."""
    if units_a_day is None:
        return source
    far = _FARTHEST_DAYS * units_a_day
    return source.to_physical().clip(-far, far).cast(dtype)


def _can_fail(column: Column, dtype: pl.DataType) -> bool:
    """Tell whether a conversion can fail or round; integers and native times cannot."""
    if column.kind in {Kind.MONEY, Kind.PRICE, Kind.QUANTITY}:
        return not dtype.is_integer()
    if column.kind is Kind.COUNT:
        return not dtype.is_integer()
    return column.kind is Kind.TIME and not dtype.is_temporal()


def _suspect(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Keep the text of values that became null, and of amounts too fine for 18 decimals."""
    can_be_fine = column.kind is Kind.MONEY and not _fits(dtype)

    def doubtful(pair: Sequence[pl.Series]) -> pl.Series:
        given, value = pair
        is_read = given.null_count() == value.null_count()
        if is_read and not (can_be_fine and _is_fine(given.cast(pl.String)).any()):
            return pl.Series(given.name, [None], pl.String).new_from_index(0, len(given))
        text = given.cast(pl.String).str.strip_chars()
        mask = value.is_null() & given.is_not_null()
        return text.set((mask | _is_fine(text) if can_be_fine else mask).not_(), None)

    pair = [pl.col(_GIVEN + column.name), pl.col(column.name)]
    found = pl.map_batches(pair, doubtful, pl.String(), is_elementwise=True)
    return found.alias(SUSPECT + column.name)


def _is_fine(text: pl.Series) -> pl.Series:
    """Tell the amounts that may be finer than 18 decimals, by how they are written."""
    is_long = text.str.len_bytes() > _LONGEST_EXACT_TEXT
    return is_long | text.str.contains_any(["e-", "E-"])


def _fits(dtype: pl.DataType) -> bool:
    """Tell whether every amount of this type has a place in 18 decimals."""
    return isinstance(dtype, pl.Decimal) and dtype.scale <= money.SCALE


def _as_json(unknown: Sequence[str], schema: Mapping[str, pl.DataType]) -> pl.Expr:
    texts = [_json(pl.col(name), schema[name]).alias(name) for name in unknown]
    return pl.struct(texts).struct.json_encode()


def _completed(rows: pl.LazyFrame, present: set[str]) -> pl.LazyFrame:
    """Add absent columns as nulls, and fill the ones that 1.3 introduced from older ones."""
    absent = [
        pl.lit(None, column.dtype).alias(column.name)
        for column in focus.CONTENT
        if column.name not in present
    ]
    filled = [pl.coalesce(name, *older).alias(name) for name, older in _FALLBACKS.items()]
    return rows.with_columns(absent).with_columns(filled)
