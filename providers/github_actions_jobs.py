"""GitHub Actions jobs: which runner worked for whom, from when to when.

Jobs hang below runs, and runs are found by the day they were created. GitHub lists 1,000 runs a
search at most, so a busy time is searched in halves.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from finops import gpus, money
from finops.errors import DataError
from providers import rows
from providers.github_actions_usage import PROVIDER, Item
from providers.http import Reply
from providers.paging import pages
from providers.recorded import Replies

PAGE_SIZE = 100
MOST_FOUND = 1000
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_GONE = frozenset({int(httpx.codes.MOVED_PERMANENTLY), int(httpx.codes.NOT_FOUND)})
_MOST_MOVES = 3
_REPOSITORY = re.compile(r"/repositories/\d+/actions/[\w/]+")
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
_SELF_HOSTED = "self-hosted"
_COMPLETED, _SKIPPED = "completed", "skipped"
_MICROSECONDS_PER_MINUTE = 60_000_000

_STANDARD = (
    (re.compile(r"ubuntu-slim"), "actions_linux_slim"),
    (re.compile(r"ubuntu-.*-arm"), "actions_linux_arm"),
    (re.compile(r"ubuntu-.*"), "actions_linux"),
    (re.compile(r"windows-.*-arm"), "actions_windows_arm"),
    (re.compile(r"windows-.*"), "actions_windows"),
    (re.compile(r"macos-.*-xlarge"), "macos_xl"),
    (re.compile(r"macos-.*-large"), "macos_l"),
    (re.compile(r"macos-.*"), "actions_macos"),
)
"""The SKU of GitHub's own labels; larger runners have labels that their owner made up."""


class Gone(Exception):
    """The repository or run is not there, or not for this token."""


@dataclass(frozen=True, slots=True)
class Machines:
    """What the settings say of runners: the SKU of a label, the resource of a runner's name."""

    skus: Mapping[str, str] = field(default_factory=dict)
    resource_id: re.Pattern[str] | None = None

    def sku(self, labels: Iterable[str]) -> str | None:
        """Tell the SKU that jobs with these labels are billed as; `None` when nobody says."""
        named = list(labels)
        for label in named:
            if label in self.skus:
                return self.skus[label]
        for label in named:
            for pattern, sku in _STANDARD:
                if pattern.fullmatch(label.lower()):
                    return sku
        return None

    def resource(self, runner: str | None) -> str | None:
        """Read the resource out of a self-hosted runner's name; `None` when it holds none."""
        found = self.resource_id.search(runner) if self.resource_id and runner else None
        if found is None:
            return None
        return found.group(1) if found.re.groups else found.group()


@dataclass(frozen=True, slots=True)
class Prices:
    """What a minute costs in a repository: by SKU, and on average where the SKU is not known."""

    by_sku: Mapping[str, Decimal]
    average: Decimal | None

    @classmethod
    def of(cls, billed: Iterable[Item]) -> "Prices":
        """Gather the list prices in one repository's usage items."""
        timed = [one for one in billed if one.is_runner_time and one.gross and one.quantity]
        by_sku = {one.sku: one.price for one in timed if one.price}
        minutes = money.exact_sum(one.quantity for one in timed if one.quantity)
        if not minutes:
            return cls(by_sku, None)
        gross = money.exact_sum(one.gross for one in timed if one.gross)
        with localcontext(money.CONTEXT):
            return cls(by_sku, gross / minutes)

    def of_minute(self, sku: str | None) -> Decimal | None:
        return self.by_sku.get(sku or "", self.average)


def job_pages(
    api: Replies, repository: str, start: datetime, end: datetime, earlier: timedelta
) -> Iterator[Reply]:
    """List the jobs of a repository that may have run from `start` to `end`, page by page.

    Runs count that were created up to `earlier` before: they may wait, or be run again. Raises
    `Gone` when there is no such repository for this token.
    """
    for run in _runs(api, f"/repos/{repository}/actions/runs", start - earlier, end - _SECOND):
        touched = _time(run.get("updated_at"))
        if touched is None or touched >= start:
            path = f"/repos/{repository}/actions/runs/{run['id']}/jobs"
            # Somebody may delete a run after it was listed.
            with suppress(Gone):
                yield from _paged(api, path, {"filter": "all"})


def jobs(
    document: Any,
    name: str,
    repository: str,
    seen_at: datetime | None,
    machines: Machines,
    prices: Prices,
) -> list[dict[str, object]]:
    """Make a workload of each job in a reply; raises `DataError` for any other shape.

    `seen_at` is when GitHub answered: a job in progress reached at least until then.
    """
    try:
        return [
            _workload(job, place, repository, seen_at, machines, prices)
            for place, job in enumerate(document["jobs"])
        ]
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is not a list of GitHub jobs as it is known "
            f"({type(error).__name__}: {error}); nothing of it was taken"
        ) from None


