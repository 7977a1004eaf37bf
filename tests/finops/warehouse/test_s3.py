import http.client
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from finops.errors import WarehouseError
from finops.warehouse import Warehouse, open_warehouse
from tests.finops.company import Company, csv, deliver


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give boto3 made-up keys and the server's address, and nothing of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return address


@pytest.fixture
def bucket(account: str) -> str:
    name = f"finops-{uuid.uuid4().hex[:8]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def warehouse(bucket: str) -> Warehouse:
    return open_warehouse(f"s3://{bucket}/acme/prod/")


class ForgetfulProxy(BaseHTTPRequestHandler):
    """Passes requests on without `If-None-Match`, as older S3 look-alikes treat them."""

    upstream: ClassVar[str]
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {
            name: value for name, value in self.headers.items() if name.lower() != "if-none-match"
        }
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = do_POST = _pass_on  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def forgetful(account: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    handler = type("Handler", (ForgetfulProxy,), {"upstream": account})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_address[1]}")
    yield
    server.shutdown()
    server.server_close()


def test_a_store_that_ignores_if_none_match_is_refused(bucket: str, forgetful: None) -> None:
    warehouse = open_warehouse(f"s3://{bucket}/acme")
    for _ in range(2):
        with pytest.raises(WarehouseError, match="this store ignores 'If-None-Match"):
            warehouse.create("log/1", b"1")
    assert list(warehouse.list("")) == []


def test_a_bucket_that_is_not_there(account: str) -> None:
    warehouse = open_warehouse("s3://no-such-bucket-here/acme")
    for attempt in (
        lambda: warehouse.read("a"),
        lambda: warehouse.replace("a", b"1"),
        lambda: warehouse.create("a", b"1"),
        lambda: list(warehouse.list("")),
    ):
        with pytest.raises(WarehouseError, match="the bucket does not exist; create it"):
            attempt()


def test_no_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(WarehouseError, match=r"cannot read s3://.*/a: Unable to locate cred"):
        open_warehouse(f"s3://{bucket}").read("a")


@pytest.mark.parametrize(
    ("variable", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL_S3", "not an address")]
)
def test_settings_that_cannot_be_right(
    variable: str, value: str, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(WarehouseError, match="check AWS_PROFILE, AWS_ENDPOINT_URL_S3"):
        open_warehouse("s3://bucket")


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix"])
def test_no_bucket(url: str, account: str) -> None:
    with pytest.raises(WarehouseError, match="cannot read"):
        open_warehouse(url).read("a")


def test_out_of_reach(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(WarehouseError, match="Could not connect"):
        open_warehouse("s3://bucket").read("a")


def test_what_is_not_there(warehouse: Warehouse) -> None:
    with pytest.raises(KeyError, match="a/b"):
        warehouse.read("a/b")
    with pytest.raises(KeyError, match="a/b"):
        warehouse.local("a/b")
    assert not warehouse.exists("a/b")
    assert not warehouse.move("a/b", "c")
    warehouse.delete("a/b")
    assert list(warehouse.list("")) == []


def test_replace_create_adopt_move_delete(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.replace("a/1", b"old")
    warehouse.replace("a/1", b"new")
    assert warehouse.create("a/2", b"mine")
    assert not warehouse.create("a/2", b"theirs")
    (tmp_path / "big").write_bytes(b"big")
    warehouse.replace("a/3", tmp_path / "big")
    with warehouse.workspace() as folder:
        (folder / "part").write_bytes(b"part")
        warehouse.adopt("b/4", folder / "part")
        assert not (folder / "part").exists()
    assert warehouse.move("a/1", "b/1")
    assert {key: warehouse.read(key) for key in warehouse.list("")} == {
        "a/2": b"mine",
        "a/3": b"big",
        "b/1": b"new",
        "b/4": b"part",
    }
    assert list(warehouse.list("a/")) == ["a/2", "a/3"]
    for key in list(warehouse.list("")):
        warehouse.delete(key)
    assert list(warehouse.list("")) == []


def test_a_local_copy_is_always_fresh(warehouse: Warehouse) -> None:
    warehouse.replace("a", b"1")
    assert warehouse.local("a").read_bytes() == b"1"
    warehouse.replace("a", b"2")
    assert warehouse.local("a").read_bytes() == b"2"


def test_prefixes_keep_companies_apart(bucket: str) -> None:
    acme, other = open_warehouse(f"s3://{bucket}/acme"), open_warehouse(f"s3://{bucket}/acme-2")
    acme.replace("a", b"1")
    assert list(other.list("")) == []
    other.replace("a", b"2")
    assert (acme.read("a"), other.read("a")) == (b"1", b"2")


def test_the_same_keys_and_bytes_as_in_a_folder(warehouse: Warehouse, company: Company) -> None:
    """
    cost_centers.ai = { type = "team", name = "AI" }

    [[rules]]
    id = "all"
    match = { BillingCurrency = true }
    cost_center = "ai"
    """
    bill = "BilledCost,ChargePeriodStart\n1.5,2026-10-03\n2,2026-10-04"
    company.deliver(bill)
    company.post()
    deliver(warehouse, csv(bill))
    company.post(warehouse)
    content = {key: warehouse.read(key) for key in warehouse.list("")}
    local = company.warehouse
    assert content == {key: local.read(key) for key in local.list("")}
