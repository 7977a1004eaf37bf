import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import focus, money, normalize
from finops.errors import DataError
from tests.finops.company import completed

OCTOBER_3 = datetime(2026, 10, 3, 5, 30, tzinfo=UTC)


def lifted(**columns: pl.Series) -> pl.DataFrame:
    """Normalize a bill of one row that has `columns` beside the ones FOCUS demands."""
    rows = completed("").with_columns(series.alias(name) for name, series in columns.items())
    return normalize.canonical(rows.lazy(), "bill").collect()


def one(name: str, series: pl.Series) -> object:
    return lifted(**{name: series}).get_column(name)[0]


def suspects(rows: pl.DataFrame) -> dict[str, str]:
    first = rows.select(pl.col(f"^{normalize.SUSPECT}.*$")).row(0, named=True)
    return {name: text for name, text in first.items() if text is not None}


@pytest.mark.parametrize("missing", normalize.CORE)
def test_a_bill_without_a_core_column_is_refused(missing: str) -> None:
    rows = completed("").drop(missing).lazy()
    with pytest.raises(DataError, match=rf"^bill: is no FOCUS bill: it has no {missing}; export"):
        normalize.canonical(rows, "bill")


@pytest.mark.parametrize("again", ["billedcost", "BilledCost_duplicated_0", " BilledCost"])
def test_a_column_that_comes_twice_is_refused(again: str) -> None:
    rows = completed("").with_columns(pl.lit("2").alias(again)).lazy()
    with pytest.raises(DataError, match="has BilledCost more than once; export each column once"):
        normalize.canonical(rows, "bill")


MONEY = {
    "text": (pl.Series(["0.1"]), "0.1"),
    "text with spaces": (pl.Series([" -5 "]), "-5"),
    "text, scientific": (pl.Series(["1.5E-7"]), "0.00000015"),
    "text, eighteen decimals": (pl.Series(["0.123456789012345678"]), "0.123456789012345678"),
    "decimal": (pl.Series([Decimal("1.10")]), "1.1"),
    "integer": (pl.Series([3]), "3"),
    "float": (pl.Series([0.1]), "0.1"),
    "float, small": (pl.Series([1e-7]), "0.0000001"),
    "float32": (pl.Series([0.1], dtype=pl.Float32), "0.1"),
    "dictionary": (pl.Series(["2.5"], dtype=pl.Categorical), "2.5"),
    "binary text": (pl.Series([b"2.5"]), "2.5"),
}


@pytest.mark.parametrize("case", MONEY)
def test_money_is_read_exactly(case: str) -> None:
    series, expected = MONEY[case]
    rows = lifted(BilledCost=series)
    assert rows.schema["BilledCost"] == money.DTYPE
    assert rows.get_column("BilledCost")[0] == Decimal(expected)


@pytest.mark.parametrize(
    "text", ["NaN", "inf", "-Infinity", "abc", "1,5", "1_000", "$1", "0x1", "1e30", "1 2", "."]
)
def test_what_is_no_amount_is_kept_as_a_suspect(text: str) -> None:
    for column in ("BilledCost", "ListUnitPrice", "PricingQuantity"):
        rows = lifted(**{column: pl.Series([text])})
        assert rows.get_column(column)[0] is None
        assert suspects(rows) == {f"~{column}": text}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e30])
def test_what_is_no_amount_among_floats(value: float) -> None:
    rows = lifted(BilledCost=pl.Series([value]))
    assert rows.get_column("BilledCost")[0] is None
    assert suspects(rows) == {"~BilledCost": str(pl.Series([value]).cast(pl.String)[0])}


@pytest.mark.parametrize(
    "series",
    [
        pl.Series(["0.1234567890123456789"]),
        pl.Series([".1234567890123456789"]),
        pl.Series(["1e-19"]),
        pl.Series([1.2345e-17]),
        pl.Series([Decimal("0.12345678901234567891")]),
    ],
)
def test_what_18_decimals_cannot_hold_is_a_suspect(series: pl.Series) -> None:
    rows = lifted(BilledCost=series)
    (text,) = suspects(rows).values()
    assert Decimal(text) != rows.get_column("BilledCost")[0]


