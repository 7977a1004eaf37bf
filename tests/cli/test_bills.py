"""Bills in every form they come in: each version, format and packing, and what lies beside them."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import focus, money, tabular
from tests.cli.test_run import SEPTEMBER, billed, covered
from tests.conftest import BILL, Finops, fingerprint, installed

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
LINES = BILL.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def bills(acme: Path) -> Path:
    """Point the source at a folder, which has no bill yet."""
    settings = acme / "finops.toml"
    settings.write_text(settings.read_text().replace("bills/september.csv", "bills"))
    (acme / "bills" / "september.csv").unlink()
    return acme / "bills"


def of_version(version: str) -> pl.DataFrame:
    """Lift the bill, which is of FOCUS 1.0, to a later version: new columns come, two go."""
    rows = pl.read_csv(BILL, infer_schema=False, null_values=["NULL"])
    provider = pl.col("ProviderName")
    new = {
        column.name: provider if column.name.endswith("ProviderName") else _new(column)
        for column in focus.COST_AND_USAGE
        if "1.0" < column.since <= version
    }
    gone = ["ProviderName", "PublisherName"] if version == "1.4" else []
    return rows.with_columns(value.alias(name) for name, value in new.items()).drop(gone)


def _new(column: focus.Column) -> pl.Expr:
    if column.kind is focus.Kind.JSON:
        return pl.lit('{"a":"b"}')
    if column.kind is focus.Kind.TEXT:
        return pl.lit(column.allowed[0] if column.allowed else column.name)
    return pl.lit("1.50")


def typed(rows: pl.DataFrame) -> pl.DataFrame:
    """Give the columns the types that a Parquet export has."""
    kinds = {name: focus.BY_NAME[name].kind for name in rows.columns if name in focus.BY_NAME}
    numbers = [name for name, kind in kinds.items() if kind.dtype == money.DTYPE]
    times = [name for name, kind in kinds.items() if kind is focus.Kind.TIME]
    return rows.with_columns(
        pl.col(numbers).cast(money.DTYPE),
        pl.col(times).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC"),
    )


def parquet(rows: pl.DataFrame, compression: str = "zstd") -> bytes:
    file = io.BytesIO()
    rows.write_parquet(file, compression=compression)  # type: ignore[arg-type]
    return file.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "zstd.parquet"])
def test_a_bill_of_any_version_and_form_adds_up_to_the_last_digit(
    bills: Path, finops: Finops, version: str, form: str
) -> None:
    rows = of_version(version)
    assert set(rows.columns) >= {
        column.name for column in focus.COST_AND_USAGE if "1.0" < column.since <= version
    }
    csv = rows.write_csv().encode()
    content = {
        "csv": csv,
        "csv.gz": gzip.compress(csv),
        "parquet": parquet(typed(rows), "uncompressed"),
        "zstd.parquet": parquet(typed(rows)),
    }[form]
    (bills / f"bill.{form}").write_bytes(content)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    found = covered(finops)
    assert found["billed"] == billed()
    assert found["allocated"] + found["unallocated"] + found["quarantined"] == billed()
    (only,) = json.loads(finops("coverage", "--json").out)
    assert {one["provider"] for one in only["by_provider"]} == {"AWS", "Microsoft", "Oracle"}


PACKED = {
    "gzip beside plain": {"a.csv.gz": gzip.compress(BILL.read_bytes()), "b.csv": BILL.read_bytes()},
    "zip beside plain": {"a.zip": zipped({"x.csv": BILL.read_bytes()}), "b.csv": BILL.read_bytes()},
    "twice in one zip": {
        "a.zip": zipped({"x.csv": BILL.read_bytes(), "deep/y.csv": BILL.read_bytes()})
    },
    "packed twice": {
        "a.csv.gz": gzip.compress(BILL.read_bytes(), 1),
        "b.csv.gz": gzip.compress(BILL.read_bytes(), 9),
    },
    "Parquet in a zip": {
        "a.zip": zipped({"x.parquet": parquet(of_version("1.2"))}),
        "b.parquet": parquet(of_version("1.2")),
    },
}


@pytest.mark.parametrize("case", PACKED)
def test_a_bill_that_is_there_twice_is_refused_however_it_is_packed(
    bills: Path, acme: Path, finops: Finops, case: str
) -> None:
    for name, content in PACKED[case].items():
        (bills / name).write_bytes(content)
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "are the same bill, byte for byte; take one of them away" in ran.err
    assert fingerprint(acme) == before


LINE_ENDS = {
    "Windows": "\r\n".join([*LINES, ""]),
    "old Mac": "\r".join([*LINES, ""]),
    "old Mac, no last one": "\r".join(LINES),
}


@pytest.mark.parametrize("case", LINE_ENDS)
def test_any_kind_of_line_end_is_read(bills: Path, finops: Finops, case: str) -> None:
    (bills / "bill.csv").write_text(LINE_ENDS[case], encoding="utf-8", newline="")
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    assert covered(finops)["billed"] == billed()
    found = json.loads(finops("trace", "1/0", "--json").out)
    assert found["raw_row"]["ResourceId"] == found["entry"]["resource"]


BLANKS = {
    "a blank line at the end": [*LINES, ""],
    "a blank line in the middle": [*LINES[:40], "", *LINES[40:]],
    "a row of nothing but commas": [*LINES, "," * LINES[0].count(",")],
    "a row of nulls": [*LINES[:9], ",".join(["NULL"] * len(LINES[0].split(","))), *LINES[9:]],
}


@pytest.mark.parametrize("case", BLANKS)
def test_a_row_without_any_value_is_left_out_and_said(
    bills: Path, finops: Finops, case: str
) -> None:
    (bills / "bill.csv").write_text("\n".join([*BLANKS[case], ""]), encoding="utf-8")
    ran = finops("run", *SEPTEMBER, "--json")
    assert ran.code == 0, ran.err
    (taken,) = json.loads(ran.out)["ingested"]
    assert "bill.csv: 1 row in which every cell is empty was left out" in taken["issues"]
    assert (taken["rows"], taken["quarantined_rows"]) == (len(LINES) - 1, 0)
    assert covered(finops)["billed"] == billed()
    last = json.loads(finops("trace", "1/0", "--json").out)
    assert last["raw_row"]["ResourceId"] == last["entry"]["resource"]


def test_a_row_that_says_anything_is_not_blank(bills: Path, finops: Finops) -> None:
    cells = [""] * len(LINES[0].split(","))
    cells[LINES[0].split(",").index("Id")] = "403"  # a column that FOCUS does not know
    (bills / "bill.csv").write_text("\n".join([*LINES, ",".join(cells)]), encoding="utf-8")
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert f"bill.csv: row {len(LINES)}: ChargePeriodStart: neither" in ran.err


@pytest.mark.parametrize("name", ["bill.csv", "bill.parquet"])
def test_a_first_bill_without_rows_is_said(bills: Path, finops: Finops, name: str) -> None:
    nothing = of_version("1.0").clear()
    content = nothing.write_csv().encode() if name.endswith("csv") else parquet(nothing)
    (bills / name).write_bytes(content)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0
    assert "warning: bill: the bill holds no rows" in ran.err


COMPANIONS = {
    "contract_commitment.csv": (
        "BillingCurrency,ContractCommitmentCategory,ContractCommitmentCost,"
        "ContractCommitmentDescription,ContractCommitmentId,ContractCommitmentPeriodEnd,"
        "ContractCommitmentPeriodStart,ContractCommitmentQuantity,ContractCommitmentType,"
        "ContractCommitmentUnit,ContractId,ContractPeriodEnd,ContractPeriodStart\n"
        "USD,Spend,1000,One year,cc-1,2025-09-01,2024-09-01,,EDP,,c-1,2025-09-01,2024-09-01\n"
    ),
    "billing_period.csv": (
        "BillingPeriodCreated,BillingPeriodEnd,BillingPeriodLastUpdated,BillingPeriodStart,"
        "BillingPeriodStatus,InvoiceIssuerName\n"
        "2024-09-01,2024-10-01,2024-09-03,2024-09-01,Open,AWS\n"
    ),
    "invoice_detail.csv": (
        "BilledCost,BillingAccountId,BillingCurrency,ChargeCategory,BillingPeriodEnd,"
        "BillingPeriodStart,InvoiceDetailCreated,InvoiceDetailDescription,InvoiceDetailGrain,"
        "InvoiceDetailId,InvoiceDetailLastUpdated,InvoiceId,InvoiceIssueDate,InvoiceIssueStatus,"
        "InvoiceIssuerName,PaymentCurrency,PaymentDueDate,PaymentTerms,ReferenceInvoiceId\n"
        "12.5,1,USD,Usage,2024-10-01,2024-09-01,2024-10-02,EC2,,d-1,2024-10-02,i-1,2024-10-02,"
        "Issued,AWS,USD,2024-11-01,Net 30,\n"
    ),
}


def test_a_whole_focus_delivery_counts_its_charges_only(
    bills: Path, acme: Path, finops: Finops
) -> None:
    for name, text in COMPANIONS.items():
        (bills / name).write_text(text, encoding="utf-8")
    (bills / "cost_and_usage.csv").write_bytes(of_version("1.4").write_csv().encode())
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    for name, dataset in zip(
        COMPANIONS, ("Contract Commitment", "Billing Period", "Invoice Detail"), strict=True
    ):
        assert f"info: {name}: is the FOCUS dataset {dataset}, which holds no charges" in ran.err
    assert covered(finops)["billed"] == billed()
    assert finops("doctor", "focus").code == 0


def test_a_whole_focus_delivery_may_come_in_one_zip(bills: Path, finops: Finops) -> None:
    beside = {name: text.encode() for name, text in COMPANIONS.items()}
    files = {**beside, "cost_and_usage.csv": of_version("1.4").write_csv().encode()}
    (bills / "delivery.zip").write_bytes(zipped(files))
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    assert "delivery.zip/billing_period.csv: is the FOCUS dataset Billing Period" in ran.err
    assert covered(finops)["billed"] == billed()
    found = json.loads(finops("trace", "1/0", "--json").out)
    assert found["raw_row"]["ResourceId"] == found["entry"]["resource"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (COMPANIONS, "bill: holds no charges, only billing_period.csv, contract_commitment.csv"),
        ({"a.csv": "InvoiceId,Amount\ni-1,12.5\n"}, "a.csv: is no FOCUS bill"),
    ],
)
def test_a_folder_without_charges_is_refused(
    bills: Path, acme: Path, finops: Finops, files: Mapping[str, str], said: str
) -> None:
    for name, text in files.items():
        (bills / name).write_text(text, encoding="utf-8")
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert said in ran.err
    assert fingerprint(acme) == before


def test_a_folder_named_like_a_pattern_is_a_folder(
    tmp_path: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = installed(tmp_path / "br[1]*?", finops)
    beside = tmp_path / "br1-x" / "bills"  # what the name as a pattern would find
    beside.mkdir(parents=True)
    (beside / "september.csv").write_text("no bill at all")
    monkeypatch.chdir(folder)
    text = BILL.read_text(encoding="utf-8").replace(",Usage,", ",Usages,", 1)
    (folder / "bills" / "september.csv").write_text(text, encoding="utf-8")
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    restated = text.replace("Elastic", "Elastic 2")
    (folder / "bills" / "september.csv").write_text(restated, encoding="utf-8")
    for command in (
        ["doctor", "focus"],
        ["run", *SEPTEMBER],
        ["attribute", *SEPTEMBER],
        ["budgets"],
        ["report", "monthly", "--period", "2024-09"],
        ["trace", "2/0"],
        ["ledger", "verify"],
    ):
        done = finops(*command)
        assert done.code == 0, (command, done.err, done.out)
    found = covered(finops)
    assert found["billed"] == billed()
    assert found["quarantined"] > Decimal(0)
    assert tabular.scan(folder / "bills" / "september.csv", "bill").collect().height > 0
