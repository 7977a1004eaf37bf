"""An S3 bucket that a test fills with data exports, the way AWS does."""

import json
from pathlib import Path

import boto3
import polars as pl

from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from providers.aws import Aws, AwsSettings

FIXTURES = Path(__file__).parent.parent / "fixtures" / "aws"
FOCUS = (FIXTURES / "focus.csv").read_bytes()
CUR = (FIXTURES / "cur2.csv").read_bytes()
OCTOBER = Window.of_period("2026-10")
EXPORT = "billing/focus-hourly"


class Bucket:
    """An S3 bucket that a test fills like AWS does."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self._client = boto3.client("s3", endpoint_url=address)
        self._client.create_bucket(Bucket=name)

    def put(self, key: str, body: bytes) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.name, Key=key)


class Export:
    """Delivers an export into a bucket the way AWS does."""

    def __init__(self, bucket: Bucket, folder: str = "BILLING_PERIOD=2026-10") -> None:
        self.bucket = bucket
        self._folder = folder

    def deliver(self, files: dict[str, bytes], run: str = "run-1", folder: str = "") -> None:
        for name, body in files.items():
            self.bucket.put(f"{EXPORT}/data/{self.place(name, folder)}", body)
        self.manifest([self.place(name, folder) for name in files], run)

    def manifest(self, places: list[str], run: str) -> None:
        uris = [f"s3://{self.bucket.name}/{EXPORT}/data/{place}" for place in places]
        document = {"executionId": run, "dataFiles": uris, "columns": []}
        self.write_manifest(json.dumps(document).encode())

    def write_manifest(self, body: bytes) -> None:
        self.bucket.put(f"{EXPORT}/metadata/{self._folder}/focus-hourly-Manifest.json", body)

    def place(self, name: str, folder: str = "") -> str:
        return "/".join(part for part in (self._folder, folder, name) if part)

    def provider(self, profile: str | None = None) -> Aws:
        url = f"s3://{self.bucket.name}/{EXPORT}"
        return Aws("aws-main", AwsSettings(export=url, profile=profile), Path())


def focus_rows(provider: Aws, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = provider.charges(delivery, store.path)
    return pl.concat(canonical(bill.rows, bill.raw.name) for bill in bills).collect()