@given(st.decimals(-(10**12), 10**12, places=18))
def test_every_amount_survives(amount: Decimal) -> None:
    read = lifted(BilledCost=pl.Series([f"{amount:f}"])).get_column("BilledCost")[0]
    assert money.atoms(read) == money.atoms(amount)


@given(st.floats(-1e15, 1e15))
def test_a_double_is_its_shortest_text_or_a_suspect(number: float) -> None:
    rows = lifted(BilledCost=pl.Series([number]))
    read = rows.get_column("BilledCost")[0]
    if not suspects(rows):
        assert read == Decimal(repr(number))
    assert abs(read - Decimal(repr(number))) <= money.QUANTUM / 2


TIMES = {
    "utc": pl.Series([OCTOBER_3]),
    "naive": pl.Series([OCTOBER_3.replace(tzinfo=None)]),
    "naive, ns": pl.Series([OCTOBER_3.replace(tzinfo=None)], dtype=pl.Datetime("ns")),
    "Berlin": pl.Series([OCTOBER_3.astimezone(ZoneInfo("Europe/Berlin"))]),
    "text, Z": pl.Series(["2026-10-03T05:30:00Z"]),
    "text, minutes": pl.Series(["2026-10-03T05:30Z"]),
    "text, milliseconds": pl.Series(["2026-10-03T05:30:00.000Z"]),
    "text, offset": pl.Series(["2026-10-03T07:30:00+02:00"]),
    "text, short offset": pl.Series(["2026-10-02T23:30:00-0600"]),
    "text, naive": pl.Series(["2026-10-03 05:30:00"]),
    "text, BigQuery": pl.Series(["2026-10-03 05:30:00 UTC"]),
    "text, Athena": pl.Series(["2026-10-03 05:30:00.000 UTC"]),
    "text, dictionary": pl.Series(["2026-10-03T05:30:00Z"], dtype=pl.Categorical),
}


@pytest.mark.parametrize("case", TIMES)
def test_times_are_utc(case: str) -> None:
    assert one("ChargePeriodStart", TIMES[case]) == OCTOBER_3


@pytest.mark.parametrize("series", [pl.Series(["2026-10-03"]), pl.Series([date(2026, 10, 3)])])
def test_a_date_is_its_midnight(series: pl.Series) -> None:
    assert one("ChargePeriodStart", series) == datetime(2026, 10, 3, tzinfo=UTC)


@pytest.mark.parametrize("text", ["10/03/2026", "yesterday", "2026-02-30", "2026-10-03T25:00:00Z"])
def test_what_is_no_time_is_a_suspect(text: str) -> None:
    rows = lifted(ChargePeriodStart=pl.Series([text]))
    assert rows.get_column("ChargePeriodStart")[0] is None
    assert suspects(rows) == {"~ChargePeriodStart": text}


NAIVE_TIMES = st.datetimes(
    OCTOBER_3.replace(1970, tzinfo=None), OCTOBER_3.replace(2100, tzinfo=None)
)


@given(NAIVE_TIMES, st.integers(-14, 14))
def test_any_offset_names_the_same_instant(local: datetime, hours: int) -> None:
    aware = local.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert one("ChargePeriodStart", pl.Series([aware.isoformat()])) == aware


def from_arrow(value: object, dtype: pa.DataType) -> pl.Series:
    return pl.Series(pa.array([value], dtype))


STRUCT = pa.struct({"team": pa.string(), "env": pa.string()})
PAIRS = pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))
TAGS = {
    "json": pl.Series(['{ "team": "ml",  "env": null}']),
    "azure": pl.Series(['"team": "ml"']),
    "map": from_arrow([("team", "ml"), ("env", None)], pa.map_(pa.string(), pa.string())),
    "struct": from_arrow({"team": "ml", "env": None}, STRUCT),
    "pairs": from_arrow([{"key": "team", "value": "ml"}], PAIRS),
    "dictionary": pl.Series(['{"team":"ml"}'], dtype=pl.Categorical),
    "binary": pl.Series([b'{"team":"ml"}']),
}


