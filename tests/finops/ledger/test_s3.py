"""The same ledger in a bucket: moto's server stands in for S3."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from moto.server import ThreadedMotoServer

from finops.ledger import reversals, verify
from finops.warehouse import Warehouse, open_warehouse

from .entries import FACTS, facts, frame, ledger, partition


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Open an empty place in a bucket; moto's servers of one process share their buckets."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="finops")
    yield open_warehouse(f"s3://finops/{request.node.name}")
    server.stop()


def test_append_correct_verify(bucket: Warehouse) -> None:
    """Everything works in a bucket as it does in a folder."""
    book = ledger(bucket)
    book.append([(facts("a"), frame(10))], FACTS)
    assert book.append([(facts("a"), frame(10))], FACTS) is not None
    undone = reversals(book.live(partition()).head(2), reason="restated")
    book.append([(facts("b"), undone)], FACTS)
    assert ledger(bucket).live(partition()).height == 8
    found = verify(bucket)
    assert found.ok, found.findings
    assert (found.size, found.rows) == (3, 12)


def test_racing_writers_lose_nothing(bucket: Warehouse) -> None:
    """`If-None-Match` decides who gets a place in the log."""

    def write(day: int) -> int:
        place = partition(day)
        appended = ledger(bucket).append([(facts("a", place), frame(3, place))], FACTS)
        return -1 if appended is None else appended.index

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(1, 5))) == [1, 2, 3, 4]
    assert verify(bucket).ok
