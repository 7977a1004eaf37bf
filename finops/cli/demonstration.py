"""The demo: a whole small company, from provider-native bills to a verified ledger."""

import hashlib
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from finops import budgets, coverage, quarantine, shipped, workloads
from finops import ledger as ledgers
from finops.cli import terminal
from finops.config import FILE_NAME
from finops.errors import ConfigError, FinopsError
from finops.installation import Installation
from finops.ledger import SigningKey
from finops.partition import Window
from finops.warehouse import Warehouse

PERIOD = "2026-10"
# Fixed times and a key that everybody knows: so the ledger's root is the same on every machine.
FIRST_RUN_AT = datetime(2026, 11, 2, 6, 5, tzinfo=UTC)
SECOND_RUN_AT = datetime(2026, 11, 3, 6, 5, tzinfo=UTC)
KEY_SEED = hashlib.sha256(b"the demo's key is no secret").digest()


def run(out: Path) -> None:
    """Make the demo company in `out` and run two days' work: the bill, then its restatement."""
    begun = time.monotonic()
    _lay_out(out)
    config = str(out / FILE_NAME)
    from flows.cycle import run_cycle

    window = Window.of_period(PERIOD)
    for now, overlay in ((FIRST_RUN_AT, None), (SECOND_RUN_AT, "restated")):
        if overlay is not None:
            _copy(shipped.folder("demo") / overlay, out)
        bill = "the restated bill" if overlay else "the bill of October"
        terminal.show((f"{now:%Y-%m-%d %H:%M} UTC", "dim"), f" {bill}")
        with terminal.watched():
            done = run_cycle(config, None, window, now)
        if done.failures:
            raise FinopsError("\n".join(str(failure) for failure in done.failures))
    _summarize(Installation.open(config), time.monotonic() - begun)


def _lay_out(out: Path) -> None:
    if (out / "warehouse").exists():
        raise ConfigError(f"{out / 'warehouse'} exists already; give another folder to --out")
    demo = shipped.folder("demo")
    for folder in ("bills", "work"):
        _copy(demo / folder, out / folder)
    for name in (FILE_NAME, "organization.toml"):
        shutil.copyfile(demo / name, out / name)
    config = Installation.open(out / FILE_NAME).config
    config.ledger_key_path.parent.mkdir(parents=True, exist_ok=True)
    config.ledger_key_path.unlink(missing_ok=True)
    SigningKey.from_seed(config.ledger.origin, KEY_SEED).save(config.ledger_key_path)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _charges(entries: pl.LazyFrame) -> int:
    """Count the charges that have an entry which was not taken back."""
    sign = pl.when(pl.col("kind") == "reversal").then(-1).otherwise(1)
    live = entries.group_by("charge_id").agg(sign.sum().alias("live")).filter(pl.col("live") > 0)
    return int(live.select(pl.len()).collect().item())


def _workloads(warehouse: Warehouse) -> str:
    """Count the pods, builds, jobs and runs that each source told of, each once."""
    told = workloads.read(warehouse, Window.of_period(PERIOD)).filter(pl.col("kind") != "idle")
    ids = pl.col("workload_id").n_unique()
    counts = told.group_by("source", "kind").agg(ids).sort("source", "kind").collect()
    by_source: dict[str, list[str]] = {}
    for source, kind, count in counts.iter_rows():
        by_source.setdefault(source, []).append(f"{count:,} {kind}s")
    return ", ".join(f"{source} {' and '.join(found)}" for source, found in by_source.items())


def _summarize(installation: Installation, seconds: float) -> None:
    entries = installation.ledger.entries(period=PERIOD)
    covered = coverage.coverage(entries, quarantine.summary(installation.warehouse, PERIOD))
    rows = [
        (
            each.currency,
            *(
                terminal.amount(value)
                for value in (each.billed, each.allocated, each.unallocated, each.quarantined)
            ),
            terminal.percent(each.coverage),
        )
        for each in covered
    ]
    columns = ["October 2026", ">billed", ">allocated", ">unallocated", ">quarantined", ">coverage"]
    terminal.show()
    terminal.table("", columns, rows)
    statuses = budgets.statuses(entries, installation.organization, PERIOD)
    over = [f"{one.name} ({one.percent:.0f} %)" for one in statuses if one.is_over]
    providers = entries.select(pl.col("service_provider").unique().sort()).collect().to_series()
    charges = _charges(entries)
    head = installation.ledger.head()
    assert head is not None, "the demo posted entries"
    found = ledgers.verify(installation.warehouse, vkey=installation.signing_key().vkey)
    verdict = "verified" if found.ok else "DAMAGED"
    facts = {
        "Providers": ", ".join(providers),
        "Charges": f"{charges:,}",
        "Workloads": _workloads(installation.warehouse),
        "Ledger": f"{head.size} batches, {found.rows:,} entries, {verdict}",
        "Root": head.root,
        "Budgets over": ", ".join(over) or "none",
        "Report": str(installation.config.base / "reports" / f"monthly-{PERIOD}.html"),
        "Time": f"{seconds:.1f} s",
    }
    for name, fact in facts.items():
        terminal.show((f"{name:<13}", "bold"), f" {fact}")
