"""Debian's Prometheus over samples that a test back-fills, the way `promtool` does it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import pytest

Samples = Mapping[str, Sequence[tuple[datetime, str]]]
"""Values over time, by series: `up{job="a"}`."""


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A running server."""

    address: str


@contextmanager
def served_prometheus(folder: Path, samples: Samples) -> Iterator[PrometheusServer]:
    """Run a server that knows `samples` while the block lasts; skips where there is none."""
    for program in ("prometheus", "promtool"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install prometheus")
    _back_fill(folder, samples)
    port = _free_port()
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n", encoding="utf-8")
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", folder / "log")
            yield PrometheusServer(f"http://127.0.0.1:{port}")
        finally:
            running.terminate()
            running.wait(timeout=30)


def _back_fill(folder: Path, samples: Samples) -> None:
    lines = [
        f"{series} {value} {at.timestamp():.0f}"
        for series, values in samples.items()
        for at, value in values
    ]
    text = folder / "samples.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, folder / "data"],
        check=True,
        capture_output=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(address: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/-/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"Prometheus did not start: {log.read_text(encoding='utf-8')[-2000:]}")
