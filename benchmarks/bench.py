"""Measure speed and memory against named peers, on one generated bill, in one run.

Every measurement runs in a process of its own, so that its peak memory is its own. A target is
met or missed by how much; nothing is averaged away. Results also go to `bench/results.json`.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

import converter
import polars as pl
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "bench"
ROWS = 5_000_000
HOURS = 3
WORKLOADS = 10_000
TIMES = "x"


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement: rows that went through, seconds of work, and what the process took.

    `process_seconds` also count starting Python and importing.
    """

    name: str
    rows: int
    seconds: float
    process_seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class Target:
    """What must hold: `value` is at least `wanted` (or, for memory growth, at most)."""

    what: str
    value: float
    wanted: float
    unit: str
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        digits = {TIMES: ".2f", "s": ".1f"}.get(self.unit, ",.0f")
        verdict = f"{'met' if self.is_met else 'MISSED'}, {self.value / self.wanted - 1:+.0%}"
        return f"{self.value:{digits}} {self.unit} ({sign} {self.wanted:{digits}}): {verdict}"


def measured(name: str, rows: int) -> Result:
    """Run one function of `measurements.py` in a process of its own."""
    command = [sys.executable, str(HERE / "measurements.py"), name, str(FOLDER), str(rows)]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{name} failed; see its message above")
    through, seconds = json.loads(said)
    cpu = used.ru_utime + used.ru_stime
    whole = time.monotonic() - begun
    return Result(name, through, seconds, whole, cpu, used.ru_maxrss * 1024)


