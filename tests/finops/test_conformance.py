from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops import checks, conformance, tabular
from finops.conformance import Conformance
from finops.errors import DataError, Severity
from finops.raw import Scope
from finops.warehouse.local import LocalWarehouse
from tests.conftest import BILL
from tests.finops.company import completed, deliver
from tests.finops.test_charges import VERSIONS, filled_row

FAITHFUL = BILL.parent / "faithful.csv"


def of(text: str) -> Conformance:
    return conformance.check(completed(text).lazy(), "bill")


def counts(found: Conformance) -> dict[str, int]:
    return {result.requirement.id: result.broken or 0 for result in found.broken}


def test_every_requirement_is_there_once() -> None:
    ids = [requirement.id for requirement in conformance.requirements()]
    assert len(ids) == len(set(ids))
    assert {check.id for check in checks.CHECKS} <= set(ids)


def test_a_bill_that_breaks_nothing() -> None:
    found = conformance.check(tabular.scan(FAITHFUL, "faithful"), "faithful")
    assert counts(found) == {}
    assert (found.rows, found.version) == (11, "1.2")
    assert not found.is_refused
    assert not found.sets_aside


def test_the_first_rows_are_named_as_people_count_them(docstring: str) -> None:
    """
    BillingCurrency,SkuId
    USD,a
    usd,b
    USD,c
    ,d
    """
    (worst, *_) = of(docstring).broken
    assert worst.requirement.id == "BillingCurrency: is no ISO 4217 code such as USD"
    assert (worst.broken, worst.first_rows) == (2, (2, 4))


def test_of_many_rows_only_the_first_are_named() -> None:
    (worst, *_) = of("ChargeCategory\n" + "Refund\n" * 50).broken
    assert (worst.broken, worst.first_rows) == (50, (1, 2, 3, 4, 5))


def test_the_worst_comes_first() -> None:
    found = of("BillingCurrency,BilledCost,ListCost,ListUnitPrice\nusd,1,NaN,-1")
    ranks = [result.requirement.severity for result in found.broken]
    assert ranks[:3] == [Severity.FATAL, Severity.QUARANTINE, Severity.WARNING]
    assert found.is_refused
    assert found.sets_aside


def test_what_is_fatal_is_counted_to_the_end(docstring: str) -> None:
    """
    BilledCost,ChargePeriodStart,ChargePeriodEnd
    1,2026-10-03,2026-10-04
    twelve,2026-10-03,2026-10-04
    NaN,2026-10-03,2026-10-04
    1,2026-10-05,2026-10-04
    1,tomorrow,2026-10-04
    """
    found = {result.requirement.id: result for result in of(docstring).broken}
    number = found["BilledCost: is no finite number of at most 20 digits before the point"]
    assert (number.broken, number.first_rows) == (2, (2, 3))
    assert found["ChargePeriodEnd: the charge period ends before it starts"].first_rows == (4,)
    time = found["ChargePeriodStart: is no time; write it as 2026-10-01T00:00:00Z"]
    assert time.first_rows == (5,)


def test_a_name_with_two_meanings_is_told_with_all_its_rows(docstring: str) -> None:
    """
    ProviderName,ServiceName,ServiceCategory,SkuPriceId,SkuId
    AWS,EC2,Compute,p1,s1
    AWS,EC2,Storage,p1,s1
    AWS,EC2,Compute,p2,s1
    GCP,EC2,Web,p1,s2
    AWS,S3,Storage,p1,
    """
    found = {result.requirement.id: result for result in of(docstring).broken}
    torn = found["ServiceName: goes with more than one ServiceCategory"]
    assert (torn.broken, torn.first_rows) == (3, (1, 2))
    assert "SkuPriceId: goes with more than one SkuId" not in found


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["USD", "usd", ""]),
        st.sampled_from(["EC2", "S3", ""]),
        st.sampled_from(["Compute", "Storage", "Magic"]),
        st.sampled_from(["1", "-1", "NaN", ""]),
    ),
    min_size=1,
    max_size=12,
)


@given(ROWS, st.integers(1, 5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_do_not_change_the_answer(
    monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, ...]], batch: int
) -> None:
    header = ["BillingCurrency", "ServiceName", "ServiceCategory", "ListUnitPrice"]
    table = completed(pl.DataFrame(rows, schema=header, orient="row").write_csv())
    whole = conformance.check(table.lazy(), "bill")
    monkeypatch.setattr(conformance, "_BATCH_ROWS", batch)
    assert conformance.check(table.lazy(), "bill") == whole


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_told_by_the_columns(version: str) -> None:
    found = conformance.check(filled_row(version).lazy(), "bill")
    assert found.version == version
    assert not {rule for rule in counts(found) if "not among the columns" in rule}


def test_an_ingest_says_the_same(warehouse: LocalWarehouse) -> None:
    """Also of spellings that are mended, and of empty text."""
    damaged = pl.read_csv(BILL, infer_schema=False).with_row_index("row")
    odd = pl.col("row") % 7 == 3
    rows = damaged.drop("row").with_columns(
        damaged.select(
            ServiceCategory=pl.when(odd).then(pl.lit("Magic")).otherwise("ServiceCategory"),
            BillingCurrency=pl.when(odd).then(pl.lit("usd")).otherwise("BillingCurrency"),
            Tags=pl.when(odd).then(pl.lit("team=ml")).otherwise("Tags"),
            ServiceName=pl.when(odd).then(pl.lit(" ")).otherwise("ServiceName"),
        )
    )
    text = rows.write_csv()
    path = warehouse.root.parent / "bill.csv"
    path.write_text(text, encoding="utf-8")
    ingested = deliver(warehouse, text.encode(), Scope(frozenset({"2024-09"})))
    # What lies outside the month is said of the source, which a check of a file does not know.
    of_rows = [
        issue
        for issue in ingested.issues
        if issue.severity is not Severity.INFO and issue.where != ingested.source
    ]
    told = {str(issue).removeprefix("bill: ") for issue in of_rows}
    results = conformance.check(tabular.scan(path, "bill"), "bill").results
    asked = [one for one in results if one.requirement.is_of_ingest and one.broken]
    rows_of = {
        one.requirement.id: "1 row" if one.broken == 1 else f"{one.broken} rows" for one in asked
    }
    assert len(asked) >= 4
    assert told == {f"{rule} ({number})" for rule, number in rows_of.items()}


def test_a_bill_without_rows_breaks_nothing_but_may_lack_columns() -> None:
    found = conformance.check(completed("SkuId\nx").clear().lazy(), "bill")
    assert (found.rows, counts(found)) == (0, {})


def test_a_table_that_is_no_bill_is_refused() -> None:
    with pytest.raises(DataError, match=r"^stars: is no FOCUS bill: it has no BilledCost, "):
        conformance.check(pl.LazyFrame({"star": ["Vega"]}), "stars")


def test_progress_counts_every_row() -> None:
    seen: list[int] = []
    conformance.check(completed("SkuId\nx\ny").lazy(), "bill", seen.append)
    assert sum(seen) == 2


def test_a_bill_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bill.parquet"
    completed("SkuId\n" + "x\n" * 2000).write_parquet(path, compression="uncompressed")
    content = bytearray(path.read_bytes())
    content[100:400] = bytes(300)
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read to its end"):
        conformance.check(tabular.scan(path, "bill"), "bill")
