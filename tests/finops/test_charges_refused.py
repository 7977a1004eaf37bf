"""Bills that cannot be taken: the warehouse keeps every byte, and the message says what to do."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from finops import tabular
from finops.charges import Bill, write
from finops.errors import DataError
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import WHOLE_OCTOBER, completed, csv, deliver, parquet, snapshot

ROOT = Path(__file__).parents[2]
MANY = 420_000
WRONG_ROW = 400_000


def long_bill(rows: int) -> pl.DataFrame:
    """Make a bill whose rows differ, so that it does not compress to nothing."""
    return completed("").select(pl.all().repeat_by(rows).explode()).with_row_index("x_N")


def taken(warehouse: LocalWarehouse, content: bytes) -> str:
    """Try to take a bill in, as `providers.intake` does; return what was said."""
    store = RawStore(warehouse)
    kept = store.keep(content, "bill")
    delivery = Delivery("focus", "acme", WHOLE_OCTOBER, (kept,))
    try:
        write([Bill(kept, tabular.scan(store.path(kept), "bill"))], delivery, warehouse)
    except DataError as error:
        store.withdraw()
        return str(error)
    pytest.fail("the bill was taken")


@pytest.fixture
def filled(warehouse: LocalWarehouse) -> LocalWarehouse:
    deliver(warehouse, csv("BilledCost,BillingCurrency\n1,USD\n2,usd"))
    return warehouse


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def junk_page(content: bytes) -> bytes:
    return content[:8] + b"\xff" * 60 + content[68:]


REFUSED = {
    "no FOCUS": (b"date,amount\n2026-10-01,5\n", "is no FOCUS bill: it has no BilledCost, "),
    "parquet, no FOCUS": (parquet(pl.DataFrame({"a": [1]})), "is no FOCUS bill"),
    "empty": (b"", "is empty"),
    "junk": (bytes(range(256)) * 9, "is neither Parquet nor CSV"),
    "html": (b"<html><body>Sign in</body></html>", "is no FOCUS bill"),
    "parquet cut": (cut(parquet(long_bill(999))), "is no complete Parquet file"),
    "parquet page": (junk_page(parquet(long_bill(999))), "cannot be read to its end .*fetch it"),
    "no amount": (csv("BilledCost\nabc"), "row 1: BilledCost: 'abc' is no finite number"),
    "NaN": (csv("BilledCost\n1\nNaN"), "row 2: BilledCost: 'NaN' is no finite number"),
    "infinity": (csv("BilledCost\n-inf"), "row 1: BilledCost: '-inf' is no finite number"),
    "NaN among floats": (
        parquet(long_bill(2).with_columns(pl.Series("BilledCost", [1.0, float("nan")]))),
        "row 2: BilledCost: 'NaN' is no finite number",
    ),
    "too large": (csv("BilledCost\n1e19"), "row 1: BilledCost: is beyond 1,000,000,000,000,000"),
    "no time": (csv("ChargePeriodEnd\nlater"), "row 1: ChargePeriodEnd: 'later' is no time"),
    "backwards": (csv("ChargePeriodEnd\n2026-10-02"), "row 1: ChargePeriodEnd: the charge period"),
    "no day": (csv("ChargePeriodStart,BillingPeriodStart\n,"), "row 1: .* the row has no day"),
    "too many fields": (csv("BilledCost\n1") + b"1,2,3,4,5,6,7,8,9\n", "is no complete CSV file"),
    "latin-1 below": (csv("SkuId\na") + "é".encode("latin-1"), "is no complete CSV file"),
    "open quote": (csv("SkuId,BilledCost\na,1") + b'"open,1,USD\n', "is no complete CSV file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_leaves_every_byte(case: str, filled: LocalWarehouse) -> None:
    content, says = REFUSED[case]
    before = snapshot(filled.root)
    said = taken(filled, content)
    assert said.startswith("bill: ")
    assert snapshot(filled.root) == before
    assert re.search(says, said)


def test_row_400_000_of_a_csv(filled: LocalWarehouse) -> None:
    cost = pl.when(pl.col("x_N") == WRONG_ROW - 1).then(pl.lit("1.2.3")).otherwise("BilledCost")
    content = long_bill(MANY).with_columns(cost.alias("BilledCost")).write_csv().encode()
    before = snapshot(filled.root)
    assert taken(filled, content) == (
        "bill: row 400000: BilledCost: '1.2.3' is no finite number of at most 20 digits before "
        "the point; correct it at the source"
    )
    assert snapshot(filled.root) == before


CUT_STREAMS = {
    "gzip": gzip.compress(long_bill(20_000).write_csv().encode()),
    "zstd": bytes(pa.compress(long_bill(20_000).write_csv().encode(), codec="zstd", asbytes=True)),
}


@pytest.mark.parametrize("codec", CUT_STREAMS)
def test_a_cut_stream(codec: str, filled: LocalWarehouse) -> None:
    before = snapshot(filled.root)
    said = taken(filled, cut(CUT_STREAMS[codec]))
    assert snapshot(filled.root) == before
    assert "fetch it again" in said


FULL_DISK = """
import resource, sys
from pathlib import Path
from finops import tabular
from finops.charges import Bill, write
from finops.errors import WarehouseError
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import WHOLE_OCTOBER
warehouse = LocalWarehouse(Path(sys.argv[1]))
store = RawStore(warehouse)
kept = store.keep(Path(sys.argv[2]), "bill")
delivery = Delivery("focus", "acme", WHOLE_OCTOBER, (kept,))
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    write([Bill(kept, tabular.scan(store.path(kept), "bill"))], delivery, warehouse)
except WarehouseError as error:
    store.withdraw()
    print(error)
"""


def test_a_full_disk(filled: LocalWarehouse, tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    long_bill(20_000).write_csv(bill)
    before = snapshot(filled.root)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(filled.root), str(bill), "40000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert "free some space" in done.stdout
    assert snapshot(filled.root) == before
