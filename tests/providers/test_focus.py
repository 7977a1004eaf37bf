"""Bills that are FOCUS already, in a folder or a bucket."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finops.errors import Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawStore
from providers import http
from providers.focus import Focus, FocusSettings
from providers.http import Pace
from tests.finops.company import opened
from tests.stubs.aws_export import Bucket
from tests.stubs.scripted import Answer, Script

OCTOBER = Window.of_period("2026-10")
BILL = b"BilledCost\n1\n"
ROOT = Path(__file__).parents[2]


def fetched(path: str, base: Path, store: RawStore) -> Delivery:
    return Focus("acme", FocusSettings(path=path), base).fetch(OCTOBER, store)


def refused(path: str, base: Path, store: RawStore) -> str:
    with pytest.raises(Terminal) as caught:
        fetched(path, base, store)
    store.withdraw()
    assert list(base.glob("warehouse/raw/*")) == []
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bills" / "deep").mkdir(parents=True)
    return tmp_path / "bills"


def test_no_such_path(tmp_path: Path, store: RawStore) -> None:
    said = refused("bills", tmp_path, store)
    assert said == f"acme: there is no file or folder {tmp_path}/bills; correct `path`"


@pytest.mark.parametrize(
    "name", [None, "readme.txt", "bill.xlsx", "Manifest.json.csv", ".bill.csv", "._bill.csv"]
)
def test_a_folder_without_bills(
    name: str | None, folder: Path, tmp_path: Path, store: RawStore
) -> None:
    if name is not None:
        (folder / name).write_bytes(BILL)
    said = refused("bills", tmp_path, store)
    assert said.startswith(f"acme: {folder} holds no file that ends in .csv, .csv.gz, ")


def test_a_link_to_nowhere(folder: Path, tmp_path: Path, store: RawStore) -> None:
    (folder / "a.csv").write_bytes(BILL)
    (folder / "b.csv").symlink_to(tmp_path / "gone.csv")
    said = refused("bills", tmp_path, store)
    assert said == (
        f"acme: {folder}/b.csv cannot be read (No such file or directory); grant read access"
    )


LOCKED = """
import os, sys
from pathlib import Path
from finops.errors import Terminal
from finops.partition import Window
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http
from providers.focus import Focus, FocusSettings
base = Path(sys.argv[1])
store = RawStore(LocalWarehouse(base / "warehouse"))
os.setuid(65534)
try:
    Focus("acme", FocusSettings(path="bills"), base).fetch(Window.of_period("2026-10"), store)
except Terminal as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("locked", ["bill.csv", "deep"])
def test_what_may_not_be_read_makes_no_smaller_bill(
    locked: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "bill.csv").write_bytes(BILL)
    (folder / "deep" / "bill.csv").write_bytes(BILL)
    (folder / "readable.csv").write_bytes(BILL)
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse").chmod(0o777)
    (folder / locked).chmod(0o000)
    opened(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LOCKED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = f"acme: {folder}/{locked} cannot be read (Permission denied); grant read access"
    assert done.stdout.strip() == said


def test_all_files_of_a_folder_are_the_bill(folder: Path, tmp_path: Path, store: RawStore) -> None:
    names = ["a.csv", "B.CSV.GZ", "deep/c.parquet", "d.zip", "e.csv.zst", "f.pq"]
    for name in (*names, "manifest.csv", "notes.md"):
        (folder / name).write_bytes(name.encode())
    (folder / "spark.parquet").mkdir()
    (folder / "spark.parquet" / "part-0.parquet").write_bytes(b"part")
    delivery = fetched("bills", tmp_path, store)
    assert sorted(raw.name for raw in delivery.objects) == sorted(
        [*names, "spark.parquet/part-0.parquet"]
    )
    assert delivery.scope.periods == {"2026-10"}
    assert delivery.scope.days == OCTOBER
    for raw in delivery.objects:
        assert store.path(raw).read_bytes() == (folder / raw.name).read_bytes()


def test_one_file_of_any_name(tmp_path: Path, store: RawStore) -> None:
    (tmp_path / "export").write_bytes(BILL)
    provider = Focus("acme", FocusSettings(path="export"), tmp_path)
    delivery = provider.fetch(OCTOBER, store)
    (bill,) = provider.charges(delivery, store.path)
    assert bill.raw.name == "export"
    assert bill.rows.collect().to_dicts() == [{"BilledCost": "1"}]


def test_a_bucket(bucket: Bucket, tmp_path: Path, store: RawStore) -> None:
    for key in (
        "bills/a.csv",
        "bills/b/c.parquet",
        "bills/manifest.csv",
        "bills-old/a.csv",
        "x.csv",
    ):
        bucket.put(key, key.encode())
    for path in ("bills", "bills/"):
        delivery = fetched(f"s3://{bucket.name}/{path}", tmp_path, store)
        assert [raw.name for raw in delivery.objects] == ["bills/a.csv", "bills/b/c.parquet"]
    (one,) = fetched(f"s3://{bucket.name}/bills/a.csv", tmp_path, store).objects
    assert store.path(one).read_bytes() == b"bills/a.csv"
    assert len(fetched(f"s3://{bucket.name}", tmp_path, store).objects) == 4


def test_a_bucket_without_bills(bucket: Bucket, tmp_path: Path, store: RawStore) -> None:
    said = refused(f"s3://{bucket.name}/bills", tmp_path, store)
    assert said.startswith(f"acme: s3://{bucket.name}/bills holds no file that ends in .csv")


def test_no_such_bucket(bucket: Bucket, tmp_path: Path, store: RawStore) -> None:
    said = refused("s3://no-such-bucket-here/bills", tmp_path, store)
    assert "there is no such bucket (NoSuchBucket); correct its name" in said


REFUSAL = b"<Error><Code>%s</Code><Message>no</Message></Error>"
XML = {"Content-Type": "application/xml"}


@pytest.mark.parametrize(
    ("status", "code", "raises"),
    [(403, b"AccessDenied", Terminal), (503, b"SlowDown", Transient), (500, b"Oops", Transient)],
)
def test_what_may_pass_is_worth_another_try(  # noqa: PLR0913, PLR0917 - fixtures
    status: int,
    code: bytes,
    raises: type[Exception],
    script: Script,
    address: str,
    credentials: None,
    store: RawStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(http, "PACE", Pace(sleep=lambda _: None))
    script.on(".*", Answer(REFUSAL % code, status, XML))
    with pytest.raises(raises, match="acme: s3://bill/bills: "):
        fetched("s3://bill/bills", Path(), store)


def test_s3_out_of_reach(
    credentials: None, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(http, "PACE", Pace(sleep=lambda _: None))
    with pytest.raises(Transient, match="check the network"):
        fetched("s3://bill/bills", Path(), store)
