"""Blob storage's replies about one export: the listing, a run's manifest and its one file."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from xml.sax.saxutils import escape

from finops.partition import Window
from tests.stubs.azure_export import EXPORT, FOCUS, ONE_ROW, Delivered
from tests.stubs.rig import Answers, Endpoint, Rig
from tests.stubs.scripted import Answer

CONTAINER = "/acme/costs"
FOLDER = f"billing/{EXPORT}"
XML = {"Content-Type": "application/xml"}
SECRET = "c2lnbmF0dXJlIHRoYXQgbm9ib2R5IG1heSBzZWU"
PART = "part_0_0001.csv"

_RUN = Delivered({PART: ONE_ROW})
LIST: Endpoint = ("GET", CONTAINER)
MANIFEST: Endpoint = ("GET", f"{CONTAINER}/{FOLDER}/{_RUN.place}/manifest.json")
FILE: Endpoint = ("GET", f"{CONTAINER}/{FOLDER}/{_RUN.place}/{PART}")


def blob(body: bytes, **more: Any) -> Answer:
    """Answer a blob, as a range of all of it."""
    last = max(len(body) - 1, 0)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Range": f"bytes 0-{last}/{len(body)}",
        "ETag": '"0x8DE"',
        "Last-Modified": "Mon, 02 Nov 2026 04:05:00 GMT",
    }
    return Answer(body, headers=headers, **more)


def listing(names: Sequence[str], marker: str = "") -> Answer:
    """Answer a page of the listing, with the marker of the next page."""
    blobs = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties/></Blob>"
        for name in (f"{FOLDER}/{name}" for name in names)
    )
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="costs">'
        f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    )
    return Answer(body.encode(), headers=XML)


def answers(run: Delivered) -> Answers:
    """Answer the files of a run that has one part."""
    files = run.files()
    return {
        MANIFEST: (blob(files[f"{run.place}/manifest.json"]),),
        FILE: (blob(files[f"{run.place}/{PART}"]),),
    }


def _with(old: bytes, new: bytes) -> Answers:
    return answers(Delivered({PART: ONE_ROW.replace(old, new)}))


_NAMES = sorted(_RUN.files())
_UNKNOWN = ONE_ROW.replace(b"x_SkuMeterSubcategory\n", b"x_SkuMeterSubcategory,x_Tpu\n", 1)

RIG = Rig(
    provider="azure",
    settings=lambda address: {
        "export": f"{address}{CONTAINER}/{FOLDER}",
        "credential_env": "AZURE_COSTS_SAS",
    },
    environment={"AZURE_COSTS_SAS": f"sv=2026-02-06&sr=c&sp=rl&sig={SECRET}"},
    secret=SECRET,
    window=Window(date(2026, 10, 1), date(2026, 10, 8)),
    good={LIST: (listing(_NAMES),), **answers(_RUN)},
    rows=1,
    empty={LIST: (listing([f"20260801-20260831/{_RUN.id}/manifest.json"]),)},
    late=answers(Delivered({PART: b"".join(FOCUS.splitlines(keepends=True)[:3])})),
    late_rows=2,
    unknown_column=answers(Delivered({PART: _UNKNOWN.removesuffix(b"\n") + b",1\n"})),
    renamed=_with(b"ND96isr", b"ND1"),
    pages={LIST: (listing(_NAMES[:1], "more"), listing(_NAMES[1:]))},
    survives={MANIFEST: frozenset({404}), FILE: frozenset({404})},  # it lists them again then
    cut_says=dict.fromkeys((LIST, MANIFEST, FILE), "no complete document"),
)
