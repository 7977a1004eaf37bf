import polars as pl
import pytest

from finops import checks, conformance, delivered
from tests.finops.company import completed

OBJECT = '{"a":"b"}'


@pytest.mark.parametrize(
    ("column", "text", "faults"),
    [
        ("Tags", OBJECT, ()),
        ("Tags", '{"a":true,"b":1.5,"c":null}', ()),
        ("Tags", ' {"a":"b"} ', ()),
        ("Tags", '"a":"b"', (delivered.NO_OBJECT,)),
        ("Tags", '[{"key":"a","value":"b"}]', (delivered.NO_OBJECT,)),
        ("Tags", '{"a":1,"a":2}', (delivered.TWICE,)),
        ("Tags", '{"a":{"b":"c"}}', (delivered.NESTED,)),
        ("Tags", '{"a":["b"]}', (delivered.NESTED,)),
        ("Tags", "team=ml", (checks.BAD_JSON,)),
        ("Tags", '"just text"', (checks.BAD_JSON,)),
        ("Tags", "[" * 100_000, (checks.BAD_JSON,)),
        ("ContractApplied", '{"Elements":[{"a":1}]}', ()),
        ("SkuPriceDetails", '{"GpuCount":8,"InstanceType":"p5","x_a":1}', ()),
        ("SkuPriceDetails", '{"gpuCount":8}', (delivered.FOREIGN_KEY,)),
        ("SkuPriceDetails", '{"GpuCount":"8"}', (delivered.WRONG_TYPE,)),
        ("SkuPriceDetails", '{"GpuCount":true}', (delivered.WRONG_TYPE,)),
        ("SkuPriceDetails", '{"InstanceType":8}', (delivered.WRONG_TYPE,)),
        ("SkuPriceDetails", '{"a":[],"a":[]}', (delivered.TWICE, delivered.NESTED, delivered.FOREIGN_KEY)),
    ],
)  # fmt: skip
def test_faults_of_json(column: str, text: str, faults: tuple[str, ...]) -> None:
    assert delivered.json_faults(column, text, is_text=True) == faults


def test_a_map_column_needs_no_braces() -> None:
    assert delivered.json_faults("Tags", '[{"key":"a","value":"b"}]', is_text=False) == ()


def broken(rows: pl.DataFrame) -> dict[str, int]:
    found = conformance.check(rows.lazy(), "bill").broken
    return {result.requirement.id: result.broken or 0 for result in found}


def test_maps_and_structs_are_as_good_as_text() -> None:
    rows = completed("SkuId\nx").with_columns(
        Tags=pl.struct(a=pl.lit("b")),
        SkuPriceDetails=pl.concat_list(pl.struct(key=pl.lit("x_a"), value=pl.lit("b"))),
    )
    assert not {rule for rule in broken(rows) if rule.startswith(("Tags", "SkuPriceDetails"))} - {
        "SkuPriceDetails: is given although SkuPriceId is missing"
    }


WRONG_TYPES = {
    "BillingAccountId: is delivered as another type than text": pl.lit(12),
    "Tags: is delivered as another type than text or a map": pl.lit(12),
    "BillingPeriodEnd: is delivered as another type than a time": pl.date(2026, 11, 1),
    "ListCost: is delivered as another type than a number": pl.lit(value=True),
    "ProviderName: is delivered as another type than text": pl.lit(12),
}


@pytest.mark.parametrize("rule", WRONG_TYPES)
def test_a_column_of_another_type_is_broken_in_every_row(rule: str) -> None:
    rows = completed("SkuId\nx\ny").with_columns(WRONG_TYPES[rule].alias(rule.partition(":")[0]))
    assert broken(rows)[rule] == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BillingPeriodEnd", pl.datetime(2026, 11, 1)),
        ("ListCost", pl.lit(1.5)),
        ("ListCost", pl.lit(1)),
        ("SkuId", pl.lit("x").cast(pl.Categorical)),
        ("SkuId", pl.lit(None)),
    ],
)
def test_columns_of_the_right_type(name: str, value: pl.Expr) -> None:
    rows = completed("SkuId\nx").with_columns(value.alias(name))
    assert not {rule for rule in broken(rows) if "another type" in rule}


@pytest.mark.parametrize(
    ("text", "is_other"),
    [
        ("2026-11-01T00:00:00Z", False),
        ("2026-11-01 00:00:00", True),
        ("2026-11-01T00:00:00.000Z", True),
        ("2026-11-01T02:00:00+02:00", True),
        ("2026-11-01", True),
    ],
)
def test_times_that_are_read_though_written_otherwise(text: str, is_other: bool) -> None:  # noqa: FBT001
    rule = "BillingPeriodEnd: is not written as 2026-10-01T00:00:00Z"
    assert (rule in broken(completed(f"BillingPeriodEnd\n{text}"))) is is_other


def test_a_plus_sign_is_told() -> None:
    found = broken(completed("ListCost,SkuId\n+1.5,x\n1.5,x"))
    assert found["ListCost: is written with a plus sign"] == 1


def test_a_mandatory_column_that_is_absent_is_told_once_and_no_other_rule_about_it() -> None:
    rows = completed("SkuId\nx\ny")
    assert broken(rows)["ListCost: is not among the columns"] == 2
    assert [rule for rule in broken(rows) if rule.startswith("ListCost:")] == [
        "ListCost: is not among the columns"
    ]


def test_a_conditional_column_may_be_absent() -> None:
    assert not {rule for rule in broken(completed("SkuId\nx")) if rule.startswith("RegionName")}


def test_columns_that_focus_does_not_know_are_named() -> None:
    rows = completed("Id,x_Team,ServiceName\n1,ml,EC2\n2,ml,EC2")
    found = conformance.check(rows.lazy(), "bill")
    assert found.unnamed_columns == ("Id",)
    (result,) = (one for one in found.broken if one.requirement.column == delivered.OTHER_COLUMNS)
    assert (result.broken, result.first_rows) == (2, ())
