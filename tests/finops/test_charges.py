import gzip
import io
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops import charges, focus, replacement
from finops.errors import DataError, Severity
from finops.partition import Partition, Window
from finops.raw import Scope
from finops.warehouse.local import LocalWarehouse
from tests.finops.broken_stores import Killed, KilledAt
from tests.finops.company import (
    WHOLE_OCTOBER,
    completed,
    csv,
    deliver,
    kept_charges,
    parquet,
    snapshot,
)

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
TEXTS = {"Tags": '{"team":"ml"}', "SkuPriceDetails": '{"a":"b"}'}


def filled_row(version: str) -> pl.DataFrame:
    """Make a bill of one row with every column that FOCUS had in `version`."""
    row = {
        column.name: TEXTS.get(column.name) or _example(column)
        for column in focus.COST_AND_USAGE
        if column.since <= version
    }
    if version < "1.4":
        row |= {"ProviderName": "AWS", "PublisherName": "AWS"}
    return (
        completed("")
        .select("BillingPeriodStart", "BillingPeriodEnd")
        .with_columns(
            pl.lit(value).alias(name)
            for name, value in row.items()
            if not name.startswith("BillingPe")
        )
    )


def _example(column: focus.Column) -> str:
    if column.allowed:
        return column.allowed[0]
    match column.kind:
        case focus.Kind.TIME:
            return f"2026-10-0{4 if column.name.endswith('End') else 3}T00:00:00Z"
        case focus.Kind.JSON:
            return '{"a":"b"}'
        case focus.Kind.TEXT:
            return "USD" if column.name.endswith("Currency") else f"some {column.name}"
        case _:
            return "1"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_version_of_focus(version: str, form: str, warehouse: LocalWarehouse) -> None:
    rows = filled_row(version)
    ingested = deliver(warehouse, rows.write_csv().encode() if form == "csv" else parquet(rows))
    assert ingested.billed == {"USD": 1}
    assert ingested.quarantined_rows == 0
    newer = {c.name for c in focus.COST_AND_USAGE if c.since > version}
    kept = kept_charges(warehouse)
    assert kept.schema == focus.SCHEMA
    given = {name for name in focus.SCHEMA if kept.get_column(name)[0] is not None}
    filled_in = {"ServiceProviderName", "HostProviderName"}
    assert not (newer - filled_in) & given
    assert {c.name for c in focus.COST_AND_USAGE if c.since <= version} <= given
    assert kept.get_column("ServiceProviderName")[0] is not None


PLAIN = 'BilledCost,ServiceName,Tags\n1.5,EC2,{}\n2.5,S3,"{""a"":""b""}"\n-0.25,EC2,\n'


def test_the_form_of_a_bill_does_not_change_its_charges(tmp_path: Path) -> None:
    rows = completed(PLAIN)
    plain = rows.write_csv().encode()
    typed = rows.with_columns(
        pl.col("BilledCost").cast(pl.Float64),
        pl.col("^.*Period.*$").str.to_datetime(time_zone="UTC"),
    )
    forms = {
        "csv": plain,
        "gzip": gzip.compress(plain),
        "semicolon": rows.write_csv(separator=";").encode(),
        "byte order mark": b"\xef\xbb\xbf" + plain,
        "upper case": rows.rename({name: name.upper() for name in rows.columns})
        .write_csv()
        .encode(),
        "parquet": parquet(rows),
        "typed parquet": parquet(typed),
        "decimal parquet": parquet(typed.with_columns(pl.col("BilledCost").cast(pl.Decimal(9, 3)))),
    }
    kept = {}
    for form, content in forms.items():
        warehouse = LocalWarehouse(tmp_path / form)
        deliver(warehouse, content)
        kept[form] = kept_charges(warehouse).drop("x_RawId")
    assert {form: rows.equals(kept["csv"]) for form, rows in kept.items()} == dict.fromkeys(
        forms, True
    )


def test_the_same_bill_again_changes_no_byte(warehouse: LocalWarehouse) -> None:
    first = deliver(warehouse, csv(PLAIN))
    before = snapshot(warehouse.root)
    assert deliver(warehouse, csv(PLAIN)) == first
    assert snapshot(warehouse.root) == before


def test_a_vanished_day_becomes_empty(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("ChargePeriodStart,BilledCost\n2026-10-02,1\n2026-10-03,2"))
    after = deliver(warehouse, csv("ChargePeriodStart,BilledCost\n2026-10-03,2"))
    assert [(each.day.day, each.period) for each in after.partitions] == [
        (2, "2026-10"),
        (3, "2026-10"),
    ]
    second = Partition("focus", "acme", "2026-10", date(2026, 10, 2))
    gone = charges.read(warehouse, second).collect()
    assert gone.is_empty()
    assert gone.schema == focus.SCHEMA


