"""Tracking under load: what a call takes, how many events a second, and whether one is lost.

Two processes, as there are two cores, carry half of the workloads each, all of them at once. Each
workload starts, beats and ends through the public calls, and every event is synced to the disk.

    python benchmarks/tracking.py --workloads 10000 --rate 1000 --seconds 60
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from finops import AttributionEngine, reported

PROCESSES = 2
_CONFIG = 'company = "Bench"\n[ledger]\norigin = "bench.example/finops"\n'
_ORGANIZATION = '[cost_centers.ml_team]\ntype = "team"\nname = "ML Team"\n'


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: events that were said and found, seconds, and milliseconds a call."""

    workloads: int
    events: int
    found: int
    found_workloads: int
    seconds: float
    p50: float
    p95: float
    p99: float

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds


def install(folder: Path) -> Path:
    """Make the installation that the workloads use."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "organization.toml").write_text(_ORGANIZATION, encoding="utf-8")
    (folder / "finops.toml").write_text(_CONFIG, encoding="utf-8")
    return folder / "finops.toml"


def load(folder: Path, workloads: int, rate: float, seconds: float) -> Load:
    """Run it; a `rate` of 0 is as fast as it goes, with three heartbeats a workload."""
    config = install(folder)
    AttributionEngine.from_config(config).close()  # makes the key, once
    share = [str(workloads // PROCESSES), str(rate / PROCESSES), str(seconds)]
    command = [sys.executable, __file__, "--child", str(config), *share]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    said = [json.loads(child.communicate()[0]) for child in children]
    assert not any(child.returncode for child in children)
    took = sorted(each for one in said for each in one["took"])
    found = [
        reported.parse(line)
        for file in (folder / "spool").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return Load(
        workloads,
        len(took),
        len({event.id for event in found}),
        len({event.workload_id for event in found}),
        max(one["seconds"] for one in said),
        *(1000 * took[int(len(took) * share_)] for share_ in (0.5, 0.95, 0.99)),
    )


async def _child(config: str, workloads: int, rate: float, seconds: float) -> None:
    engine = AttributionEngine.from_config(config)
    took: list[float] = []
    begun = time.perf_counter()
    beats = 3 if rate == 0 else max(int(seconds * rate / workloads) - 2, 0)

    async def timed(call: object) -> object:
        at = time.perf_counter()
        result = await call  # type: ignore[misc]
        took.append(time.perf_counter() - at)
        return result

    async def workload(number: int) -> None:
        # Evenly spread: each event of each workload has its place in time.
        pause = workloads / rate if rate else 0
        await asyncio.sleep(number / rate if rate else 0)
        id_ = await timed(
            engine.track_gpu_usage(
                team_id="ml-team",
                user_id=f"user-{number}@company.com",
                provider="runpod",
                instance_type="A100-40GB",
                cost_per_hour=2.50,
                resource_id=f"pod-{number}",
            )
        )
        for _ in range(beats):
            await asyncio.sleep(pause)
            await timed(engine.heartbeat(str(id_), 0.9))
        await asyncio.sleep(pause)
        await timed(engine.end(str(id_)))

    await asyncio.gather(*map(workload, range(workloads)))
    spent = time.perf_counter() - begun
    engine.close()
    print(json.dumps({"took": took, "seconds": spent}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", type=int, default=10_000, help="at the same time")
    parser.add_argument("--rate", type=float, default=1_000, help="events/s; 0: as many as go")
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        found = load(Path(folder), asked.workloads, asked.rate, asked.seconds)
    print(
        f"{found.workloads:,} workloads, {found.events:,} events in {found.seconds:.1f} s: "
        f"{found.events_per_second:,.0f} events/s, {found.events - found.found} lost\n"
        f"a call: p50 {found.p50:.1f} ms, p95 {found.p95:.1f} ms, p99 {found.p99:.1f} ms"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        config_, workloads_, rate_, seconds_ = sys.argv[2:]
        asyncio.run(_child(config_, int(workloads_), float(rate_), float(seconds_)))
    else:
        main()
