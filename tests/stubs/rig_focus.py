"""S3's replies about a folder of FOCUS files: the listing, and the one file."""

from collections.abc import Sequence
from datetime import date

from finops.errors import DataError
from finops.partition import Window
from tests.finops.company import csv
from tests.stubs.rig import Answers, Endpoint, Rig
from tests.stubs.rig_aws import RIG as AWS
from tests.stubs.rig_aws import XML, stored
from tests.stubs.scripted import Answer

LIST: Endpoint = ("GET", "/colo")
FILE: Endpoint = ("GET", "/colo/bills/october.csv")


def listing(keys: Sequence[str], token: str = "") -> Answer:
    """Answer a page of keys, with the token of the next page."""
    entries = "".join(f"<Contents><Key>bills/{key}</Key></Contents>" for key in keys)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    is_cut = "true" if token else "false"
    body = (
        f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>colo</Name><IsTruncated>{is_cut}</IsTruncated>{more}{entries}</ListBucketResult>"
    )
    return Answer(body.encode(), headers=XML)


def bill(text: str) -> Answers:
    """Answer the file, of which `text` gives some columns."""
    return {FILE: stored(csv(text), "text/csv")}


_GOOD = bill("BilledCost,SkuId\n5,shelf")

RIG = Rig(
    provider="focus",
    settings=lambda _: {"path": "s3://colo/bills/"},
    environment=AWS.environment,
    secret=AWS.secret,
    window=Window(date(2026, 10, 1), date(2026, 10, 8)),
    good={LIST: (listing(["october.csv"]),), **_GOOD},
    rows=1,
    empty={FILE: stored(csv("BilledCost\n1").splitlines(keepends=True)[0], "text/csv")},
    refuses_empty=True,
    late=bill("BilledCost,SkuId\n5,shelf\n7,rack"),
    late_rows=2,
    unknown_column=bill("BilledCost,SkuId,x_Tpu\n5,shelf,1"),
    renamed=bill("BilledCost,SkuId\n5,unheard-of"),
    pages={LIST: (listing(["readme.txt"], "more"), listing(["october.csv"]))},
    cut_raises={FILE: DataError},
    cut_says={LIST: "s3://colo/bills/", FILE: "october.csv"},
)
