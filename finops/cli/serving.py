"""Serving the flows, with a local Prefect server when there is none."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx

from finops.cli import terminal
from finops.config import Config
from finops.errors import FinopsError

API_VARIABLE = "PREFECT_API_URL"
HOST = "127.0.0.1"
_POLL_VARIABLE = "PREFECT_RUNNER_POLL_FREQUENCY"
_STARTS_WITHIN_SECONDS = 90
_STOPS_WITHIN_SECONDS = 10


def serve(config: Config, path: Path, port: int) -> None:
    """Serve the deployments until interrupted."""
    with nullcontext() if os.environ.get(API_VARIABLE) else _local_server(port):
        # Imported late: Prefect reads the address of its server when it is imported.
        from prefect import serve as serve_deployments

        from flows import served

        serve_deployments(*served.deployments(config, str(path)))


@contextmanager
def _local_server(port: int) -> Iterator[None]:
    """Run a Prefect server on this machine only, for as long as the flows are served."""
    url = f"http://{HOST}:{port}/api"
    settings = {
        API_VARIABLE: url,
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        # With the default of 1 the server loses task runs when many finish at once.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        # With the default of 10 s a backfill started in the UI seems not to start.
        _POLL_VARIABLE: os.environ.get(_POLL_VARIABLE, "1"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    _demand_free(port)
    # A service manager stops us with SIGTERM: the server must go with us then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", HOST, "--port", str(port)]
    server = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _await(server, url)
        os.environ.update(settings)
        terminal.show(f"Prefect's UI: http://{HOST}:{port}")
        yield
    finally:
        server.terminate()
        try:
            server.wait(_STOPS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise FinopsError(
                f"port {port} is taken; choose another --port, or set {API_VARIABLE} to "
                f"http://{HOST}:{port}/api if that is your Prefect server"
            )


def _await(server: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise FinopsError(
                f"Prefect's server stopped with {server.returncode}; run "
                f"`prefect server start` to see why, or set {API_VARIABLE} to a running server"
            )
        try:
            if httpx.get(f"{url}/health", timeout=1).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise FinopsError(f"Prefect's server did not answer at {url} within {_STARTS_WITHIN_SECONDS} s")
