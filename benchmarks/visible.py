"""How long after work begins its cost stands in the ledger, under `finops serve` as users run it.

    python benchmarks/visible.py --minutes 10

Work begins at random moments; every second the ledger is asked what it knows.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import polars as pl

from finops import AttributionEngine
from finops.installation import Installation

_TARGET_SECONDS = 300
_MAIN = "from finops.cli import main; main()"
_RULES = """
[cost_centers.ml_team]
type = "team"
name = "ML Team"

[[rules]]
id = "team-tag"
match = { "Tags.team" = true }
cost_center_from = "Tags.team"
"""
_SOURCE = '\n[sources.tracked]\nprovider = "sdk"\npath = "spool"\n'


def install(folder: Path) -> Path:
    subprocess.run([sys.executable, "-c", _MAIN, "init", folder], check=True)
    (folder / "organization.toml").write_text(_RULES, encoding="utf-8")
    with (folder / "finops.toml").open("a", encoding="utf-8") as file:
        file.write(_SOURCE)
    return folder / "finops.toml"


def seen(installation: Installation) -> set[str]:
    entries = installation.ledger.entries(columns=["resource"])
    return set(entries.select(pl.col("resource").unique()).collect()["resource"])


def begin(config: Path, minutes: float, began: dict[str, float]) -> None:
    engine = AttributionEngine.from_config(config)
    for number in range(int(minutes * 12)):
        began[f"pod-{number}"] = time.time()
        engine.track_gpu_usage_sync(
            team_id="ml-team",
            provider="runpod",
            instance_type="A100-40GB",
            cost_per_hour=2.50,
            resource_id=f"pod-{number}",
        )
        time.sleep(random.uniform(0, 10))


def watch(config: Path, minutes: float) -> list[float]:
    began: dict[str, float] = {}
    threading.Thread(target=begin, args=(config, minutes, began), daemon=True).start()
    took: dict[str, float] = {}
    until = time.time() + 60 * minutes + _TARGET_SECONDS
    while time.time() < until and (time.time() < until - _TARGET_SECONDS or len(took) < len(began)):
        for name in seen(Installation.open(config)) & set(began) - set(took):
            took[name] = time.time() - began[name]
        time.sleep(1)
    lost = len(began) - len(took)
    assert not lost, f"{lost} are not visible after {_TARGET_SECONDS} s"
    return sorted(took.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        config = install(Path(folder) / "acme")
        environment = {**os.environ, "PREFECT_HOME": f"{folder}/prefect"}
        environment.pop("PREFECT_API_URL", None)
        serving = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "serve", "--port", port],
            cwd=config.parent,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            took = watch(config, minutes)
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.wait(30)
    p50, p95 = (took[int(len(took) * share)] for share in (0.5, 0.95))
    print(
        f"{len(took)} workloads, event to visible: p50 {p50:.0f} s, p95 {p95:.0f} s, "
        f"longest {took[-1]:.0f} s (target: p95 under {_TARGET_SECONDS} s)"
    )


if __name__ == "__main__":
    main()
