"""A backfill, killed and resumed, says in the ledger what day-by-day operation says."""

import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl
import pytest

from finops.installation import Installation
from finops.ledger import ENTRY_SCHEMA
from finops.partition import Window
from flows.accrue import accrue_all
from flows.attribute import attribute_window, sweep
from flows.ingest import ingest_sources
from tests.conftest import Finops
from tests.flows.a_year import SAID_WITHIN, Past

KILLED = Path(__file__).with_name("killed_backfill.py")
KILLS = (
    *("intents/bill:1", "ingests/provider=focus:1", "ingests/provider=focus:2"),
    *("allocations/:3", "ledger/seg:1", "ledger/log/:2", "ledger/checkpoints/:1", "settled/:2"),
)
"""Each is certain to be met when the attempts before it died where they were to."""
_RUN_OF_ITS_OWN = {"src", "src_row", "row", "index", "v", "kind", "corrects", "subject"}


def live(folder: Path) -> pl.DataFrame:
    """Read what the ledger says now: every entry that no reversal took back."""
    entries = Installation.open(folder / "finops.toml").ledger.entries().collect()
    taken_back = entries.get_column("corrects").drop_nulls()
    place = pl.format("{}/{}", "index", "row")
    standing = entries.filter(pl.col("corrects").is_null() & ~place.is_in(taken_back.implode()))
    compared = [name for name in ENTRY_SCHEMA if name not in _RUN_OF_ITS_OWN]
    assert standing.get_column("kind").unique().to_list() == ["allocation"]
    return standing.select(compared).sort(compared)


def corrected(folder: Path) -> int:
    """Count what was said and taken back."""
    entries = Installation.open(folder / "finops.toml").ledger.entries().collect()
    return entries.get_column("corrects").count()


def day_by_day(past: Past, folder: Path) -> None:
    config = str(folder / "finops.toml")
    for today in past.told[1:]:  # before the first bill there is none to take in
        past.known_on(today, folder)
        now = datetime.combine(today, time(22), UTC)
        ingest_sources(config, None, None, today).or_raise()
        attribute_window(config, sweep(today), now).or_raise()
        assert not accrue_all(config, now).failures


def backfilled(past: Past, folder: Path, kills: tuple[str, ...]) -> list[int]:
    past.known_on(past.window.end + SAID_WITHIN, folder)
    days = (past.window.start.isoformat(), past.window.end.isoformat())
    command = [sys.executable, str(KILLED), str(folder / "finops.toml"), *days]
    done = subprocess.run([*command, *kills], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(code) for code in done.stdout.split()]


def both(
    past: Past, tmp_path: Path, finops: Finops, kills: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give what the ledger says after day-by-day operation, and after a killed backfill."""
    folders = tmp_path / "daily", tmp_path / "backfilled"
    assert finops("init", folders[0]).code == 0
    shutil.copytree(*folders)
    daily, once = (past.install(folder) for folder in folders)
    day_by_day(past, daily)
    ends = backfilled(past, once, kills)
    assert ends == [signal.SIGKILL] * len(kills) + [0]
    expected = live(daily)
    assert {*expected.get_column("step")} == {"workload", "idle", "split", "rule", "unallocated"}
    assert corrected(daily) > 0 == corrected(once)
    for folder in folders:
        assert finops("ledger", "verify", "--config", folder / "finops.toml").code == 0
    return expected, live(once)


@pytest.mark.slow
def test_a_backfill_that_is_killed_and_resumed_says_what_day_by_day_operation_says(
    tmp_path: Path, finops: Finops
) -> None:
    past = Past(Window(date(2025, 1, 11), date(2025, 4, 1)), stride=27)
    daily, once = both(past, tmp_path, finops, KILLS[:6:5])
    assert once.equals(daily)


@pytest.mark.slow
def test_so_does_a_backfill_of_a_year(tmp_path: Path, finops: Finops) -> None:
    past = Past(Window(date(2024, 11, 1), date(2025, 11, 1)))
    daily, once = both(past, tmp_path, finops, KILLS)
    assert once.equals(daily)