def test_what_lies_outside_is_left_alone_and_told(warehouse: LocalWarehouse) -> None:
    november = "ChargePeriodStart,BillingPeriodStart,BilledCost\n2026-11-02,2026-11-01,7"
    deliver(warehouse, csv(november), Scope(frozenset({"2026-11"})))
    before = kept_charges(warehouse)
    ingested = deliver(warehouse, csv(november), WHOLE_OCTOBER)
    assert (ingested.rows, ingested.outside_rows, ingested.billed) == (0, 1, {})
    said = "acme: 1 row worth 7 USD lies outside the dates asked for and was left alone"
    assert (str(ingested.issues[-1]), ingested.issues[-1].severity) == (said, Severity.INFO)
    months_only = deliver(warehouse, csv(november), Scope(frozenset({"2026-10"})))
    assert (str(months_only.issues[-1]), months_only.issues[-1].severity) == (
        said,
        Severity.WARNING,
    )
    assert kept_charges(warehouse).equals(before)


def test_what_lies_outside_the_days_asked_for_is_worth_a_word(warehouse: LocalWarehouse) -> None:
    rows = csv("BillingCurrency,BilledCost\nUSD,7\nEUR,1.5\nUSD,-0.5")
    scope = Scope(days=Window(date(2026, 10, 20), date(2026, 10, 21)))
    issue = deliver(warehouse, rows, scope).issues[-1]
    assert "3 rows worth 1.5 EUR, 6.5 USD lie outside the dates asked for" in issue.message
    assert issue.severity is Severity.INFO


def test_a_late_correction_does_not_replace_the_day_it_corrects(warehouse: LocalWarehouse) -> None:
    october = "ChargePeriodStart,BillingPeriodStart,BilledCost\n2026-10-31,2026-10-01,10"
    november = "ChargePeriodStart,BillingPeriodStart,BilledCost\n2026-10-31,2026-11-01,-1"
    deliver(warehouse, csv(october), Scope(frozenset({"2026-10"})))
    deliver(warehouse, csv(november), Scope(frozenset({"2026-11"})))
    assert kept_charges(warehouse).get_column("BilledCost").to_list() == [10, -1]


def test_rounding_is_told(warehouse: LocalWarehouse) -> None:
    ingested = deliver(warehouse, csv("BilledCost\n0.1234567890123456789\n1"))
    assert ingested.rounding == {"USD": Decimal("-1e-19")}
    assert str(ingested.issues[-1]) == (
        "acme: -0.0000000000000000001 USD is finer than 18 decimals and was rounded away"
    )


def test_bad_tags_are_left_out_and_told(warehouse: LocalWarehouse) -> None:
    ingested = deliver(warehouse, csv('SkuId,Tags\nx,"[1]"\ny,"{""a"":""\\ud83d""}"\nz,{}'))
    assert "bill: Tags: is no JSON object and was left out (2 rows)" in map(str, ingested.issues)
    assert kept_charges(warehouse).get_column("Tags").null_count() == 3


def test_a_header_alone_is_an_empty_bill(warehouse: LocalWarehouse) -> None:
    ingested = deliver(warehouse, csv("BilledCost\n5").split(b"\n")[0] + b"\n")
    assert (ingested.rows, len(ingested.partitions)) == (0, 0)


def test_a_header_alone_takes_no_month_back(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("BilledCost\n5"))
    with pytest.raises(DataError, match="holds no rows of 2026-10, although 5 USD were billed"):
        deliver(warehouse, csv("BilledCost\n5").split(b"\n")[0] + b"\n")
    assert len(kept_charges(warehouse)) == 1


def test_a_month_that_is_empty_beside_a_filled_one_takes_nothing_back(
    warehouse: LocalWarehouse,
) -> None:
    both = Scope(frozenset({"2026-10", "2026-11"}))
    november = "BilledCost,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd\n"
    november += "7,2026-11-01,2026-12-01,2026-11-02,2026-11-03"
    deliver(warehouse, csv("BilledCost\n5"))
    with pytest.raises(DataError, match="holds no rows of 2026-10, although 5 USD were billed"):
        deliver(warehouse, csv(november), both)
    assert kept_charges(warehouse).get_column("BilledCost").to_list() == [5]


def test_a_charge_that_becomes_final_stays_the_same(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv("BilledCost,x_Provisional\n5,true"))
    before = kept_charges(warehouse).get_column("x_ChargeId").to_list()
    deliver(warehouse, csv("BilledCost,x_Provisional\n5,false"))
    after = kept_charges(warehouse)
    assert after.get_column("x_ChargeId").to_list() == before
    assert after.get_column("x_Provisional").to_list() == [False]