def _runs(api: Replies, path: str, first: datetime, last: datetime) -> Iterator[Mapping[str, Any]]:
    """List the runs created from `first` to `last`, both included, twice when there are none."""
    created = {"created": f"{first:%Y-%m-%dT%H:%M:%SZ}..{last:%Y-%m-%dT%H:%M:%SZ}"}
    replies = _paged(api, path, created)
    count, found = _listed(next(replies))
    if not count:
        replies = _paged(api, path, created)
        count, found = _listed(next(replies))
    if count > MOST_FOUND and last > first:
        middle = first + timedelta(seconds=(last - first) // _SECOND // 2)
        yield from _runs(api, path, first, middle)
        yield from _runs(api, path, middle + _SECOND, last)
        return
    yield from found
    for reply in replies:
        yield from _listed(reply)[1]


def _listed(reply: Reply) -> tuple[int, list[Mapping[str, Any]]]:
    """Read a page of runs: how many there are in all, and those on the page."""
    document = reply.json()
    try:
        runs = [run for run in document["workflow_runs"] if int(run["id"])]
        for run in runs:
            _time(run.get("updated_at"))
        return int(document["total_count"]), runs
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{reply.name}: is not a list of GitHub workflow runs as it is known "
            f"({type(error).__name__}: {error}); nothing was taken"
        ) from None


def _paged(api: Replies, path: str, parameters: Mapping[str, str]) -> Iterator[Reply]:
    def ask(page: str | None) -> tuple[Reply, str | None]:
        place = {} if page is None else {"page": page}
        reply = _got(api, path, {**parameters, "per_page": str(PAGE_SIZE), **place})
        return reply, _next_page(reply)

    return pages(ask, path)


def _got(api: Replies, path: str, parameters: Mapping[str, str]) -> Reply:
    """Ask, and follow a repository that was renamed: billing keeps calling it by its old name."""
    for _ in range(_MOST_MOVES):
        reply = api.get(path, parameters, _GONE)
        if reply.status not in _GONE:
            return reply
        moved = _REPOSITORY.search(reply.headers.get("location", ""))
        if reply.status == httpx.codes.NOT_FOUND or moved is None:
            break
        path = moved.group()
    raise Gone(path)


def _next_page(reply: Reply) -> str | None:
    link = _NEXT.search(reply.headers.get("link", ""))
    return parse_qs(urlsplit(link.group(1)).query)["page"][0] if link else None


def _workload(
    job: Mapping[str, Any],
    place: int,
    repository: str,
    seen_at: datetime | None,
    machines: Machines,
    prices: Prices,
) -> dict[str, object]:
    labels = [str(label) for label in job.get("labels") or ()]
    runner = rows.text(job.get("runner_name")) or None
    resource = machines.resource(runner)
    is_own = resource is not None or _SELF_HOSTED in labels
    sku = None if is_own else machines.sku(labels)
    gpu = gpus.known(PROVIDER).get(sku or "")
    started, ended = _span(job, seen_at)
    minutes = -(-((ended - started) // _MICROSECOND) // _MICROSECONDS_PER_MINUTE)
    return {
        "workload_id": f"{_id(job['run_id'])}/{_id(job.get('run_attempt') or 1)}/{_id(job['id'])}",
        "kind": "job",
        "name": rows.text(" / ".join(filter(None, (job.get("workflow_name"), job["name"])))),
        "started_at": started,
        "ended_at": ended,
        "is_running": job["status"] != _COMPLETED,
        "resource_id": resource if is_own else repository,
        "node": runner if is_own else None,
        "gpu_model": gpu.model if gpu else None,
        "gpu_count": Decimal(gpu.count) if gpu else None,
        "weight": None if is_own else _weight(minutes, prices.of_minute(sku)),
        "tags": _json(
            repository=repository,
            workflow=job.get("workflow_name"),
            runner_group=job.get("runner_group_name"),
        ),
        "attributes": _json(
            conclusion=job.get("conclusion"),
            labels=",".join(labels),
            minutes=str(minutes),
            runner=runner,
            sku=sku,
        ),
        "raw_row": place,
    }


def _span(job: Mapping[str, Any], seen_at: datetime | None) -> tuple[datetime, datetime]:
    """Tell from when to when a runner worked; what never had a runner took no time."""
    started = _time(job.get("started_at")) or _time(job["created_at"])
    if started is None:
        raise ValueError("a job without a time")
    if not job.get("runner_name") or job.get("conclusion") == _SKIPPED:
        return started, started
    ended = _time(job.get("completed_at")) if job["status"] == _COMPLETED else seen_at
    return started, max(started, ended or started)


def _weight(minutes: int, price: Decimal | None) -> Decimal | None:
    """Give what the job would cost by the list: minutes are rounded up, job by job."""
    if price is None:
        return None
    with localcontext(money.CONTEXT):
        return (price * minutes).quantize(money.QUANTUM)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _id(value: Any) -> str:
    return str(int(value))


def _json(**given: str | None) -> str:
    known = {key: value for key, value in given.items() if value}
    return rows.text(json.dumps(known, sort_keys=True, ensure_ascii=False)) or ""
