"""Cost Management exports as Azure writes them: files of a run, and the manifest that names them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from providers.azure import Azure

FIXTURES = Path(__file__).parent.parent / "fixtures" / "azure"
FOCUS = (FIXTURES / "focus.csv").read_bytes()
ROWS = FOCUS.count(b"\n") - 1
ONE_ROW = b"".join(FOCUS.splitlines(keepends=True)[:2])
OCTOBER = Window.of_period("2026-10")
EXPORT = "daily-focus"


@dataclass(frozen=True, slots=True)
class Delivered:
    """One run of the export: `files()` are its blobs, by their path below the export's folder.

    `made` is when it was asked for; `folder` the folder of that time, which some exports lack.
    """

    parts: Mapping[str, bytes]
    id: str = "11111111-aaaa"
    days: str = "20261001-20261031"
    made: str | None = "2026-11-02T04:00:05.0084806Z"
    folder: str = "202611020400"
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return "/".join(part for part in (self.days, self.folder, self.id) if part)

    def files(self) -> dict[str, bytes]:
        parts = {f"{self.place}/{name}": body for name, body in self.parts.items()}
        return {**parts, f"{self.place}/manifest.json": json.dumps(self._document()).encode()}

    def _document(self) -> dict[str, Any]:
        first, last = (date.fromisoformat(day).isoformat() for day in self.days.split("-"))
        blobs = [
            {"blobName": f"billing/{EXPORT}/{self.place}/{name}", "byteCount": len(body)}
            for name, body in self.parts.items()
        ]
        about = {
            "executionType": "Scheduled",
            "runId": self.id,
            "startDate": f"{first}T00:00:00",
            "endDate": f"{last}T00:00:00",
        }
        return {
            "manifestVersion": "2024-04-01",
            "exportConfig": {
                "exportName": EXPORT,
                "type": "FocusCost",
                "dataVersion": "1.2-preview",
            },
            "deliveryConfig": {"partitionData": True, "fileFormat": "Csv"},
            "runInfo": about | ({"submittedTime": self.made} if self.made else {}),
            "blobCount": len(blobs),
            "dataRowCount": sum(max(body.count(b"\n") - 1, 0) for body in self.parts.values()),
            "blobs": blobs,
            **self.manifest,
        }


def write(root: Path, *runs: Delivered) -> Path:
    """Lay runs out in a folder, as a copied export."""
    for run in runs:
        for path, body in run.files().items():
            file = root / EXPORT / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
    return root / EXPORT


def focus_rows(provider: Azure, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = provider.charges(delivery, store.path)
    return pl.concat(canonical(bill.rows, bill.raw.name) for bill in bills).collect()
