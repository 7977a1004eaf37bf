"""S3 that refuses: a real IAM policy takes one permission away, and nothing changes."""

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import moto.settings
import pytest
from moto.server import ThreadedMotoServer

from finops.warehouse import s3
from tests.cli.test_run import SEPTEMBER, billed, covered
from tests.conftest import BILL, Finops, fingerprint

EVERY = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")


@dataclass
class Account:
    """An AWS account with one user, who may do what the last `grant` said."""

    address: str
    bucket: str
    monkeypatch: pytest.MonkeyPatch

    def client(self, service: str) -> Any:
        """Speak as the account's owner, whom nothing is forbidden."""
        return boto3.client(
            service,
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id="owner",
            aws_secret_access_key="owner",
        )

    def grant(self, *actions: str) -> None:
        """Become a user who may do `actions` and nothing else."""
        self.monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
        iam = self.client("iam")
        name = f"finops-{len(iam.list_users()['Users'])}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers who we were,
        s3._PROBED.clear()  # and we what that user might do
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        self.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        self.monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)

    def objects(self) -> dict[str, str]:
        """Give the digest of every object, as the owner sees them."""
        self.monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", ())}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(s3, "_PROBED", set())
    made = Account(address, f"acme-{uuid.uuid4().hex[:8]}", monkeypatch)
    made.client("s3").create_bucket(Bucket=made.bucket)
    yield made
    server.stop()


def pointed(acme: Path, old: str, new: str) -> None:
    settings = acme / "finops.toml"
    text = settings.read_text(encoding="utf-8")
    assert old in text
    settings.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("missing", ["s3:GetObject", "s3:ListBucket"])
def test_a_bill_that_may_not_be_read_is_refused(
    acme: Path, finops: Finops, account: Account, missing: str
) -> None:
    assert finops("run", *SEPTEMBER).code == 0
    account.client("s3").put_object(
        Bucket=account.bucket, Key="bills/b.csv", Body=BILL.read_bytes()
    )
    pointed(acme, "bills/september.csv", f"s3://{account.bucket}/bills/")
    before = fingerprint(acme)
    account.grant(*(action for action in EVERY if action != missing))
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert f"s3://{account.bucket}/bills/: " in ran.err
    assert f"grant {missing} on {account.bucket}" in ran.err
    assert fingerprint(acme) == before
    account.grant("s3:ListBucket", "s3:GetObject")
    assert finops("run", *SEPTEMBER).code == 0
    assert covered(finops)["billed"] == billed()


@pytest.mark.parametrize(
    ("missing", "is_first"),
    [
        ("s3:PutObject", True),
        *(
            pytest.param(missing, is_first, marks=pytest.mark.slow)
            for missing in EVERY
            for is_first in (True, False)
            if (missing, is_first) != ("s3:PutObject", True)
        ),
    ],
)
def test_a_warehouse_that_may_not_be_used_stays_as_it_was(
    acme: Path, finops: Finops, account: Account, missing: str, *, is_first: bool
) -> None:
    pointed(acme, "./warehouse", f"s3://{account.bucket}/acme")
    if not is_first:
        account.grant(*EVERY)
        assert finops("run", *SEPTEMBER).code == 0
        text = BILL.read_text(encoding="utf-8").replace("Elastic", "Elastic 2")
        (acme / "bills" / "september.csv").write_text(text, encoding="utf-8")
    before = account.objects()
    account.grant(*(action for action in EVERY if action != missing))
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert "access denied; grant s3:GetObject, s3:PutObject, s3:DeleteObject" in ran.err
    found = account.objects()
    if missing == "s3:DeleteObject":  # then the probe that finds it out stays
        found = {key: etag for key, etag in found.items() if "/.probe-" not in key}
    assert found == before
    account.grant(*EVERY)
    assert finops("run", *SEPTEMBER).code == 0
    assert covered(finops)["billed"] == billed()
    assert finops("ledger", "verify").code == 0