@pytest.mark.parametrize("case", TAGS)
def test_tags_in_every_shape_are_one_text(case: str) -> None:
    text = one("Tags", TAGS[case])
    assert isinstance(text, str)
    assert normalize.canonical_json(text) == '{"team":"ml"}'


NO_TAGS = {
    "null": pl.Series([None]),
    "null map": from_arrow(None, pa.map_(pa.string(), pa.string())),
    "no entries": from_arrow([], pa.map_(pa.string(), pa.string())),
    "null struct": from_arrow(None, STRUCT),
    "empty struct": from_arrow({"team": None, "env": None}, STRUCT),
    "braces": pl.Series(["{}"]),
    "blank": pl.Series(["  "]),
}


@pytest.mark.parametrize("case", NO_TAGS)
def test_no_tags_in_every_shape(case: str) -> None:
    text = one("Tags", NO_TAGS[case])
    assert text is None or isinstance(text, str)
    assert normalize.canonical_json(text) is None


@pytest.mark.parametrize(
    "text", ["[1]", '["a"]', '{"a":', "a=b", '{"a":"\\ud83d"}', '[{"k":1}]', "[" * 10_000, "{1:2}"]
)
def test_what_is_no_json_object(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, RecursionError)):
        normalize.canonical_json(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON_VALUES, max_size=5))
def test_canonical_json_is_canonical(tags: dict[str, object]) -> None:
    given_tags = {key: value for key, value in tags.items() if value is not None}
    backwards = json.dumps(dict(reversed(tags.items())), indent=2)
    text = normalize.canonical_json(json.dumps(tags))
    assert text == normalize.canonical_json(backwards)
    assert normalize.canonical_json(text) == text
    assert (json.loads(text) if text else {}) == given_tags


def test_numbers_in_tags_keep_their_digits() -> None:
    assert normalize.canonical_json('{"a":0.10000000000000000555}') == (
        '{"a":"0.10000000000000000555"}'
    )


def test_unknown_columns_are_kept_whatever_they_hold() -> None:
    rows = lifted(
        x_Discount=pl.Series([Decimal("1.10")]),
        x_Day=pl.Series([date(2026, 10, 3)]),
        x_Credits=pl.Series([[{"name": "free", "amount": 1}]]),
        x_List=pl.Series([["a", "b"]]),
        x_Empty=pl.Series([None]),
    )
    text = normalize.canonical_json(rows.get_column(focus.SOURCE_COLUMNS)[0])
    assert text is not None
    assert json.loads(text) == {
        "x_Credits": '[{"name":"free","amount":1}]',
        "x_Day": "2026-10-03",
        "x_Discount": "1.10",
        "x_List": '["a","b"]',
    }


@pytest.mark.parametrize("spelling", [str.upper, str.lower, lambda name: f" {name} "])
def test_column_names_in_any_case(spelling: Callable[[str], str]) -> None:
    rows = completed("ServiceName,Tags\nEC2,{}")
    renamed = rows.rename({name: spelling(name) for name in rows.columns})
    lifted_rows = normalize.canonical(renamed.lazy(), "bill").collect()
    assert lifted_rows.equals(normalize.canonical(rows.lazy(), "bill").collect())


@pytest.mark.parametrize(
    ("columns", "seller", "host"),
    [
        ({"ProviderName": "AWS"}, "AWS", "AWS"),
        ({"ProviderName": "AWS", "PublisherName": "Acme"}, "AWS", "AWS"),
        ({"PublisherName": "Acme"}, "Acme", None),
        ({"InvoiceIssuerName": "Reseller"}, "Reseller", None),
        ({"ProviderName": "AWS", "ServiceProviderName": "Acme"}, "Acme", "AWS"),
        ({"HostProviderName": "GCP", "ServiceProviderName": "Acme"}, "Acme", "GCP"),
    ],
)
def test_who_sells_and_who_hosts(columns: dict[str, str], seller: str, host: str | None) -> None:
    rows = lifted(**{name: pl.Series([value]) for name, value in columns.items()})
    assert rows.select("ServiceProviderName", "HostProviderName").row(0) == (seller, host)


