"""`finops focus check` and `finops export focus`, as people and scripts use them."""

import gzip
import json
import os
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import BILL, Finops, fingerprint

FAITHFUL = BILL.parent / "faithful.csv"
SEPTEMBER = "--from", "2024-09-01", "--to", "2024-10-01"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder without a finops.toml."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def damaged(folder: Path, column: str, value: str) -> Path:
    path = folder / "bill.csv"
    cells = pl.read_csv(FAITHFUL, infer_schema=False).with_row_index("row", offset=1)
    changed = pl.when(pl.col("row").is_in([2, 5])).then(pl.lit(value)).otherwise(column)
    cells.with_columns(changed.alias(column)).drop("row").write_csv(path)
    return path


def test_a_good_bill_needs_no_installation_and_leaves_nothing(
    nowhere: Path, finops: Finops
) -> None:
    ran = finops("focus", "check", FAITHFUL)
    assert ran.code == 0
    assert "faithful.csv: 11 rows, FOCUS 1.2 by its columns" in ran.out
    assert "An ingest would take every row of this bill" in ran.out
    assert fingerprint(nowhere) == {}


def test_compressed_bills_are_welcome(nowhere: Path, finops: Finops) -> None:
    packed = nowhere / "bill.csv.gz"
    packed.write_bytes(gzip.compress(FAITHFUL.read_bytes()))
    assert finops("focus", "check", packed).code == 0


def test_a_warning_is_shown_with_its_rows_and_does_not_fail(nowhere: Path, finops: Finops) -> None:
    ran = finops("focus", "check", damaged(nowhere, "RegionName", ""))
    assert ran.code == 0
    (line,) = (line for line in ran.out.splitlines() if "RegionName" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == [
        "RegionName",
        "is missing although RegionId is given",
        "warning",
        "2",
        "2 5",
        "C-005-C",
    ]


@pytest.mark.parametrize(
    ("column", "value", "verdict"),
    [
        ("BillingCurrency", "dollars", "An ingest would take this bill and set rows aside"),
        ("BilledCost", "twelve", "An ingest would refuse this bill"),
    ],
)
def test_what_an_ingest_would_not_take_fails(
    column: str, value: str, verdict: str, nowhere: Path, finops: Finops
) -> None:
    ran = finops("focus", "check", damaged(nowhere, column, value))
    assert ran.code == 1
    assert verdict in ran.out


def test_as_json(nowhere: Path, finops: Finops) -> None:
    ran = finops("focus", "check", damaged(nowhere, "RegionName", ""), "--json")
    told = json.loads(ran.out)
    assert (told["rows"], told["focus_version"], told["is_refused"]) == (11, "1.2", False)
    assert len(told["requirements"]) > 300
    broken = [one for one in told["requirements"] if one["broken_rows"]]
    assert broken == [
        {
            "column": "RegionName",
            "message": "is missing although RegionId is given",
            "severity": "warning",
            "asked": True,
            "broken_rows": 2,
            "first_rows": [2, 5],
            "focus_rules": ["RegionName-C-005-C"],
        }
    ]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 1, "is empty"),
        (b"star,light\nVega,25\n", 1, "is no FOCUS bill: it has no BilledCost"),
        (b"\x00\x01\x02\x03" * 50, 1, "is neither Parquet nor CSV"),
        (FAITHFUL.read_bytes()[:-9], 1, "is no complete CSV file"),
    ],
)
def test_what_is_no_bill_ends_in_a_sentence(
    content: bytes, code: int, said: str, nowhere: Path, finops: Finops
) -> None:
    (nowhere / "thing").write_bytes(content)
    ran = finops("focus", "check", "thing")
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_file_that_is_not_there_is_misuse(nowhere: Path, finops: Finops) -> None:
    ran = finops("focus", "check", "bill.csv")
    assert ran.code == 2
    assert "bill.csv: there is no such file" in ran.err
    assert finops("focus", "check", nowhere).code == 2
    if os.geteuid() != 0:
        (nowhere / "secret").touch(mode=0)
        assert "grant read access" in finops("focus", "check", "secret").err


@pytest.fixture
def charged(acme: Path, finops: Finops) -> Path:
    assert finops("ingest", *SEPTEMBER, "bill").code == 0
    return acme


def test_charges_are_exported_beside_finops_toml(charged: Path, finops: Finops) -> None:
    ran = finops("export", "focus", *SEPTEMBER)
    assert (ran.code, ran.err) == (0, "")
    path = charged / "exports" / "focus-1.2_2024-09-01_2024-10-01.parquet"
    rows = pl.read_parquet(path)
    assert f"{len(rows):,} rows: " in ran.out
    assert f"{rows.get_column('BilledCost').sum():,.2f}" in ran.out
    assert finops("focus", "check", path).code == 0


def test_the_export_can_go_elsewhere_in_another_version(charged: Path, finops: Finops) -> None:
    where = "--out", "elsewhere", "--focus-version", "1.4", "--source", "bill"
    told = json.loads(finops("export", "focus", *SEPTEMBER, *where, "--json").out)
    path = charged / "elsewhere" / "focus-1.4_2024-09-01_2024-10-01_bill.parquet"
    assert Path(told["path"]).resolve() == path
    assert told["rows"] == pl.read_parquet(path).height
    assert not (charged / "exports").exists()
    assert {"BilledCost", "EffectiveCost", "ContractedCost", "ListCost"} == set(told["sums"]["USD"])


def test_what_is_in_quarantine_is_told(acme: Path, finops: Finops) -> None:
    bill = acme / "bills" / "september.csv"
    bill.write_text(bill.read_text().replace(",USD,", ",usd,", 1), encoding="utf-8")
    finops("ingest", *SEPTEMBER, "bill")
    ran = finops("export", "focus", *SEPTEMBER)
    assert ran.code == 0
    assert "warning: left out: 1 row in quarantine, " in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*SEPTEMBER, "--focus-version", "0.5"), 2, "write one of 1.2, 1.3, 1.4"),
        ((*SEPTEMBER, "--source", "bil"), 2, "there are some of: bill"),
        (("--from", "2024-10-01", "--to", "2024-09-01"), 2, "is empty"),
        (("--from", "September", "--to", "2024-09-01"), 2, "is not a day"),
        (("--from", "2020-09-01", "--to", "2020-09-02"), 1, "there are no charges from 2020-09-01"),
        ((*SEPTEMBER, "--out", "finops.toml"), 1, "finops.toml"),
    ],
)
def test_what_cannot_be_exported(
    arguments: tuple[str, ...], code: int, said: str, charged: Path, finops: Finops
) -> None:
    before = fingerprint(charged)
    ran = finops("export", "focus", *arguments)
    assert ran.code == code
    assert said in ran.err
    assert "should not happen" not in ran.err
    assert fingerprint(charged) == before
