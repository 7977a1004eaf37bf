"""What happens to one batch of normalized rows on its way to a partition.

Each function is one step: refuse what cannot be read, find the partition, tidy text, identify.
What is done to text is done once for each distinct wording (see `finops.wording`).
"""

from collections.abc import Iterator
from decimal import Decimal, localcontext

import polars as pl
import polars_hash  # noqa: F401 - registers the `chash` namespace
import pyarrow as pa

from finops import checks, focus, gpus, money, normalize, wording
from finops.errors import Issue
from finops.focus import Column, Kind
from finops.normalize import ROW, SUSPECT
from finops.raw import Scope
from finops.wording import WORDING

PERIOD = "period"
DAY = "day"
ID_LENGTH = 32
"""Hex digits of a charge id: 128 bits of SHA-256."""

_WORDS = tuple(c for c in focus.CONTENT if c.kind in {Kind.TEXT, Kind.JSON})
_NUMBERS = tuple(c for c in focus.CONTENT if c.kind not in {Kind.TEXT, Kind.JSON})
_STATUS = "x_Provisional"
"""How final a charge is says nothing of which one it is: when it becomes final it stays the same."""

_PLACE = "~place"
_SLICE_ROWS = 1 << 16  # small enough for the processor's cache
_SHAPE = "~shape"
_DIGEST = "~digest"
_SAID = {f"~said{place}": 8 * place for place in range(4)}
"""Columns that hold the SHA-256 of a row's words, eight bytes each, and where they start."""
_USES = "~uses"
_MOST_NAMED = 5
_FIELD_END = "\x1f"
_NULL = "\x00"
_UNREADABLE = {
    Kind.TIME: "is no time; write it as 2026-10-01T00:00:00Z",
    Kind.COUNT: "is no whole number",
}


def unreadable(batch: pl.DataFrame, where: str) -> Iterator[Issue]:
    """Name values that are no number or time: their money or day cannot be known."""
    for name in _suspects(batch):
        column = focus.BY_NAME[name.removeprefix(SUSPECT)]
        failed = batch.filter(pl.col(name).is_not_null() & pl.col(column.name).is_null())
        for row, text in failed.select(ROW, name).head(_MOST_NAMED).iter_rows():
            yield Issue(
                f"{where}: row {row + 1}: {column.name}",
                f"{text!r} {unreadable_as(column.kind)}; correct it at the source",
            )


def unreadable_as(kind: Kind) -> str:
    """Say what is wrong with a value that `finops.normalize` could not read."""
    return _UNREADABLE.get(kind, "is no finite number of at most 20 digits before the point")


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