@pytest.mark.parametrize(
    ("series", "flag"),
    [
        (pl.Series([True]), True),
        (pl.Series(["TRUE"]), True),
        (pl.Series([1]), True),
        (pl.Series([0]), False),
        (pl.Series(["no"]), False),
        (pl.Series([None]), None),
    ],
)
def test_flags(series: pl.Series, flag: bool | None) -> None:  # noqa: FBT001
    assert one("x_Provisional", series) is flag


@pytest.mark.parametrize(("text", "suspect"), [("8", {}), ("8.5", {"~x_GpuCount": "8.5"})])
def test_counts(text: str, suspect: dict[str, str]) -> None:
    assert suspects(lifted(x_GpuCount=pl.Series([text]))) == suspect


def test_carried_columns_pass_through() -> None:
    rows = completed("ListCost\n1.5").with_columns(pl.lit("as it was").alias("mark"))
    carried = normalize.canonical(rows.lazy(), "bill", ["mark"]).collect()
    assert carried.get_column("mark").to_list() == ["as it was"]
    assert carried.get_column(focus.SOURCE_COLUMNS).to_list() == [None]


@pytest.mark.parametrize("value", [pl.lit(value=True), pl.date(2026, 11, 1)])
def test_a_cost_of_another_type_is_a_doubtful_value_not_a_crash(value: pl.Expr) -> None:
    rows = completed("SkuId\nx").with_columns(ListCost=value)
    lifted_rows = normalize.canonical(rows.lazy(), "bill").collect()
    assert lifted_rows.get_column("ListCost").to_list() == [None]
    assert lifted_rows.get_column("~ListCost").null_count() == 0


def own(series: pl.Series) -> object:
    """Normalize a bill with a column of its own; return what is kept of it."""
    return json.loads(lifted(x_Own=series).get_column(focus.SOURCE_COLUMNS)[0])["x_Own"]


OWN: dict[str, tuple[pl.Series, object]] = {
    "text in bytes": (pl.Series(["ü".encode()]), "ü"),
    "bytes that are no text": (pl.Series([b"\xff\x00"]), "ff00"),
    "a duration": (pl.Series([timedelta(seconds=90)]), "PT1M30S"),
    "a time of day": (pl.Series([time(1, 2, 3)]), "01:02:03"),
    "bytes in a list": (pl.Series([[b"\xff", b"a", None]]), '["ff", "a", null]'),
    "bytes in a struct": (pl.Series([{"a": b"\xff", "b": 1}]), '{"a": "ff", "b": 1}'),
    "a duration in a list": (pl.Series([[timedelta(seconds=90)]]), '["PT90S"]'),
    "half a float": (pl.Series([1.5], dtype=pl.Float16), "1.5"),
    "nothing in bytes": (pl.Series([None], dtype=pl.Binary), None),
    "nothing in a list of bytes": (pl.Series([None], dtype=pl.List(pl.Binary)), None),
}


@pytest.mark.parametrize("case", OWN)
def test_a_column_of_the_bills_own_is_kept_whatever_its_type(case: str) -> None:
    given, kept = OWN[case]
    assert own(given) == kept


def test_an_arrow_extension_is_what_it_stores() -> None:
    table = completed("").to_arrow().append_column("x_Own", pa.array(['{"a":1}'], pa.json_()))
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    found = normalize.canonical(rows.lazy(), "bill").collect()
    assert json.loads(found.get_column(focus.SOURCE_COLUMNS)[0]) == {"x_Own": '{"a":1}'}


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (pl.Datetime("us", "UTC"), 2**62),
        (pl.Datetime("ms", "UTC"), -(2**62)),
        (pl.Datetime("ms"), 2**62),
        (pl.Date(), 2**31 - 1),
    ],
)
def test_a_time_that_no_calendar_holds_stays_far_off(dtype: pl.DataType, value: int) -> None:
    series = pl.Series([value], dtype=pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    rows = lifted(ChargePeriodStart=series)
    years = rows.get_column("ChargePeriodStart").dt.year()
    assert abs(int(years[0])) > 50_000