def run_bill(rows: int, console: Console) -> dict[str, Result]:
    """Take one bill through all steps; names end in the size where several are measured."""
    results: dict[str, Result] = {}

    def take(name: str, size: int = rows, label: str = "") -> None:
        with console.status(f"{name}, {size:,} rows"):
            results[label or name] = measured(name, size)

    shutil.rmtree(FOLDER / "entries", ignore_errors=True)
    for size, label in ((rows // 5, "fifth"), (2 * rows, "double"), (rows, "")):
        shutil.rmtree(FOLDER / f"warehouse-{size}", ignore_errors=True)
        take("make_bill", size)
        take("take_charges", size, f"take_charges {label}".strip())
        if label:
            shutil.rmtree(FOLDER / f"warehouse-{size}")
    for name in (
        "copy_bill",
        "copy_charges",
        "attribute",
        "attribute_without_proof",
        "attribute_in_duckdb_by_dimension",
        "attribute_in_duckdb_by_row",
        "make_entries",
        "append",
        "verify",
        "tell_workloads",
        "attribute_to_workloads",
    ):
        take(name)
    take("track_events", WORKLOADS)
    return results


def run_report(rows: int, console: Console) -> dict[str, Result]:
    """Take a native report of a fifth of the rows, which is as much as the peer can hold."""
    shutil.rmtree(FOLDER / "warehouse-report", ignore_errors=True)
    results: dict[str, Result] = {}
    for name in ("make_report", "convert_report", "take_report"):
        with console.status(f"{name}, {rows // 5:,} rows"):
            results[name] = measured(name, rows // 5)
    with console.status("focus-converter"):
        results["focus_converter"] = peer_converted(rows // 5)
    return results


def run_hour(_: int, console: Console) -> dict[str, Result]:
    """Bring in all sources of the demo company, as an hour's run does: the median of three."""
    taken = []
    for _ in range(HOURS):
        with console.status("all demo providers"):
            taken.append(hour_taken())
    return {"demo_hour": sorted(taken, key=lambda result: result.process_seconds)[HOURS // 2]}


def hour_taken() -> Result:
    """Run `finops ingest` for all sources, from its start to charges written, into an empty warehouse."""
    company = FOLDER / "demo"
    shutil.rmtree(company, ignore_errors=True)
    shutil.copytree(HERE.parent / "data" / "demo", company)
    shutil.rmtree(company / "warehouse", ignore_errors=True)
    sources = tomllib.loads((company / "finops.toml").read_text(encoding="utf-8"))["sources"]
    month = ("--from", "2026-10-01", "--to", "2026-11-01", "--config", str(company / "finops.toml"))
    command = [str(Path(sys.executable).with_name("finops")), "ingest", *sources, *month, "--json"]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    if process.returncode:
        sys.exit("the demo's sources could not be brought in; see the message above")
    rows = sum(one.get("rows", 0) for one in json.loads(said))
    cpu = used.ru_utime + used.ru_stime
    return Result("demo_hour", rows, seconds, seconds, cpu, used.ru_maxrss * 1024)


def peer_converted(rows: int) -> Result:
    """Have focus-converter convert the report that we converted."""
    command = converter.environment(FOLDER / "focus-converter")
    shutil.rmtree(FOLDER / "converted", ignore_errors=True)
    report = FOLDER / f"report-{rows}.csv"
    seconds, used = converter.convert(command, report, FOLDER / "converted")
    cpu = used.ru_utime + used.ru_stime
    return Result("focus_converter", rows, seconds, seconds, cpu, used.ru_maxrss * 1024)


def bill_targets(results: dict[str, Result]) -> list[Target]:
    speed = {name: result.rows_per_second for name, result in results.items()}
    peak = {name: result.peak_bytes for name, result in results.items()}
    attributed, joined = speed["attribute"], speed["attribute_without_proof"]
    by_row = speed["attribute_in_duckdb_by_row"]
    by_dimension = speed["attribute_in_duckdb_by_dimension"]
    return [
        Target("charges", speed["take_charges"], 300_000, "rows/s"),
        Target(
            "charges: memory of ten times the rows",
            peak["take_charges double"] / peak["take_charges fifth"],
            2,
            TIMES,
            at_most=True,
        ),
        Target("attribution against DuckDB, by row", attributed / by_row, 2, TIMES),
        Target("the join alone against DuckDB, by dimension", joined / by_dimension, 1.5, TIMES),
        Target("attribution against DuckDB, by dimension", attributed / by_dimension, 2, TIMES),
        Target(
            "attribution against only copying", attributed / speed["copy_charges"], 1 / 1.5, TIMES
        ),
        Target(
            "attribution to 100,000 workloads", speed["attribute_to_workloads"], 500_000, "rows/s"
        ),
        Target("ledger: append", speed["append"], 500_000, "rows/s"),
        Target("ledger: verify", speed["verify"], 500_000, "rows/s"),
        Target("tracking: 10,000 workloads", speed["track_events"], 1_000, "events/s"),
    ]


def report_targets(results: dict[str, Result]) -> list[Target]:
    ours, peer = results["convert_report"], results["focus_converter"]
    return [
        Target(
            "AWS report to FOCUS, against focus-converter",
            peer.process_seconds / ours.process_seconds,
            4,
            TIMES,
        ),
        Target(
            "AWS report to FOCUS: memory, against focus-converter",
            ours.peak_bytes / peer.peak_bytes,
            1 / 3,
            TIMES,
            at_most=True,
        ),
    ]


def hour_targets(results: dict[str, Result]) -> list[Target]:
    seconds = results["demo_hour"].process_seconds
    return [
        Target("all demo providers, from start to charges written", seconds, 30, "s", at_most=True)
    ]


PARTS = {
    "bill": (run_bill, bill_targets),
    "report": (run_report, report_targets),
    "hour": (run_hour, hour_targets),
}


def show(results: dict[str, Result], found: list[Target], console: Console) -> None:
    table = Table("what", "rows", "seconds", "CPU s", "rows/s", "peak memory", title="Measured")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, result in results.items():
        table.add_row(
            name.replace("_", " "),
            f"{result.rows:,}",
            f"{result.seconds:.1f}",
            f"{result.cpu_seconds:.1f}",
            f"{result.rows_per_second:,.0f}",
            f"{result.peak_bytes / 1e9:.2f} GB",
        )
    console.print(table)
    verdicts = Table("target", "result", title="Targets")
    for target in found:
        verdicts.add_row(target.what, str(target), style="" if target.is_met else "red")
    console.print(verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="size of the bill")
    parser.add_argument("--only", choices=PARTS, help="measure this part alone")
    given = parser.parse_args()
    rows, chosen = given.rows, [given.only] if given.only else list(PARTS)
    FOLDER.mkdir(exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 110)
    results: dict[str, Result] = {}
    found: list[Target] = []
    for part in chosen:
        measure, judge = PARTS[part]
        taken = measure(rows, console)
        results |= taken
        found += judge(taken)
    show(results, found, console)
    said = {
        "rows": rows,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "polars": pl.__version__,
        "results": [asdict(result) for result in results.values()],
        "targets": [{**asdict(target), "is_met": target.is_met} for target in found],
    }
    (FOLDER / "results.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
