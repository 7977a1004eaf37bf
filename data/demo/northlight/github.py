"""GitHub's replies, recorded: what the organization's repositories and seats cost, and its jobs.

Minutes on the bill are those of the jobs, each rounded up. Of plain Linux minutes the first ones
of a month are included.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from northlight import month
from northlight.line import Cells, Line
from northlight.work import Documents, Work

SOURCE = "github"
_ORGANIZATION = "northlight"
_MINUTE = timedelta(minutes=1)
_SEATS, _SEAT_PRICE = 46, Decimal(19)
_INCLUDED_UNTIL = 20
_QUANTUM = Decimal("1e-6")
_HOURS_QUANTUM = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class _Runner:
    label: str
    sku: str
    price: Decimal
    gpu_model: str | None


_LINUX = _Runner("ubuntu-latest", "Actions Linux", Decimal("0.006"), None)
_T4 = _Runner("gpu-t4", "Actions Linux 4-core GPU", Decimal("0.052"), "T4")


@dataclass(frozen=True, slots=True)
class _Repository:
    name: str
    owner: str
    weekdays: tuple[int, ...]
    jobs: tuple[tuple[str, _Runner, int], ...]


_REPOSITORIES = (
    _Repository(
        "northlight/perception-models",
        "perception",
        (0, 2, 4),
        (("lint", _LINUX, 4), ("test", _LINUX, 38), ("gpu-test", _T4, 96)),
    ),
    _Repository(
        "northlight/sim-engine",
        "simulation",
        (1, 3),
        (("build", _LINUX, 52), ("render-test", _T4, 41)),
    ),
)


@dataclass(frozen=True, slots=True)
class _Job:
    """A job, and the run that it belongs to; one run a repository and day."""

    id: int
    run: int
    repository: _Repository
    name: str
    runner: _Runner
    start: datetime
    took: timedelta

    @property
    def minutes(self) -> int:
        return -(-self.took // _MINUTE)


def lines() -> list[Line]:
    """List the usage items, day by day."""
    jobs = _jobs()
    return [line for day in month.days() for line in _of_day(day, jobs)]


def work() -> list[Work]:
    """List the jobs."""
    return [
        Work(SOURCE, "job", f"{job.run}/1/{job.id}", job.runner.price * job.minutes)
        for job in _jobs()
    ]


def documents(lines: list[Line]) -> Documents:
    """Write the usage report, and the runs and jobs of each repository."""
    items = ",\n".join(json.dumps(line.cells) for line in lines)
    files = {
        f"organizations/{_ORGANIZATION}/settings/billing/usage.json": (
            f'{{"usageItems": [\n{items}\n]}}\n'
        )
    }
    runs: dict[int, list[_Job]] = {}
    for job in _jobs():
        runs.setdefault(job.run, []).append(job)
    for repository in _REPOSITORIES:
        mine = {run: jobs for run, jobs in runs.items() if jobs[0].repository is repository}
        place = f"repos/{repository.name}/actions/runs"
        files[f"{place}.json"] = _listed(
            "workflow_runs", [_run(run, jobs) for run, jobs in mine.items()]
        )
        for run, jobs in mine.items():
            files[f"{place}/{run}/jobs.json"] = _listed("jobs", [_told(job) for job in jobs])
    return files


def _jobs() -> list[_Job]:
    found: list[_Job] = []
    for day in month.days():
        for repository in _REPOSITORIES:
            if day.weekday() in repository.weekdays:
                run = 11_400_000_000 + 1000 * day.day + len(repository.name)
                found += _of_run(run, repository, day)
    return found


def _of_run(run: int, repository: _Repository, day: datetime) -> Iterator[_Job]:
    """Run the jobs one after the other, from nine o'clock on."""
    at = day + timedelta(hours=9)
    for place, (name, runner, minutes) in enumerate(repository.jobs):
        about = (repository.name, name, day.day)
        took = timedelta(seconds=int(month.around(Decimal(minutes), *about, percent=18) * 60))
        yield _Job(run * 10 + place, run, repository, name, runner, at, took)
        at += took + timedelta(seconds=7)


def _of_day(day: datetime, jobs: list[_Job]) -> Iterator[Line]:
    for repository in _REPOSITORIES:
        for runner in (_LINUX, _T4):
            minutes = sum(
                job.minutes
                for job in jobs
                if job.repository is repository
                and job.runner is runner
                and day <= job.start < day + month.DAY
            )
            if minutes:
                yield _minutes(day, repository, runner, minutes)
    yield _copilot(day)


def _minutes(day: datetime, repository: _Repository, runner: _Runner, minutes: int) -> Line:
    gross = runner.price * minutes
    is_included = runner is _LINUX and day.day <= _INCLUDED_UNTIL
    net = Decimal(0) if is_included else gross
    cells: Cells = {
        "product": "Actions",
        "sku": runner.sku,
        "quantity": minutes,
        "unitType": "Minutes",
        "repositoryName": repository.name,
    }
    hours = (Decimal(minutes) / 60).quantize(_HOURS_QUANTUM)
    gpu_hours = hours if runner.gpu_model else Decimal(0)
    return _line(day, cells, (runner.price, gross, net), repository.owner, runner.gpu_model, gpu_hours)


def _copilot(day: datetime) -> Line:
    seats = (Decimal(_SEATS) / len(month.days())).quantize(_QUANTUM)
    gross = (seats * _SEAT_PRICE).quantize(_QUANTUM)
    cells: Cells = {
        "product": "Copilot",
        "sku": "Copilot Business",
        "quantity": seats,
        "unitType": "UserMonths",
    }
    return _line(day, cells, (_SEAT_PRICE, gross, gross), "split:overhead")


def _line(
    day: datetime,
    cells: Cells,
    amounts: tuple[Decimal, Decimal, Decimal],
    owner: str,
    gpu_model: str | None = None,
    gpu_hours: Decimal = Decimal(0),
) -> Line:
    price, gross, net = amounts
    item = {
        "date": f"{day:%Y-%m-%dT%H:%M:%SZ}",
        **cells,
        "pricePerUnit": price,
        "grossAmount": gross,
        "discountAmount": gross - net,
        "netAmount": net,
        "organizationName": _ORGANIZATION,
    }
    told = {key: float(cell) if isinstance(cell, Decimal) else cell for key, cell in item.items()}
    return Line(told, owner, "GitHub", "USD", net, net, gpu_model, gpu_hours)


def _run(run: int, jobs: list[_Job]) -> dict[str, object]:
    return {
        "id": run,
        "name": "ci",
        "run_attempt": 1,
        "status": "completed",
        "created_at": _at(jobs[0].start),
        "updated_at": _at(jobs[-1].start + jobs[-1].took),
    }


def _told(job: _Job) -> dict[str, object]:
    return {
        "id": job.id,
        "run_id": job.run,
        "run_attempt": 1,
        "workflow_name": "ci",
        "name": job.name,
        "status": "completed",
        "conclusion": "success",
        "created_at": _at(job.start),
        "started_at": _at(job.start),
        "completed_at": _at(job.start + job.took),
        "labels": [job.runner.label],
        "runner_name": f"{job.runner.label}-{job.id % 97}",
        "runner_group_name": "Default",
    }


def _listed(name: str, rows: list[dict[str, object]]) -> str:
    inside = ",\n".join(json.dumps(row) for row in rows)
    return f'{{"total_count": {len(rows)}, "{name}": [\n{inside}\n]}}\n'


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
