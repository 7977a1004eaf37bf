"""Azurite, Microsoft's emulator of Blob storage, as a process of its own on this machine."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

from providers.azure import Azure, AzureSettings
from tests.stubs.azure_export import EXPORT, Delivered

MAIN = Path(__file__).parents[2] / ".venv-npm/node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's own key, which Microsoft publishes."""
_SECONDS_TO_START = 30


@dataclass(frozen=True, slots=True)
class Container:
    """A container that a test fills like Azure does."""

    client: ContainerClient
    address: str

    def deliver(self, *runs: Delivered) -> None:
        """Write runs, each with its manifest last."""
        for run in runs:
            for path, body in run.files().items():
                self.client.upload_blob(f"billing/{EXPORT}/{path}", body)

    def delete(self, run: Delivered) -> None:
        for path in run.files():
            self.client.delete_blob(f"billing/{EXPORT}/{path}")

    def provider(self) -> Azure:
        export = f"{self.address}/{self.client.container_name}/billing/{EXPORT}"
        settings = AzureSettings(export=export, credential_env="AZURE_COSTS_SECRET")
        return Azure("az", settings, Path())

    def signature(self, permission: str = "rl") -> str:
        return generate_container_sas(
            ACCOUNT,
            self.client.container_name,
            KEY,
            permission=ContainerSasPermissions.from_string(permission),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )

    def connection_string(self, key: str = KEY) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
            f"BlobEndpoint={self.address};"
        )


@contextmanager
def serve() -> Iterator[str]:
    """Run the emulator while the block lasts; gives its account's address. Skips without it."""
    node = shutil.which("node")
    if node is None or not MAIN.is_file():
        pytest.skip("needs node, and: npm install --prefix .venv-npm azurite@3.37.0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command = [node, str(MAIN), *where, "--inMemoryPersistence", "--skipApiVersionCheck"]
    with subprocess.Popen(
        [*command, "--silent", "--disableTelemetry"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _await(port, process)
            yield f"http://127.0.0.1:{port}/{ACCOUNT}"
        finally:
            process.terminate()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Azurite did not start")
