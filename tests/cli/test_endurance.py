"""Runs that are killed, run at the same time, or write to S3: the money is right in the end."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from finops import replacement
from finops.warehouse.local import LocalWarehouse
from tests.cli.test_run import SEPTEMBER, billed, covered
from tests.conftest import BILL, Finops

COMMAND = [sys.executable, "-c", "from finops.cli import main; main()", "run", *SEPTEMBER]


def started(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
    )


def finished(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Wait for a run; return its exit code and what it said was wrong."""
    said = process.communicate()[1].decode()
    faults = [line for line in said.splitlines() if not line.startswith("warning:")]
    return process.returncode, "\n".join(faults)


def test_a_run_killed_at_any_moment_is_completed_by_the_next(acme: Path, finops: Finops) -> None:
    begun = time.monotonic()
    assert finished(started(acme)) == (0, "")
    whole_run = time.monotonic() - begun
    chance = random.Random(20240901)
    for attempt in range(4):
        # Another bill each time, so that there is something to replace and to correct.
        text = BILL.read_text(encoding="utf-8").replace("Elastic", f"Elastic {attempt}")
        (acme / "bills" / "september.csv").write_text(text, encoding="utf-8")
        process = started(acme)
        time.sleep(whole_run * chance.uniform(0.35, 0.95))
        process.send_signal(signal.SIGKILL)
        finished(process)
        again = finops("run", *SEPTEMBER)
        assert again.code == 0, again.err
        assert covered(finops)["billed"] == billed()
        verified = finops("ledger", "verify")
        assert verified.code == 0, verified.out
    warehouse = LocalWarehouse(acme / "warehouse")
    assert not replacement.is_decided(warehouse, "bill")
    # What was staged but never decided is swept a day later, when nobody can be at it any more.
    replacement.sweep(warehouse, datetime.now(UTC) + timedelta(days=2))
    assert not [path for path in acme.rglob("*") if "staging" in path.parts]


@pytest.mark.slow
def test_four_runs_at_once_all_end_well_and_count_nothing_twice(acme: Path, finops: Finops) -> None:
    bill = acme / "bills" / "september.csv"
    for restated in ("Elastic", "Elastic restated"):
        # Runs that have corrections to make race hardest: each reversal may be made only once.
        bill.write_text(BILL.read_text(encoding="utf-8").replace("Elastic", restated))
        racing = [started(acme) for _ in range(4)]
        assert [finished(process) for process in racing] == [(0, "")] * 4
        assert covered(finops)["billed"] == billed()
    assert "no new batch" in finops("run", *SEPTEMBER).out
    assert finops("ledger", "verify").code == 0


@pytest.mark.slow
def test_four_runs_at_once_on_a_broken_bill_say_why_and_leave_nothing(
    acme: Path, finops: Finops
) -> None:
    bill = acme / "bills" / "september.csv"
    bill.write_bytes(BILL.read_bytes()[:-200])
    racing = [started(acme) for _ in range(4)]
    for code, said in [finished(process) for process in racing]:
        assert code == 1
        assert "is no complete CSV file" in said or "run again" in said
        assert "should not happen" not in said
    assert [path for path in (acme / "warehouse").rglob("*") if path.is_file()] == []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return "finops-warehouse"


def test_the_whole_job_works_on_s3(
    acme: Path, finops: Finops, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        settings = acme / "finops.toml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace("./warehouse", f"s3://{bucket}/acme"), encoding="utf-8")

        missing = finops("run", *SEPTEMBER)
        assert missing.code == 1
        assert "bucket" in missing.err

        boto3.client("s3").create_bucket(Bucket=bucket)
        assert finops("doctor").code == 0
        assert finops("run", *SEPTEMBER).code == 0
        assert covered(finops)["billed"] == billed()
        assert finops("ledger", "verify").code == 0
        assert "no new batch" in finops("run", *SEPTEMBER).out
        assert json.loads(finops("trace", "1/0", "--json").out)["raw_row"]
        assert not (acme / "warehouse").exists()
    finally:
        server.stop()


def test_row_order_does_not_matter_to_the_ledger(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    with BILL.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    random.Random(7).shuffle(rows)
    with (acme / "bills" / "september.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    assert "no new batch" in finops("run", *SEPTEMBER).out
    assert covered(finops)["billed"] == sum((Decimal(row[1]) for row in rows), Decimal(0))
