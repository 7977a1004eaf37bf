"""GitHub's replies: one repository's usage of a day, its summary, a run and the run's jobs."""

import json
from datetime import date
from typing import Any

from finops.partition import Window
from tests.stubs.rig import Endpoint, Rig
from tests.stubs.scripted import JSON, Answer

USAGE: Endpoint = ("GET", "/organizations/acme/settings/billing/usage")
SUMMARY: Endpoint = ("GET", "/organizations/acme/settings/billing/usage/summary")
RUNS: Endpoint = ("GET", "/repos/acme/train/actions/runs")
JOBS: Endpoint = ("GET", "/repos/acme/train/actions/runs/501/jobs")


def _item(sku: str, net: float, **more: Any) -> dict[str, Any]:
    return {
        "date": "2026-10-01",
        "product": "Actions",
        "sku": sku,
        "quantity": 100,
        "unitType": "minutes",
        "pricePerUnit": 0.006,
        "grossAmount": 0.6,
        "discountAmount": 0,
        "netAmount": net,
        "organizationName": "acme",
        "repositoryName": "acme/train",
        **more,
    }


def _usage(*items: dict[str, Any]) -> tuple[Answer]:
    return (Answer(json.dumps({"usageItems": items}).encode()),)


def _runs(**more: Any) -> tuple[Answer]:
    run = {"id": 501, "created_at": "2026-10-01T08:00:00Z", "updated_at": "2026-10-01T09:00:00Z"}
    document = {"total_count": 1, "workflow_runs": [run | more]}
    return (Answer(json.dumps(document).encode()),)


def _job(number: int, label: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "run_id": 501,
        "run_attempt": 1,
        "workflow_name": "train",
        "name": "fit",
        "status": "completed",
        "conclusion": "success",
        "created_at": "2026-10-01T08:00:00Z",
        "started_at": "2026-10-01T08:00:00Z",
        "completed_at": "2026-10-01T08:30:00Z",
        "labels": [label],
        "runner_name": "GitHub Actions 1",
        "runner_group_name": "GitHub Actions",
        **more,
    }


def _jobs(*jobs: dict[str, Any], following: bool = False) -> Answer:
    link = '<https://api.github.com/x?filter=all&page=2>; rel="next"'
    headers = {**JSON, "Link": link} if following else JSON
    body = json.dumps({"total_count": len(jobs), "jobs": jobs}).encode()
    return Answer(body, headers=headers)


FIRST, SECOND = _job(1, "ubuntu-latest"), _job(2, "ubuntu-latest")

RIG = Rig(
    provider="github_actions",
    settings=lambda address: {"organization": "acme", "api_url": address},
    environment={"GITHUB_TOKEN": "github_pat_SECRET123"},
    secret="github_pat_SECRET123",
    window=Window(date(2026, 10, 1), date(2026, 10, 2)),
    good={
        USAGE: _usage(_item("Actions Linux", 0.6)),
        SUMMARY: _usage({"product": "actions", "sku": "actions_linux", "netAmount": 0.6}),
        RUNS: _runs(),
        JOBS: (_jobs(FIRST, SECOND),),
    },
    rows=3,
    empty={USAGE: _usage()},
    late={USAGE: _usage(_item("Actions Linux", 0.6), _item("Actions Windows", 0.4))},
    late_rows=4,
    unknown_column={
        USAGE: _usage(_item("Actions Linux", 0.6, carbonGrams=3)),
        RUNS: _runs(color="blue"),
        JOBS: (_jobs(FIRST | {"color": "blue"}, SECOND),),
    },
    renamed={
        USAGE: _usage(_item("Actions Abacus", 0.6)),
        JOBS: (_jobs(_job(1, "abacus-latest"), SECOND),),
    },
    pages={JOBS: (_jobs(FIRST, following=True), _jobs(SECOND))},
    survives={
        SUMMARY: frozenset({403, 404}),  # a preview that not every account has
        RUNS: frozenset({404}),  # the repository was deleted: its cost is told, not split
        JOBS: frozenset({404}),  # the run was deleted since it was listed
    },
)