def without_blank(batch: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows in which every cell of the bill was empty, such as a blank line of a CSV.

    Cells of columns that FOCUS does not know count too; they have become one JSON object.
    """
    if not batch.get_column("BilledCost").null_count():
        return batch
    known = [
        name
        for name in batch.columns
        if name.removeprefix(SUSPECT) in focus.BY_NAME and name not in {ROW, focus.SOURCE_COLUMNS}
    ]
    is_blank = batch.select(pl.all_horizontal(pl.col(known).is_null())).to_series()
    if not is_blank.any():
        return batch
    source = batch.get_column(focus.SOURCE_COLUMNS)
    said = [text for text in source.filter(is_blank).unique() if _says(text)]
    return batch.filter(~is_blank | source.is_in(said).fill_null(value=False))


def _says(text: str | None) -> bool:
    try:
        return normalize.canonical_json(text) is not None
    except (ValueError, KeyError, TypeError, RecursionError):
        return True


def located(batch: pl.DataFrame) -> pl.DataFrame:
    """Add the billing period (`2026-10`) and the charge day that a row belongs to."""
    start = pl.coalesce("ChargePeriodStart", "BillingPeriodStart")
    billed_from = pl.coalesce("BillingPeriodStart", "ChargePeriodStart")
    located = batch.with_columns(
        billed_from.dt.date().dt.month_start().alias(PERIOD), start.dt.date().alias(DAY)
    )
    # A month is put into words once, not for each of its rows.
    months = located.get_column(PERIOD).unique()
    return located.with_columns(
        pl.col(PERIOD).replace_strict(months, months.dt.strftime("%Y-%m"), return_dtype=pl.String)
    )


def in_scope(scope: Scope) -> pl.Expr:
    """Tell whether a located row belongs to what the delivery speaks for."""
    inside = pl.col(PERIOD).is_in(sorted(scope.periods))
    if scope.days is not None:
        inside |= pl.col(DAY).is_between(scope.days.start, scope.days.end, closed="left")
    return inside


def apart(batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take the words of a batch (text and JSON) apart from its numbers: see `wording.apart`."""
    suspects = [name for name in batch.columns if name.startswith(SUSPECT)]
    numbers, words = wording.apart(batch.drop(suspects), [column.name for column in _WORDS])
    uses = numbers.group_by(WORDING).len(_USES).sort(WORDING).get_column(_USES)
    return numbers, words.with_columns(uses)


def tidied(words: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Make empty text null and equal values equal text; count the JSON that had to be left out."""
    given = [column for column in _WORDS if _has_values(words, column.name)]
    texts = [column for column in given if column.kind is Kind.TEXT]
    blank = [column.name for column in texts if (words.get_column(column.name) == "").any()]
    spelled = [_spelled(words, column) for column in texts if column.allowed]
    words = words.with_columns(pl.col(blank).replace("", None)).with_columns(
        expr for expr in spelled if expr is not None
    )
    untidy: dict[str, int] = {}
    for column in given:
        if column.kind is Kind.JSON:
            words, bad = _with_canonical_json(words, column.name)
            untidy |= {f"{column.name}: {checks.BAD_JSON}": bad} if bad else {}
    return words, untidy


def uncataloged(words: pl.DataFrame, provider: str) -> dict[str, int]:
    """Count the charges for GPU machines of which nothing is known, a finding for each type."""
    if not _has_values(words, "x_InstanceType"):
        return {}
    named = gpus.is_gpu_name(provider, pl.col("x_InstanceType"))
    unknown = words.filter(named & pl.col("x_GpuModel").is_null())
    counted = unknown.group_by("x_InstanceType").agg(pl.col(_USES).sum())
    return {f"x_InstanceType: {name} {checks.UNCATALOGED}": uses for name, uses in counted.rows()}


def identified(numbers: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """Give each row of numbers the id of its content; equal rows still share one.

    The id is the beginning of a SHA-256, in hex, over three things: the row's shape, eight bytes
    in which the bits of columns with a value are set; the SHA-256 of its words; and the values
    that are there, in order. Amounts count as 10⁻¹⁸ units in sixteen bytes, all else in eight,
    the lowest byte first.
    """
    said = _said(words)[numbers.get_column(WORDING)]
    shaped = numbers.hstack(said).with_columns(_shape(numbers)).with_row_index(_PLACE)
    ids = [
        slice_.select(_PLACE, _digests(slice_).str.head(ID_LENGTH).alias("x_ChargeId"))
        for part in _by_shape(shaped)
        for slice_ in part.iter_slices(_SLICE_ROWS)
    ]
    return numbers.hstack(pl.concat(ids).sort(_PLACE).drop(_PLACE))


def _suspects(batch: pl.DataFrame) -> list[str]:
    return [
        name
        for name in batch.columns
        if name.startswith(SUSPECT) and batch.get_column(name).null_count() < len(batch)
    ]


def _with_canonical_json(rows: pl.DataFrame, name: str) -> tuple[pl.DataFrame, int]:
    """Rewrite a JSON column, each distinct text once; count the charges with bad JSON."""
    canonical: dict[str, str | None] = {}
    bad: list[str] = []
    for text in rows.get_column(name).drop_nulls().unique():
        try:
            canonical[text] = normalize.canonical_json(text)
        except (ValueError, KeyError, TypeError, RecursionError):
            canonical[text] = None
            bad.append(text)
    count = int(rows.filter(pl.col(name).is_in(bad)).get_column(_USES).sum()) if bad else 0
    changed = {text: new for text, new in canonical.items() if text != new}
    if not changed:
        return rows, count
    mapping = pl.DataFrame(
        {name: list(changed), "canonical": list(changed.values())},
        schema={name: pl.String, "canonical": pl.String},
    )
    joined = rows.join(
        mapping.with_columns(changed=pl.lit(value=True)), on=name, how="left", maintain_order="left"
    )
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


def _said(words: pl.DataFrame) -> pl.DataFrame:
    """Return the SHA-256 of each row's words, as four whole numbers.

    The words are one text, in their fixed order. Nulls at the end are cut off, so that columns
    added to the end of that order later leave the ids of old rows as they are.
    """
    digest = _text(words).chash.sha2_256()  # type: ignore[attr-defined]
    return words.select(digest.str.decode("hex").alias(_DIGEST)).select(
        pl.col(_DIGEST)
        .bin.slice(start, 8)
        .bin.reinterpret(dtype=pl.UInt64, endianness="little")
        .alias(name)
        for name, start in _SAID.items()
    )


def _text(words: pl.DataFrame) -> pl.Expr:
    parts: list[pl.Expr] = []
    pending = 0  # columns without any value become one constant
    for column in _WORDS:
        if not _has_values(words, column.name):
            pending += 1
            continue
        parts += [pl.lit(_FIELD_END.join([_NULL] * pending))] if pending else []
        pending = 0
        parts.append(pl.col(column.name).fill_null(_NULL))
    return pl.concat_str(parts, separator=_FIELD_END).str.strip_chars_end(_FIELD_END + _NULL)


def _shape(numbers: pl.DataFrame) -> pl.Expr:
    """Set the bit of every column that has a value; later columns take higher bits."""
    shape = pl.lit(0, pl.UInt64)
    for place, column in enumerate(_NUMBERS):
        if column.name == _STATUS:
            continue
        nulls = numbers.get_column(column.name).null_count()
        if nulls < len(numbers):
            present = pl.col(column.name).is_not_null() if nulls else pl.lit(value=True)
            shape += present.cast(pl.UInt64) * (1 << place)
    return shape.alias(_SHAPE)


def _by_shape(rows: pl.DataFrame) -> list[pl.DataFrame]:
    shapes = rows.get_column(_SHAPE)
    return [rows] if wording.is_constant(shapes) else rows.partition_by(_SHAPE)


def _digests(rows: pl.DataFrame) -> pl.Series:
    """Hash rows of one shape, each laid out as a fixed number of eight-byte words."""
    laid_out = [pl.col(_SHAPE, *_SAID)]
    for column in _NUMBERS:
        if column.name != _STATUS and _has_values(rows, column.name):
            laid_out += _eight_bytes(column)
    table = rows.select(pl.concat_arr(laid_out)).to_series()
    width = pa.binary(8 * table.dtype.size)  # type: ignore[attr-defined]
    bytes_ = table.explode().to_arrow().buffers()[1]
    contents = pa.FixedSizeBinaryArray.from_buffers(width, len(rows), [None, bytes_])
    digest = pl.col("content").chash.sha2_256()  # type: ignore[attr-defined]
    return pl.DataFrame({"content": contents}).select(digest).to_series()


def _eight_bytes(column: Column) -> list[pl.Expr]:
    """Cut a value into eight-byte words, the lower one first, as its 16-byte integer has them."""
    value = pl.col(column.name).to_physical()
    if column.dtype != money.DTYPE:
        return [value.cast(pl.Int64).reinterpret(signed=False)]
    low = value.cast(pl.UInt64, strict=False, wrap_numerical=True)
    high = (value // pl.lit(1 << 64, pl.Int128)).cast(pl.Int64)
    return [low, high.reinterpret(signed=False)]
