"""S3's replies about one data export: the listing, the month's manifest and its one file."""

import json
from collections.abc import Sequence
from datetime import date
from urllib.parse import unquote

from finops.errors import DataError
from finops.partition import Window
from tests.stubs.aws_export import FOCUS
from tests.stubs.rig import Answers, Endpoint, Rig
from tests.stubs.scripted import Answer

XML = {"Content-Type": "application/xml"}
LIST: Endpoint = ("GET", "/bill")
MANIFEST: Endpoint = (
    "GET",
    "/bill/exports/focus/metadata/BILLING_PERIOD%3D2026-10/focus-Manifest.json",
)
FILE: Endpoint = ("GET", "/bill/exports/focus/data/BILLING_PERIOD%3D2026-10/focus-00001.csv")
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_STORED = {"ETag": '"e1"', "Last-Modified": "Mon, 02 Nov 2026 04:05:00 GMT"}
_HEADER, *_ROWS = FOCUS.splitlines(keepends=True)


def listing(months: Sequence[str], token: str = "") -> Answer:
    """Answer a page of the metadata folders, with the token of the next page."""
    folders = "".join(
        f"<CommonPrefixes><Prefix>exports/focus/metadata/BILLING_PERIOD={month}/</Prefix>"
        f"</CommonPrefixes>"
        for month in months
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    is_cut = "true" if token else "false"
    body = (
        f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>bill</Name><IsTruncated>{is_cut}</IsTruncated>{more}{folders}</ListBucketResult>"
    )
    return Answer(body.encode(), headers=XML)


def stored(body: bytes, kind: str) -> tuple[Answer]:
    """Answer an object."""
    return (Answer(body, headers={**_STORED, "Content-Type": kind}),)


def bill(*rows: bytes, header: bytes = _HEADER) -> tuple[Answer]:
    """Answer the export's file."""
    return stored(b"".join((header, *rows)), "text/csv")


def _manifest(*files: str) -> tuple[Answer]:
    document = {"executionId": "run-1", "dataFiles": list(files), "columns": []}
    return stored(json.dumps(document).encode(), "application/json")


def _with_tpu() -> Answers:
    header = _HEADER.rstrip(b"\r\n") + b",x_Tpu\n"
    return {FILE: bill(_ROWS[0].rstrip(b"\r\n") + b",1\n", header=header)}


RIG = Rig(
    provider="aws",
    settings=lambda _: {"export": "s3://bill/exports/focus"},
    environment={
        "AWS_ENDPOINT_URL_S3": "{address}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    },
    secret=SECRET,
    window=Window(date(2026, 10, 1), date(2026, 10, 8)),
    good={
        LIST: (listing(["2026-10"]),),
        MANIFEST: _manifest(f"s3:/{unquote(FILE[1])}"),
        FILE: bill(_ROWS[0]),
    },
    rows=1,
    empty={LIST: (listing(["2026-09"]),)},
    late={FILE: bill(*_ROWS[:2])},
    late_rows=2,
    unknown_column=_with_tpu(),
    renamed={FILE: bill(_ROWS[0].replace(b"p5.48xlarge", b"p9.48xlarge"))},
    pages={LIST: (listing(["2026-09"], "more"), listing(["2026-10"]))},
    survives={MANIFEST: frozenset({404}), FILE: frozenset({404}), LIST: frozenset({404})},
    cut_raises={FILE: DataError},
    cut_says={LIST: "exports/focus/metadata", FILE: "focus-00001.csv"},
)
