"""GitHub Actions: billing usage as charges, and the jobs that share each repository's cost.

Billing tells one amount a day, repository and SKU, but no workflow and no runner; jobs tell who ran
when, but no cost. Each day is asked for by itself: what the reply for a day says of other days is
not this day's business, and a folder of saved replies may hold a whole month in one file.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import Field, field_validator, model_validator

from finops import credentials, workloads
from finops.errors import DataError, Issue, Severity, Transient
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.reconciliation import Stated
from finops.workloads import Told
from providers import github_actions_jobs, github_actions_usage, rows
from providers.base import Address, Bill, Probe, Settings
from providers.github_actions_jobs import Gone, Machines, Prices
from providers.github_actions_usage import PROVIDER, Account, Item
from providers.http import Api, Reply, bearer, parse_json
from providers.recorded import Recorded, Replies

_BILLING = (
    "give the token the organization permission 'Administration' (read) and let an owner of the "
    "organization make it; for an enterprise, a billing manager's classic token"
)
_ADVICE = {
    401: "the token is not valid or has expired; make a new one",
    403: f"{_BILLING}; for jobs, the repository permission 'Actions' (read)",
    404: f"correct 'organization', 'enterprise' or 'api_url', or {_BILLING}",
}
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_REFUSED = frozenset({403, 404})
_USAGE, _JOBS = "usage", "jobs"
# Amounts are rounded for each item, and again for each line of the summary.
_TOTAL_TOLERANCE = Decimal("0.01")


class GitHubActionsSettings(Settings):
    """`[sources.NAME]` of a GitHub organization or enterprise: name exactly one of them.

    `products` restricts the charges (`actions`, `packages`, `copilot` …); none means all.
    `repositories` are asked for jobs beside those with billed minutes. `runner_skus` says what
    labels of larger runners are billed as; `resource_id_pattern` reads the ResourceId of a
    self-hosted runner's machine out of its name. `earlier_days`: how long before the window a run
    may have been created. `recorded` is a folder of saved replies: neither network nor token.
    """

    organization: str | None = None
    enterprise: str | None = None
    token_env: str = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable
    api_url: Address = "https://api.github.com"
    products: tuple[str, ...] = ()
    jobs: bool = True
    repositories: tuple[str, ...] = ()
    runner_skus: dict[str, str] = Field(default_factory=dict)
    resource_id_pattern: re.Pattern[str] | None = None
    earlier_days: int = Field(default=3, ge=0, le=35)
    reconcile: bool = True
    recorded: Path | None = None

    @field_validator("repositories")
    @classmethod
    def _are_full_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
                raise ValueError(f"{name!r} is not a repository's full name, such as acme/train")
        return value

    @model_validator(mode="after")
    def _names_one_account(self) -> "GitHubActionsSettings":
        if (self.organization is None) == (self.enterprise is None):
            raise ValueError("name an organization or an enterprise, and not both")
        return self


@dataclass(frozen=True, slots=True)
class _Day:
    """What was told of one account on one day."""

    account: Account
    day: date
    reply: Reply
    raw: RawObject
    items: Sequence[Item]


class GitHubActions:
    """The charges of one organization or enterprise, and the jobs behind them."""

    NAME: ClassVar[str] = PROVIDER
    NEEDS: ClassVar[str] = "a token that may read an organization's billing"
    LOOKBACK_DAYS: ClassVar[int] = 5
    settings_model: ClassVar[type[Settings]] = GitHubActionsSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, GitHubActionsSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._recorded = base / settings.recorded if settings.recorded else None
        self._machines = Machines(settings.runner_skus, settings.resource_id_pattern)
        self._products = {github_actions_usage.slug(name) for name in settings.products}

    def probes(self) -> Mapping[str, Probe]:
        """Ask for yesterday's usage, and for the jobs of one repository that has some."""
        found: dict[str, Probe] = {"the token may read billing": self._probe_billing}
        if self._settings.jobs:
            found["the token may read the jobs of a repository"] = self._probe_jobs
        return found

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Ask for each day's usage (twice when there is none), then for jobs.

        Raises `Terminal` when the token is missing or may not read, `DataError` for replies of
        unknown shape.
        """
        with self._replies() as api:
            return self._fetch(window, store, api)

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Make one row of each usage item. Costs are US dollars; raises `DataError`."""
        for kept in _of_kind(delivery, _USAGE):
            billed = [
                github_actions_usage.row(item, place, Account.of(kept.receipt), _fetched_at(kept))
                for place, item in self._items(kept, path)
            ]
            if billed:
                yield Bill(kept, rows.frame(billed))

    def workloads(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Told]:
        """Make one workload of each job; raises `DataError` for an unknown shape."""
        billed: dict[str, list[Item]] = {}
        for kept in _of_kind(delivery, _USAGE):
            for _, item in self._items(kept, path):
                billed.setdefault(item.repository or "", []).append(item)
        for kept in _of_kind(delivery, _JOBS):
            repository = kept.receipt["repository"]
            found = self._read_jobs(
                _read(kept, path),
                kept.name,
                repository,
                _fetched_at(kept),
                billed.get(repository, ()),
            )
            if found:
                schema = {name: workloads.SCHEMA[name] for name in found[0]}
                yield Told(kept, pl.LazyFrame(found, schema=schema))

    @contextmanager
    def _replies(self) -> Iterator[Replies]:
        if self._recorded is not None:
            yield Recorded(self._recorded)
            return
        token = credentials.read(self._settings.token_env, f"sources.{self._source}", _BILLING)
        with Api(self._settings.api_url, bearer(token), _ADVICE, headers=_HEADERS) as api:
            yield api

    def _probe_billing(self) -> None:
        with self._replies() as api:
            self._usage_of_yesterday(api)

    def _probe_jobs(self) -> None:
        with self._replies() as api:
            used = self._usage_of_yesterday(api)
            timed = {item.repository for item in used if item.is_runner_time}
            known = self._settings.repositories or sorted(filter(None, timed))
            if not known:
                raise Transient(
                    f"sources.{self._source}: no repository had runner minutes yesterday, so there "
                    f"was none to try the token on; ask again tomorrow, or name 'repositories'"
                )
            api.get(f"/repos/{known[0]}/actions/runs", {"per_page": "1"})

    def _usage_of_yesterday(self, api: Replies) -> list[Item]:
        day = datetime.now(UTC).date() - timedelta(days=1)
        account = self._accounts(api)[0]
        reply = api.get(account.usage_path, account.on(day))
        return github_actions_usage.items(reply.json(), reply.name)

    def _accounts(self, api: Replies) -> list[Account]:
        """List what to ask usage of: an enterprise tells of each cost center by itself."""
        if self._settings.enterprise is None:
            return [Account(self._settings.organization or "", is_enterprise=False)]
        whole = Account(self._settings.enterprise, is_enterprise=True)
        reply = api.get(whole.cost_centers_path)
        return [whole, *github_actions_usage.cost_centers(reply.json(), reply.name, whole)]

    def _fetch(self, window: Window, store: RawStore, api: Replies) -> Delivery:
        days = [
            self._usage(api, day, account, store)
            for account in self._accounts(api)
            for day in window.days()
        ]
        timed = {item.repository for day in days for item in day.items if item.is_runner_time}
        wanted = {*filter(None, timed), *self._settings.repositories}
        listed = [
            self._jobs(api, repository, window, store)
            for repository in sorted(wanted if self._settings.jobs else ())
        ]
        return Delivery(
            self.NAME,
            self._source,
            Scope(days=window),
            (*(day.raw for day in days), *(raw for kept in listed for raw in kept or ())),
            stated=tuple(self._stated(api, days)),
            is_empty_for_sure=True,
            issues=tuple(
                self._unread(repository)
                for repository, kept in zip(sorted(wanted), listed, strict=False)
                if kept is None
            ),
        )

    def _usage(self, api: Replies, day: date, account: Account, store: RawStore) -> _Day:
        """Ask for a day's usage, twice when there is none: it may just have been lost."""
        for _ in range(2):
            reply = api.get(account.usage_path, account.on(day))
            found = github_actions_usage.items(reply.json(), reply.name)
            if self._recorded is None:
                _demand_only(day, found, reply.name)
            if found:
                break
        receipt = {"kind": _USAGE, "day": day.isoformat(), **account.receipt(), **reply.receipt()}
        raw = store.keep(reply.body, f"{PROVIDER}{reply.name}", receipt)
        return _Day(account, day, reply, raw, [item for item in found if item.day == day])

    def _stated(self, api: Replies, days: Sequence[_Day]) -> Iterator[Stated]:
        """Ask for the summary of each day that is over, as long as the account has summaries.

        An enterprise's summary tells of all its cost centers at once.
        """
        for one in days if self._settings.reconcile and self._recorded is None else ():
            is_over = one.reply.sent_at is not None and one.day < one.reply.sent_at.date()
            if one.account.cost_center is not None or not is_over:
                continue
            reply = api.get(f"{one.account.usage_path}/summary", one.account.on(one.day), _REFUSED)
            if reply.status in _REFUSED:
                return
            total = github_actions_usage.net_total(reply.json(), reply.name, self._products)
            yield Stated(
                f"GitHub's summary of {one.day}",
                frozenset(each.raw.sha256 for each in days if each.day == one.day),
                billed={"USD": total},
                tolerance=_TOTAL_TOLERANCE,
            )

    def _jobs(
        self, api: Replies, repository: str, window: Window, store: RawStore
    ) -> list[RawObject] | None:
        """Keep the repository's jobs; `None` when there is no such repository for the token."""
        earlier = timedelta(days=self._settings.earlier_days)
        replies = github_actions_jobs.job_pages(
            api, repository, window.start_at, window.end_at, earlier
        )
        receipt = {"kind": _JOBS, "repository": repository}
        kept: list[RawObject] = []
        try:
            for reply in replies:
                # What cannot be read must be known before the charges are written.
                self._read_jobs(reply.json(), reply.name, repository, None, ())
                name = f"{PROVIDER}{reply.name}"
                kept.append(store.keep(reply.body, name, {**receipt, **reply.receipt()}))
        except Gone:
            return None
        return kept

    def _read_jobs(
        self,
        document: Any,
        name: str,
        repository: str,
        seen_at: datetime | None,
        billed: Sequence[Item],
    ) -> list[dict[str, object]]:
        prices = Prices.of(billed)
        return github_actions_jobs.jobs(document, name, repository, seen_at, self._machines, prices)

    def _unread(self, repository: str) -> Issue:
        return Issue(
            self._source,
            f"the jobs of {repository} could not be read (404), so its cost is not split by job; "
            f"let the token reach the repository with 'Actions' (read), or ignore this if it was "
            f"deleted",
            Severity.WARNING,
        )

    def _items(
        self, kept: RawObject, path: Callable[[RawObject], Path]
    ) -> Iterator[tuple[int, Item]]:
        """Read the items of the day that a reply was asked for, with their places in it."""
        day = date.fromisoformat(kept.receipt["day"])
        found = github_actions_usage.items(_read(kept, path), kept.name)
        for place, item in enumerate(found):
            if item.day == day and (not self._products or item.product in self._products):
                yield place, item


def _demand_only(day: date, found: Sequence[Item], name: str) -> None:
    """Refuse a reply that tells of another day: its amounts would be counted twice, or not at all."""
    others = sorted({item.day for item in found if item.day != day})
    if others:
        raise DataError(
            f"{name}: tells of {others[0]}, though only {day} was asked for; nothing was taken, "
            f"please report this"
        )


def _of_kind(delivery: Delivery, kind: str) -> list[RawObject]:
    return [kept for kept in delivery.objects if kept.receipt.get("kind") == kind]


def _read(kept: RawObject, path: Callable[[RawObject], Path]) -> Any:
    try:
        return parse_json(path(kept).read_bytes(), kept.name)
    except Transient as error:
        raise DataError(str(error)) from None


def _fetched_at(kept: RawObject) -> datetime | None:
    told = kept.receipt.get("fetched_at")
    return datetime.fromisoformat(told) if told else None
