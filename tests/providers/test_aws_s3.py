"""What AWS may refuse, and what is said about it."""

import gc
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from finops.errors import Terminal, Transient
from finops.raw import RawStore
from providers import http
from providers.aws import Aws, AwsSettings
from providers.aws_access import Access
from providers.aws_s3 import BucketExport
from providers.http import Pace
from tests.stubs.aws_export import OCTOBER, Export
from tests.stubs.scripted import Answer, Script


def test_missing_bucket(export: Export, store: RawStore) -> None:
    export.bucket.name = "no-such-bucket-here"
    with pytest.raises(Terminal, match="no such bucket"):
        export.provider().fetch(OCTOBER, store)


def test_no_credentials(export: Export, store: RawStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Terminal, match="no usable AWS credentials"):
        export.provider().fetch(OCTOBER, store)


def test_unknown_profile(export: Export, store: RawStore) -> None:
    with pytest.raises(Terminal, match=r"no usable AWS credentials .*nobody"):
        export.provider(profile="nobody").fetch(OCTOBER, store)


ASSUMED = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult><Credentials><AccessKeyId>ASIATEMPORARY</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2036-10-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>
</AssumeRoleResponse>"""
XML = {"Content-Type": "application/xml"}
EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.fixture
def role(
    address: str,
    credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Aws:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    arn = "arn:aws:iam::123456789012:role/finops-read"
    return Aws("aws-main", AwsSettings(export="s3://bill/exports/x", role_arn=arn), Path())


def test_role_is_assumed(role: Aws, script: Script, store: RawStore) -> None:
    script.on("/", Answer(ASSUMED, headers=XML), method="POST")
    script.on("/bill", Answer(EMPTY, headers=XML))
    with pytest.raises(Terminal, match="holds no metadata"):
        role.fetch(OCTOBER, store)
    listings = script.asked("/bill")
    assert listings
    for listing in listings:
        assert "Credential=ASIATEMPORARY/" in listing.headers["authorization"]


def test_role_that_may_not_be_assumed(role: Aws, script: Script, store: RawStore) -> None:
    refused = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    script.on("/", Answer(refused, 403, XML), method="POST")
    with pytest.raises(Terminal, match="grant sts:AssumeRole on arn:aws:iam::123456789012:role"):
        role.fetch(OCTOBER, store)


def refusal(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>refused</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "raises", "says"),
    [
        (403, "AccessDenied", Terminal, "grant s3:GetObject on bill/exports/focus-hourly/"),
        (403, "ExpiredToken", Terminal, "log in again"),
        (403, "InvalidAccessKeyId", Terminal, "does not accept the credentials"),
        (400, "AuthorizationHeaderMalformed", Terminal, "set the source's 'region'"),
        (400, "InvalidRequest", Terminal, "check the source's settings"),
        (503, "SlowDown", Transient, "SlowDown"),
        (400, "RequestLimitExceeded", Transient, "wait for the next run"),
        (500, "InternalError", Transient, "wait for the next run"),
    ],
)
def test_refusals(  # noqa: PLR0913, PLR0917 - fixtures
    status: int,
    code: str,
    raises: type[Exception],
    says: str,
    script: Script,
    address: str,
    credentials: None,
    store: RawStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None))
    script.on(".*", Answer(refusal(code), status, XML))
    settings = AwsSettings(export="s3://bill/exports/focus-hourly", region="us-east-1")
    with pytest.raises(raises) as caught:
        Aws("aws-main", settings, Path()).fetch(OCTOBER, store)
    assert says in str(caught.value)


def test_a_web_page_in_place_of_a_file_leaves_no_connection_open(
    script: Script,
    address: str,
    credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    script.on(".*", Answer(b"<html>" * 100_000, headers={"Content-Type": "text/html"}))
    bucket = BucketExport("s3://bill/exports/x", Access())
    with pytest.raises(Transient, match="text/html") as caught:
        bucket.read("file.csv")
    assert caught.traceback, "the error must live, as it holds on to the reply"
    assert urlsplit(address).port not in {each.getpeername()[1] for each in open_sockets()}


def open_sockets() -> list[socket.socket]:
    # By type: asking a dead weak reference for its class would raise.
    sockets = [each for each in gc.get_objects() if issubclass(type(each), socket.socket)]
    connected = []
    for each in sockets:
        with suppress(OSError):
            each.getpeername()
            connected.append(each)
    return connected


def test_s3_out_of_reach(
    credentials: None,
    store: RawStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None))
    with pytest.raises(Transient, match="check the network"):
        Aws("aws-main", AwsSettings(export="s3://b/exports/x"), Path()).fetch(OCTOBER, store)
