"""Reported workloads: files in a folder or a bucket, whole, half, compressed and broken."""

import gzip
import json
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import tomli_w
from pydantic import ValidationError

from finops import config, sending, workloads
from finops.errors import DataError, Severity, Terminal
from finops.partition import Window
from finops.raw import Delivery, RawStore
from finops.reported import Event, What
from finops.spool import Spool
from finops.warehouse.local import LocalWarehouse
from providers import intake, sdk_files
from providers.intake import Taking
from providers.sdk import Sdk, SdkSettings
from tests.finops.company import snapshot
from tests.stubs.aws_export import Bucket

FIXTURES = Path(__file__).parent.parent / "fixtures" / "sdk"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 3))
TRAIN, SERVE = "2026-10-01-4711-0a1b.jsonl", "2026-10-01-4712-2c3d.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES, tmp_path / "events"))


@pytest.fixture
def sdk(folder: Path) -> Sdk:
    return Sdk("reports", SdkSettings(path="events"), folder.parent)


def rows(sdk: Sdk, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    told = [each.rows for each in sdk.workloads(delivery, store.path)]
    return pl.concat(told).collect().sort("started_at")


def said(delivery: Delivery) -> list[str]:
    return [str(issue) for issue in delivery.issues]


def event(**more: object) -> bytes:
    first = (FIXTURES / TRAIN).read_bytes().splitlines()[0]
    return json.dumps(json.loads(first) | more).encode()


def test_a_folder_of_reports_becomes_workloads(sdk: Sdk, folder: Path, tmp_path: Path) -> None:
    settings = {
        "company": "Acme",
        "ledger": {"origin": "acme.example"},
        "sources": {"reports": {"provider": "sdk", "path": "events"}},
    }
    (tmp_path / "finops.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    taking = Taking("reports", WINDOW)
    taken = intake.take(config.load(tmp_path / "finops.toml"), warehouse, taking)
    assert (taken.charges, taken.issues) == (None, ())
    found = workloads.read(warehouse, WINDOW).collect().sort("started_at")
    assert found.select("workload_id", "started_at", "ended_at").rows() == [
        ("train-17", _at(8), _at(10, 30)),
        ("serve-3", _at(23), datetime(2026, 10, 2, tzinfo=UTC)),
        ("serve-3", datetime(2026, 10, 2, tzinfo=UTC), datetime(2026, 10, 2, 0, 5, tzinfo=UTC)),
    ]
    assert found["gpu_count"].to_list() == [Decimal(8), Decimal(1), Decimal(1)]
    with (folder / SERVE).open("ab") as file:
        file.write(b"{")
    before = snapshot(warehouse.root / "workloads")
    taken = intake.take(config.load(tmp_path / "finops.toml"), warehouse, taking)
    assert len(taken.issues) == 1
    assert snapshot(warehouse.root / "workloads") == before


def test_each_row_names_the_line_it_came_from(sdk: Sdk, store: RawStore) -> None:
    delivery = sdk.fetch(WINDOW, store)
    for told in sdk.workloads(delivery, store.path):
        row = told.rows.collect().row(0, named=True)
        line = store.path(told.raw).read_bytes().splitlines()[row["raw_row"]]
        assert json.loads(line)["workload_id"] == row["workload_id"]


def test_a_half_written_line_waits_for_its_end(sdk: Sdk, folder: Path, store: RawStore) -> None:
    whole = (folder / SERVE).read_bytes()
    (folder / SERVE).write_bytes(whole + event(id="f3", workload_id="serve-3")[:40])
    delivery = sdk.fetch(WINDOW, store)
    (issue,) = delivery.issues
    assert issue.severity is Severity.INFO
    assert str(issue) == (
        f"reports: {SERVE}: its last line (40 bytes) has no line feed yet and was left for the "
        f"next run"
    )
    assert store.path(delivery.objects[1]).read_bytes() == whole
    (folder / SERVE).write_bytes(whole)
    assert sdk.fetch(WINDOW, store).objects[1].sha256 == delivery.objects[1].sha256


def test_a_broken_line_is_named_and_costs_no_other(sdk: Sdk, folder: Path, store: RawStore) -> None:
    bad = b"\xff\xfe\n" + event(format="finops-event/9") + b"\n\n"
    (folder / SERVE).write_bytes(bad + (folder / SERVE).read_bytes())
    delivery = sdk.fetch(WINDOW, store)
    (told,) = said(delivery)
    assert told.startswith(f"reports: {SERVE}: 2 lines were left out: line 1 is no JSON; line 2 is")
    assert told.endswith("of the format 'finops-event/9'; this version reads finops-event/1")
    found = rows(sdk, delivery, store)
    assert found["workload_id"].to_list() == ["train-17", "serve-3"]
    assert found["raw_row"].to_list() == [0, 3]


def test_many_broken_lines_are_counted(sdk: Sdk, folder: Path, store: RawStore) -> None:
    (folder / SERVE).write_bytes(b"no\n" * 9)
    assert said(sdk.fetch(WINDOW, store))[0].endswith("line 5 is no JSON; and 4 more")


@pytest.mark.parametrize("format_", ["finops-event/1", "finops-event/9"])
def test_an_address_reaches_neither_table_nor_evidence(
    format_: str, sdk: Sdk, folder: Path, store: RawStore, tmp_path: Path
) -> None:
    with (folder / SERVE).open("ab") as file:
        file.write(event(id="x", user="ann@acme.com", format=format_) + b"\n")
    delivery = sdk.fetch(WINDOW, store)
    assert "line 3" in said(delivery)[0]
    assert "ann@" not in said(delivery)[0]
    kept = [each.read_bytes() for each in (tmp_path / "warehouse").rglob("*") if each.is_file()]
    assert not [content for content in kept if b"ann@acme.com" in content]


def test_gzip_is_read_also_without_its_end(sdk: Sdk, folder: Path, store: RawStore) -> None:
    packed = gzip.compress((folder / TRAIN).read_bytes())
    (folder / TRAIN).unlink()
    (folder / f"{TRAIN}.gz").write_bytes(packed + gzip.compress(event(id="e9") + b"\n"))
    delivery = sdk.fetch(WINDOW, store)
    assert delivery.issues == ()
    assert rows(sdk, delivery, store)["workload_id"].to_list() == ["train-17", "serve-3"]
    (folder / f"{TRAIN}.gz").write_bytes(packed[:-30])
    delivery = sdk.fetch(WINDOW, store)
    assert "gzip data break off" in said(delivery)[-1]
    assert "train-17" in rows(sdk, delivery, store)["workload_id"].to_list()


def test_a_copied_file_counts_once(sdk: Sdk, folder: Path, store: RawStore) -> None:
    shutil.copy(folder / TRAIN, folder / "copy.jsonl")
    delivery = sdk.fetch(WINDOW, store)
    assert len(delivery.objects) == 2
    assert rows(sdk, delivery, store).height == 2


def test_odd_clocks_are_named(sdk: Sdk, folder: Path, store: RawStore) -> None:
    with (folder / TRAIN).open("ab") as file:
        file.write(event(id="e8", at="2999-01-01T00:00:00Z") + b"\n")
    assert "lies in the future" in said(sdk.fetch(WINDOW, store))[0]


@pytest.mark.parametrize("path", ["none", "empty"])
def test_nothing_to_read_is_no_empty_report(path: str, tmp_path: Path, store: RawStore) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Terminal, match="correct 'path'"):
        Sdk("reports", SdkSettings(path=path), tmp_path).fetch(WINDOW, store)


def test_probes_look_for_files_and_events(sdk: Sdk, folder: Path) -> None:
    present, sound = sdk.probes().values()
    present()
    sound()
    (folder / SERVE).write_bytes(b"no\n")
    with pytest.raises(DataError, match="line 1 is no JSON"):
        sound()


def test_a_bucket_is_read_like_a_folder(bucket: Bucket, store: RawStore) -> None:
    for name in (TRAIN, SERVE):
        bucket.put(f"events/{name}", (FIXTURES / name).read_bytes())
    bucket.put("events-old/x.jsonl", b"no\n")
    sdk = Sdk("reports", SdkSettings(path=f"s3://{bucket.name}/events/"), Path())
    delivery = sdk.fetch(WINDOW, store)
    assert delivery.issues == ()
    assert rows(sdk, delivery, store).height == 2


def test_what_lies_in_a_spool_is_sent_to_a_bucket_and_read_there(
    bucket: Bucket, store: RawStore, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(Event("a", What.START, "sent-1", _at(8)))
    sent = sending.send(spool.folder, sdk_files.opened(tmp_path, f"s3://{bucket.name}/sent"))
    assert sent.copied == 1
    spool.append(Event("b", What.END, "sent-1", _at(9)))
    spool.close()
    sending.send(spool.folder, sdk_files.opened(tmp_path, f"s3://{bucket.name}/sent"))
    assert not list(spool.folder.glob("*.jsonl"))
    sdk = Sdk("reports", SdkSettings(path=f"s3://{bucket.name}/sent"), Path())
    found = rows(sdk, sdk.fetch(WINDOW, store), store)
    assert found.select("workload_id", "started_at", "ended_at").rows() == [
        ("sent-1", _at(8), _at(9))
    ]


@pytest.mark.parametrize("path", ["s3://no-such-bucket/sent", "a-file"])
def test_what_cannot_be_sent_stays(bucket: Bucket, path: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_bytes(b"no folder")
    spool = Spool(tmp_path / "spool")
    spool.append(Event("a", What.START, "w", _at(8)))
    with pytest.raises(Terminal, match=r"s3:PutObject|grant write access"):
        sending.send(spool.folder, sdk_files.opened(tmp_path, path))
    assert len(list(spool.folder.glob("*.jsonl"))) == 1


def test_a_bucket_out_of_reach_says_what_to_grant(bucket: Bucket, store: RawStore) -> None:
    sdk = Sdk("reports", SdkSettings(path=f"s3://{bucket.name}-not/events"), Path())
    with pytest.raises(Terminal, match="s3:ListBucket and s3:GetObject"):
        sdk.fetch(WINDOW, store)


@pytest.mark.parametrize("settings", [{}, {"path": "x", "grace_minutes": -1}])
def test_bad_settings(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SdkSettings.model_validate(settings)


def _at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, 1, hour, minute, tzinfo=UTC)
