"""The flows on a real Prefect server, started by `finops serve` as a user would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Finops, fingerprint
from tests.stubs.rigs import RIGS
from tests.stubs.scripted import Script, serve

_STARTS_WITHIN_SECONDS = 120
_RUNS_WITHIN_SECONDS = 90
_BUSY = 503
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running `finops serve` and its Prefect server's API."""

    process: "subprocess.Popen[bytes]"
    api: httpx.Client
    log: Path

    def ask(self, method: str, path: str, asked: Any = None) -> Any:
        """Ask the API; while SQLite is locked it answers 503, which Prefect's client waits out too."""
        deadline = time.monotonic() + _RUNS_WITHIN_SECONDS
        while (answer := self.api.request(method, path, json=asked)).status_code == _BUSY:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.5)
        return answer.raise_for_status().json()

    def deployments(self) -> dict[str, dict[str, Any]]:
        found = self.ask("POST", "/deployments/filter", {})
        return {deployment["name"]: deployment for deployment in found}

    def run(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start a deployment as the UI's form does, and wait for its end."""
        deployment = self.deployments()[name]
        run = self.ask(
            "POST",
            f"/deployments/{deployment['id']}/create_flow_run",
            {"parameters": {**deployment["parameters"], **parameters}},
        )
        deadline = time.monotonic() + _RUNS_WITHIN_SECONDS
        while time.monotonic() < deadline:
            run = self.ask("GET", f"/flow_runs/{run['id']}")
            if run["state_type"] in _FINAL:
                return dict(run)
            time.sleep(0.5)
        raise AssertionError(f"{name} is still {run['state_name']}")

    def artifacts(self, run: dict[str, Any]) -> dict[str, str]:
        asked = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        found = self.ask("POST", "/artifacts/filter", asked)
        return {artifact["key"]: str(artifact["data"]) for artifact in found}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(acme: Path, tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    log = (tmp_path / "serve.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-c", "from finops.cli import main; main()", "serve", "--port", str(port)],
        cwd=acme,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=20) as api:
            server = Server(process, api, tmp_path / "serve.log")
            _await_deployments(server)
            yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the Prefect server outlived us"


def _await_deployments(server: Server) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text(encoding="utf-8")
        try:
            if "cycle" in server.deployments():
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(server.log.read_text(encoding="utf-8"))


def test_flows_run_from_the_server_and_leave_evidence(
    served: Server, acme: Path, finops: Finops
) -> None:
    deployments = served.deployments()
    assert set(deployments) == {
        *("alert", "attribute", "backfill", "cycle", "ingest", "ingest-focus", "publish"),
    }
    hourly = {
        name: deployment["schedules"][0]["schedule"]["cron"]
        for name, deployment in deployments.items()
        if deployment["schedules"]
    }
    assert hourly["ingest-focus"] == "5 * * * *"
    form = deployments["backfill"]["parameter_openapi_schema"]
    assert form["required"] == ["start", "end"]
    assert all(field["description"] for field in form["properties"].values())
    assert deployments["backfill"]["parameters"]["sources"] == ["bill"]

    september = {"start": "2024-09-01", "end": "2024-10-01"}
    planned = served.run("backfill", {**september, "dry_run": True})
    assert planned["state_type"] == "COMPLETED", planned["state"]["message"]
    assert not (acme / "warehouse" / "charges").exists()

    done = served.run("backfill", september)
    assert done["state_type"] == "COMPLETED", done["state"]["message"]
    assert "AWS" not in served.artifacts(done)["coverage"]
    (covered,) = json.loads(finops("coverage", "--json").out)
    assert covered["billed"] in served.artifacts(done)["coverage"]
    assert finops("ledger", "verify").code == 0
    (_, batch) = json.loads(finops("ledger", "log", "--json").out)
    assert batch["rows"] > 0

    before = fingerprint(acme / "warehouse")
    again = served.run("backfill", september)
    assert again["state_type"] == "COMPLETED"
    assert fingerprint(acme / "warehouse") == before

    published = served.run("publish", {"period": "2024-09"})
    assert published["state_type"] == "COMPLETED", published["state"]["message"]
    assert "September 2024" in served.artifacts(published)["report"]
    alerted = served.run("alert", {"period": "2024-09"})
    assert alerted["state_type"] == "COMPLETED", alerted["state"]["message"]

    (acme / "bills" / "september.csv").write_text("date,cost\n1,2\n", encoding="utf-8")
    failed = served.run("ingest-focus", september)
    assert failed["state_type"] == "FAILED"
    assert "is no FOCUS bill" in failed["state"]["message"]

    key = take_in_with_a_secret_block(served, acme)
    assert not [file for file in acme.rglob("*") if file.is_file() and key in file.read_bytes()]
    assert key not in served.log.read_bytes()


def take_in_with_a_secret_block(served: Server, acme: Path) -> bytes:
    """Ingest a source whose key only Prefect knows; return the key."""
    rig, script = RIGS["runpod"], Script()
    for (method, path), answers in rig.good.items():
        script.on(path, *answers, method=method)
    saving = "from prefect.blocks.system import Secret; import sys; Secret(value=sys.argv[1]).save("
    command = [sys.executable, "-c", f"{saving}'runpod-api-key')", rig.secret]
    api = {"PREFECT_API_URL": str(served.api.base_url)}
    subprocess.run(command, env=os.environ | api, check=True, stdout=subprocess.DEVNULL)
    with serve(script) as address:
        with (acme / "finops.toml").open("a", encoding="utf-8") as file:
            file.write(f'[sources.gpu]\nprovider = "runpod"\napi_url = "{address}"\n')
            file.write(f'v1_url = "{address}"\nproducts = ["pods"]\n')
        window = {"start": str(rig.window.start), "end": str(rig.window.end)}
        taken = served.run("ingest", {**window, "sources": ["gpu"]})
    assert taken["state_type"] == "COMPLETED", taken["state"]["message"]
    asked = script.asked("/v2/billing/pods")
    assert {request.headers["authorization"] for request in asked} == {f"Bearer {rig.secret}"}
    return rig.secret.encode()
