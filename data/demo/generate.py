"""Write the demo company's bills, who did what, and README: `python data/demo/generate.py [folder]`.

Everything but `finops.toml` and `organization.toml` comes from here. The same files come out on
every run and every machine: irregularities are hashes of one seed, and no clock is read.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from northlight import (
    aws_cur,
    aws_focus,
    azure,
    coreweave,
    files,
    gcp,
    github,
    harbor,
    jenkins,
    lambda_labs,
    orion,
    reported,
    runpod,
    story,
)
from northlight.focus_columns import FOCUS_1_2
from northlight.line import Cells, Line
from northlight.month import PERIOD

_HOME = Path(__file__).parent
_PARTITION = f"BILLING_PERIOD={PERIOD}"
_AWS_COLUMNS = (*FOCUS_1_2, "x_Operation", "x_ServiceCode")
# Basic ISO 8601: a colon is no character for a folder on every system.
_FIRST_RUN = "20261102T041022Z-6c9f2f9e-1b5d-4a37-9d3c-5a1e7b60c2f1"
_SECOND_RUN = "20261103T040957Z-e2d84b17-07c6-4f4c-8a55-93b1f6d0a7c8"
_RESEARCH_RUN = "9f0a6d3b-4c1e-4be2-a7d5-28c0e1f5b964"
_BUCKET = "s3://northlight-billing/exports"


def main(folder: Path) -> None:
    """Write all generated files below `folder`."""
    for generated in ("bills", "restated", "work"):
        shutil.rmtree(folder / generated, ignore_errors=True)
    bills = {
        "aws-main": aws_focus.lines(),
        "aws-research": aws_cur.lines(),
        "azure": azure.lines(),
        "gcp": gcp.lines(),
        "runpod": runpod.lines(),
        "coreweave": coreweave.lines(),
        "lambda": lambda_labs.lines(),
        "github": github.lines(),
        "harbor": harbor.lines(),
    }
    work = [*orion.work(), *jenkins.work(), *github.work(), *reported.work()]
    restated = aws_focus.lines(is_restated=True)
    _write_bills(folder / "bills", bills)
    for source in (orion, jenkins, reported):
        _write_documents(folder / "work" / source.SOURCE, source.documents())
    _write_aws(folder / "restated" / "bills", restated, _SECOND_RUN)
    template = (_HOME / "northlight" / "README.template.md").read_text(encoding="utf-8")
    organization = (_HOME / "organization.toml").read_text(encoding="utf-8")
    files.text(folder / "README.md", story.told(template, organization, bills, restated, work))


def _write_bills(folder: Path, bills: dict[str, list[Line]]) -> None:
    _write_aws(folder, bills["aws-main"], _FIRST_RUN)
    _write_research(folder, bills["aws-research"])
    _write_azure(folder, bills["azure"])
    files.parquet(
        folder / "gcp" / "gcp_billing_export_resource_v1_01A2B3_C4D5E6_F70819-000.parquet",
        gcp.SCHEMA,
        _cells(bills["gcp"]),
    )
    files.text(folder / "runpod/v2/billing/pods.json", runpod.billing(bills["runpod"]))
    files.text(folder / "runpod/v2/pods.json", runpod.pods())
    files.text(
        folder / "coreweave/v1/billing/focus.location.json", coreweave.reply(bills["coreweave"])
    )
    files.text(folder / "coreweave/rate-card.csv", coreweave.RATE_CARD)
    _write_documents(folder / "lambda", lambda_labs.replies())
    _write_documents(folder / "github", github.documents(bills["github"]))
    content = files.csv_text(harbor.COLUMNS, _cells(bills["harbor"]), "%Y-%m-%dT%H:%M:%SZ")
    files.text(folder / "harbor" / "harbor-2026-10.csv", content)


def _write_documents(folder: Path, documents: Mapping[str, str]) -> None:
    for name, content in documents.items():
        files.text(folder / name, content)


def _write_aws(folder: Path, lines: list[Line], run: str) -> None:
    """Write one run of the FOCUS export: the file, the run's manifest, and the month's."""
    name = "northlight-focus"
    export, place = folder / "aws" / name, f"data/{_PARTITION}/{run}/{name}-00001.snappy.parquet"
    files.aws_parquet(export / place, _AWS_COLUMNS, _cells(lines))
    manifest = {
        "executionId": run.partition("-")[2],
        "exportName": name,
        "dataFiles": [f"{_BUCKET}/{name}/{place}"],
        "columns": [{"name": column} for column in _AWS_COLUMNS],
    }
    metadata = export / "metadata" / _PARTITION
    for at in (metadata, metadata / run):
        files.pretty_json(at / f"{name}-Manifest.json", manifest)


def _write_research(folder: Path, lines: list[Line]) -> None:
    name = "research-cur"
    export, place = folder / "aws-research" / name, f"data/{_PARTITION}/{name}-00001.csv.gz"
    content = files.csv_text(aws_cur.COLUMNS, _cells(lines), "%Y-%m-%dT%H:%M:%S.000Z")
    files.gzipped(export / place, content)
    manifest = {
        "executionId": _RESEARCH_RUN,
        "exportName": name,
        "dataFiles": [f"{_BUCKET}/{name}/{place}"],
        "columns": [{"name": column} for column in aws_cur.COLUMNS],
    }
    files.pretty_json(export / "metadata" / _PARTITION / f"{name}-Manifest.json", manifest)


def _write_azure(folder: Path, lines: list[Line]) -> None:
    """Write one run of an Azure export: the part, and the manifest beside it."""
    run = "3e7b1a52-8f40-4d0c-b6a9-c1d25f7e8043"
    root = "fleet-focus-cost/20261001-20261031/202611020400"
    part = f"{root}/{run}/part_0_0001.csv.gz"
    columns = (*FOCUS_1_2, *azure.AZURE_COLUMNS)
    content = files.csv_text(columns, _cells(lines), "%Y-%m-%dT%H:%MZ")
    files.gzipped(folder / "azure" / part, content)
    manifest = {
        "exportConfig": {
            "exportName": "fleet-focus-cost",
            "dataVersion": "1.2-preview",
            "type": "FocusCost",
            "timeFrame": "Custom",
            "granularity": "Daily",
        },
        "deliveryConfig": {"dataOverwriteBehavior": "CreateNewReport", "fileFormat": "Csv"},
        "runInfo": {"runId": run, "startDate": "2026-10-01", "endDate": "2026-10-31"},
        "blobCount": 1,
        "dataRowCount": len(lines),
        "blobs": [{"blobName": part}],
    }
    files.pretty_json(folder / "azure" / root / run / "manifest.json", manifest)


def _cells(lines: list[Line]) -> list[Cells]:
    return [line.cells for line in lines]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _HOME)