def test_totals_of_more_than_28_digits(warehouse: LocalWarehouse) -> None:
    """A large bill in a small currency: ten billion and eighteen decimals are 29 digits."""
    rows = "".join(f"2026-10-0{day},IDR,12345678901.123456789012345678\n" for day in (2, 3, 4))
    ingested = deliver(warehouse, csv(f"ChargePeriodStart,BillingCurrency,BilledCost\n{rows}"))
    assert ingested.billed == {"IDR": Decimal("37037036703.370370367037037034")}


ROWS = st.lists(
    st.tuples(
        st.integers(1, 28),
        st.sampled_from(["USD", "EUR", "usd", ""]),
        st.decimals(-(10**6), 10**6, places=18),
        st.sampled_from(["", "i-1", "i-2"]),
    ),
    min_size=1,
    max_size=12,
)
QUICK = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def written(rows: list[tuple[int, str, Decimal, str]]) -> bytes:
    lines = [f"2026-10-{day:02},{code},{cost:f},{name}" for day, code, cost, name in rows]
    good = "2026-10-01,USD,1,good"  # see the test of a bill of nothing but bad rows
    return csv("\n".join(["ChargePeriodStart,BillingCurrency,BilledCost,SkuId", good, *lines]))


@QUICK
@given(ROWS)
def test_no_money_is_lost(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str, Decimal, str]]
) -> None:
    warehouse = LocalWarehouse(tmp_path_factory.mktemp("warehouse"))
    ingested = deliver(warehouse, written(rows))
    set_aside = [
        pl.read_parquet(warehouse.local(each.key("quarantine")))
        for each in charges.partitions(warehouse, "quarantine")
    ]
    kept = [*set_aside, kept_charges(warehouse)]
    total = sum(Decimal(frame.get_column("BilledCost").sum()) for frame in kept)
    assert total == sum(ingested.billed.values()) == 1 + sum(cost for _, _, cost, _ in rows)
    assert sum(map(len, kept)) == ingested.rows == 1 + len(rows)


@QUICK
@given(ROWS, st.data())
def test_row_order_does_not_change_the_charges(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, Decimal, str]],
    data: st.DataObject,
) -> None:
    shuffled = data.draw(st.permutations(rows))
    kept = []
    for order in (rows, shuffled):
        warehouse = LocalWarehouse(tmp_path_factory.mktemp("warehouse"))
        deliver(warehouse, written(order))
        found = kept_charges(warehouse).drop("x_RawId", "x_RawRow")
        kept.append(found.sort("x_ChargeId"))
    assert kept[0].equals(kept[1])


def test_killed_anywhere_the_charges_are_all_old_or_all_new(tmp_path: Path) -> None:
    old = csv("ChargePeriodStart,BilledCost,BillingCurrency\n2026-10-02,1,USD\n2026-10-03,1,usd")
    new = csv("ChargePeriodStart,BilledCost,BillingCurrency\n2026-10-03,2,USD\n2026-10-04,2,usd")
    deliver(LocalWarehouse(tmp_path / "before"), old)
    before = kept_charges(LocalWarehouse(tmp_path / "before")).get_column("BilledCost").to_list()
    alive, calls = True, 0
    while alive:
        warehouse = LocalWarehouse(
            Path(shutil.copytree(tmp_path / "before", tmp_path / str(calls)))
        )
        try:
            deliver(KilledAt(warehouse, calls), new)
            alive = False
        except Killed:
            replacement.finish(warehouse)
            now = kept_charges(warehouse).get_column("BilledCost").to_list()
            aside = [each.day.day for each in charges.partitions(warehouse, "quarantine")]
            assert (now, aside) in [(before, [3]), ([2], [4])]
        deliver(warehouse, new)
        assert kept_charges(warehouse).get_column("BilledCost").to_list() == [2]
        calls += 1
    assert calls > 10


def test_a_day_alone_can_be_delivered(warehouse: LocalWarehouse) -> None:
    days = "ChargePeriodStart,BilledCost\n2026-10-02,1\n2026-10-03,2"
    deliver(warehouse, csv(days))
    only = Scope(days=Window(date(2026, 10, 3), date(2026, 10, 4)))
    deliver(warehouse, csv("ChargePeriodStart,BilledCost\n2026-10-02,8\n2026-10-03,9"), only)
    assert kept_charges(warehouse).get_column("BilledCost").to_list() == [1, 9]


def test_the_files_are_read_by_anything(warehouse: LocalWarehouse) -> None:
    deliver(warehouse, csv(PLAIN))
    (key,) = warehouse.list("charges/")
    assert key == ("charges/provider=focus/source=acme/period=2026-10/day=2026-10-03/part.parquet")
    pattern = str(warehouse.root / "charges" / "**" / "*.parquet")
    found = pl.read_parquet(pattern, hive_partitioning=True)
    assert found.get_column("BilledCost").sum() == Decimal("3.75")
    assert found.get_column("source").to_list() == ["acme"] * 3
    assert io.BytesIO(warehouse.read(key)).read(4) == b"PAR1"
