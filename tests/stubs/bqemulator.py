"""BigQuery on this machine: the bqemulator package, in an environment of its own.

Its newest DuckDB downloads an extension when it starts; this one has it in a package.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ENVIRONMENT = Path(__file__).parent.parent.parent / ".venv-bqemulator"
PINS = (
    "bqemulator==1.4.0",
    "duckdb==1.5.5",
    "duckdb-extensions==1.5.5",
    "duckdb-extension-spatial==1.5.5",
    "numpy==2.4.6",
)
_IMPORT = "from duckdb_extensions import import_extension; import_extension('spatial')"
_START_SECONDS = 60


def installed() -> Path:
    """Make the environment if need be; skips the test where the packages cannot be had."""
    program, python = ENVIRONMENT / "bin" / "bqemulator", ENVIRONMENT / "bin" / "python"
    steps = (
        [sys.executable, "-m", "venv", str(ENVIRONMENT)],
        [str(python), "-m", "pip", "install", "--quiet", *PINS],
        [str(python), "-c", _IMPORT],
    )
    stamp = ENVIRONMENT / ".installed"
    if stamp.exists() and stamp.read_text() == "\n".join(PINS):
        return program
    for step in steps:
        ran = subprocess.run(step, capture_output=True, text=True, check=False)
        if ran.returncode:
            last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            pytest.skip(f"bqemulator 1.4.0 cannot be installed from PyPI here: {last}")
    stamp.write_text("\n".join(PINS))
    return program


@contextmanager
def running(log: Path) -> Iterator[str]:
    """Run the emulator on free ports while the block lasts; gives its address."""
    rest, grpc = _free_port(), _free_port()
    command = [str(installed()), "start", "--rest-port", str(rest), "--grpc-port", str(grpc)]
    address = f"http://127.0.0.1:{rest}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(address)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"bqemulator does not start: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
