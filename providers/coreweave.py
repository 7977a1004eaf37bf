"""CoreWeave: hourly quantities x the user's rate card.

CoreWeave tells how much was used, from its FOCUS billing export or its metrics, and never what it
costs. The rate card is kept beside the replies as evidence. What it has no price for becomes a row
without cost, which goes to quarantine, and an issue that names SKU and quantity.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from finops import credentials, rate_card
from finops.errors import ConfigError, DataError, Issue, Transient
from finops.partition import Window
from finops.rate_card import RateCard
from finops.raw import Delivery, RawObject, RawStore, Scope
from providers import coreweave_rows, coreweave_usage, prometheus, rows
from providers.base import Address, Bill, Probe, Settings
from providers.coreweave_usage import Usage
from providers.http import Api, Reply, bearer, parse_json
from providers.paging import pages
from providers.prometheus import Range
from providers.recorded import Recorded, Replies

_BILLING = "/v1/billing/focus"
_PAGE_ROWS = "1000"
_MOST_DAYS = timedelta(days=90)
_LOCATION, _CAPACITY_PLAN, _METRICS, _RATES = "location", "capacity_plan", "metrics", "rate_card"
_TOKEN = "make an API access token in CoreWeave's Cloud Console"  # noqa: S105 - advice, no token
_EXPIRED = f"the token is not valid or has expired; {_TOKEN}"
_EXPORT_ADVICE = {
    400: "CoreWeave's export begins on 2026-01-01; ask for later days",
    401: _EXPIRED,
    403: "the FOCUS export is not enabled for your organization: ask CoreWeave's support "
    "(support@coreweave.com) for access",
    404: "there is no such address; correct api_url in the settings",
}
_METRICS_ADVICE = {
    401: _EXPIRED,
    403: "the token's owner must be in the group admin, metrics or write: ask an administrator "
    "of your CoreWeave organization",
    404: "there is no such address; correct prometheus_url in the settings",
}


class CoreWeaveSettings(Settings):
    """`[sources.NAME]` of a CoreWeave organization.

    `rate_card` is the CSV file with your prices. `mode` says where quantities come from: the
    billing `export`, or `prometheus` metrics at `prometheus_url`. With `capacity_plans` usage is
    shared among the plans, so that each can have its price. `recorded` is a folder of saved
    replies (`v1/billing/focus.location.json`): with it neither network nor token is used.
    """

    rate_card: Path
    mode: Literal["export", "prometheus"] = "export"
    api_key_env: str = "COREWEAVE_API_TOKEN"
    api_url: Address = "https://api.coreweave.com"
    prometheus_url: Address | None = None
    capacity_plans: bool = False
    billing_account: str | None = None
    recorded: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> "CoreWeaveSettings":
        if self.mode == "prometheus" and not (self.prometheus_url or self.recorded):
            raise ValueError('mode "prometheus" needs prometheus_url; add it')
        if self.mode == "prometheus" and self.capacity_plans:
            raise ValueError("metrics know no capacity plans; remove capacity_plans")
        return self


@dataclass(frozen=True, slots=True)
class _Asked:
    """A reply, what it shows, the days it was asked for and the rows of those days."""

    kind: str
    days: Window
    reply: Reply
    usages: list[Usage]


@dataclass(frozen=True, slots=True)
class _Page:
    """A kept reply: its rows, and until when it is complete."""

    raw: RawObject
    usages: list[Usage]
    as_of: datetime | None


class CoreWeave:
    """The charges of one CoreWeave organization."""

    NAME: ClassVar[str] = "coreweave"
    NEEDS: ClassVar[str] = "an API access token, and a rate card of your prices"
    LOOKBACK_DAYS: ClassVar[int] = 3
    settings_model: ClassVar[type[Settings]] = CoreWeaveSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, CoreWeaveSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._rate_card = base / settings.rate_card
        self._recorded = base / settings.recorded if settings.recorded else None

    def probes(self) -> Mapping[str, Probe]:
        """Read the rate card, then ask for one hour, as a run would."""
        today = datetime.now(UTC).date()
        yesterday = Window(today - timedelta(days=1), today)

        def ask() -> None:
            with self._replies() as api:
                self._asked(yesterday, api)

        what = "the metrics" if self._settings.mode == "prometheus" else "the billing export"
        return {"the rate card can be read": self._card, f"the token may read {what}": ask}

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Ask for the window's hours, twice when there are none, and keep the rate card too.

        Raises `ConfigError` for a faulty rate card, `Terminal` when the export is not enabled,
        `Transient` for pages that do not come to an end, `DataError` for an unknown shape.
        """
        card, content = self._card()
        with self._replies() as api:
            found = self._asked(window, api)
        kept = [
            store.keep(each.reply.body, f"coreweave{each.reply.name}", _receipt(each))
            for each in found
        ]
        rates = store.keep(content, card.name, {"kind": _RATES})
        delivery = Delivery(
            self.NAME, self._source, Scope(days=window), (*kept, rates), is_empty_for_sure=True
        )
        return replace(delivery, issues=tuple(self._issues(delivery, store.path)))

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Make one row of each hour, SKU, location and plan, priced by the kept rate card.

        `x_CostSource` is `rate_card`; a SKU without price has null costs. Rows of hours that were
        not complete are `x_Provisional`. Raises `DataError` for an unknown shape.
        """
        card = _kept_card(delivery, path)
        located, plans, settled = _views(delivery, path)
        account = self._settings.billing_account or self._source
        for page in located:
            priced = [
                coreweave_rows.row(usage, card, account, settled)
                for usage in coreweave_usage.apportioned(page.usages, plans)
            ]
            if priced:
                yield Bill(page.raw, coreweave_rows.gpu_columns(rows.frame(priced)))

    def _card(self) -> tuple[RateCard, bytes]:
        """Read the rate card; raises `ConfigError` when it is missing or faulty."""
        where = f"sources.{self._source}.rate_card"
        try:
            content = self._rate_card.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"finops.toml: {where}: {self._rate_card} cannot be read "
                f"({error.strerror or error}); write your prices there as CSV with the header "
                f"sku_id,unit,price,currency"
            ) from None
        card = rate_card.parse(content, self._rate_card.name)
        if card.has_plans and not self._settings.capacity_plans:
            raise ConfigError(
                f"finops.toml: {where}: {card.name} has prices of single plans, but usage is not "
                f"shared among plans; set capacity_plans = true, or leave the column plan empty"
            )
        return card, content

    @contextmanager
    def _replies(self) -> Iterator[Replies]:
        if self._recorded is not None:
            yield Recorded(self._recorded)
            return
        settings = self._settings
        token = credentials.read(settings.api_key_env, f"sources.{self._source}", _TOKEN)
        url, advice = settings.api_url, _EXPORT_ADVICE
        if settings.prometheus_url and settings.mode == "prometheus":
            url, advice = settings.prometheus_url, _METRICS_ADVICE
        with Api(url, bearer(token), advice) as api:
            yield api

    def _asked(self, window: Window, api: Replies) -> list[_Asked]:
        """Ask for everything of the window; what has no rows is asked for twice."""
        if self._settings.mode == "prometheus":
            return _surely(lambda: _metrics(api, window))
        views = (_LOCATION, _CAPACITY_PLAN) if self._settings.capacity_plans else (_LOCATION,)
        return [
            asked
            for view in views
            for chunk in _chunks(window)
            for asked in _surely(functools.partial(_view, api, view, chunk))
        ]

    def _issues(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Issue]:
        card = _kept_card(delivery, path)
        located, plans, _ = _views(delivery, path)
        usages = [usage for page in located for usage in page.usages]
        if self._settings.capacity_plans:
            yield from coreweave_usage.differing(usages, plans, self._source)
        shared = list(coreweave_usage.apportioned(usages, plans))
        yield from coreweave_rows.unpriced(shared, card, self._source)
        yield from coreweave_rows.stated_costs(usages, card, self._source)


def _surely(ask: Callable[[], list[_Asked]]) -> list[_Asked]:
    """Ask again when there are no rows: a service that has lost them looks like that too."""
    found = ask()
    return found if any(asked.usages for asked in found) else ask()


def _view(api: Replies, view: str, chunk: Window) -> list[_Asked]:
    """Ask for one presentation of the usage, page by page."""
    parameters = {
        "start_time": f"{chunk.start_at:%Y-%m-%dT%H:%M:%SZ}",
        "end_time": f"{chunk.end_at:%Y-%m-%dT%H:%M:%SZ}",
        "group_by": view,
        "format": "json",
        "page_size": _PAGE_ROWS,
    }

    def ask(token: str | None) -> tuple[_Asked, str | None]:
        reply = api.get(_BILLING, {**parameters, "page_token": token} if token else parameters)
        document = reply.json()
        usages = coreweave_usage.exported(document, reply.name)
        coreweave_usage.as_of(document, reply.name)
        return _Asked(view, chunk, reply, _within(usages, chunk)), coreweave_usage.next_page(
            document, reply.name
        )

    return list(pages(ask, f"{_BILLING} by {view}"))


def _metrics(api: Replies, window: Window) -> list[_Asked]:
    """Ask for the instance-minutes of each hour."""
    hours = Range(
        coreweave_usage.INSTANCE_MINUTES,
        window.start_at + coreweave_usage.HOUR - coreweave_usage.BEFORE_THE_HOUR_ENDS,
        window.end_at - coreweave_usage.BEFORE_THE_HOUR_ENDS,
        coreweave_usage.HOUR,
    )
    found = []
    for reply in prometheus.query_range(api, hours):
        usages = coreweave_usage.metered(reply.json(), reply.name)
        found.append(_Asked(_METRICS, window, reply, _within(usages, window)))
    return found


def _chunks(window: Window) -> Iterator[Window]:
    """Cut a window into what one request may span."""
    start = window.start
    while start < window.end:
        end = min(window.end, start + _MOST_DAYS)
        yield Window(start, end)
        start = end


def _within(usages: list[Usage], window: Window) -> list[Usage]:
    return [usage for usage in usages if window.start_at <= usage.start < window.end_at]


def _receipt(asked: _Asked) -> dict[str, str]:
    days = {"from": asked.days.start.isoformat(), "to": asked.days.end.isoformat()}
    return {"kind": asked.kind, **days, **asked.reply.receipt()}


def _views(
    delivery: Delivery, path: Callable[[RawObject], Path]
) -> tuple[list[_Page], coreweave_usage.Shares, datetime | None]:
    """Read the kept replies: pages by location, shares of plans, until when all is complete."""
    read = [_page(kept, path) for kept in delivery.objects if kept.receipt["kind"] != _RATES]
    located = [page for page in read if page.raw.receipt["kind"] != _CAPACITY_PLAN]
    planned = [page for page in read if page.raw.receipt["kind"] == _CAPACITY_PLAN]
    plans = coreweave_usage.shares(usage for page in planned for usage in page.usages)
    return located, plans, min((page.as_of for page in read if page.as_of), default=None)


def _page(kept: RawObject, path: Callable[[RawObject], Path]) -> _Page:
    told = kept.receipt
    asked = Window(date.fromisoformat(told["from"]), date.fromisoformat(told["to"]))
    try:
        document = parse_json(path(kept).read_bytes(), kept.name)
    except Transient as error:
        raise DataError(str(error)) from None
    if told["kind"] == _METRICS:
        usages = coreweave_usage.metered(document, kept.name)
        as_of = None
    else:
        usages = coreweave_usage.exported(document, kept.name)
        as_of = coreweave_usage.as_of(document, kept.name)
    fetched_at = told.get("fetched_at")
    if as_of is None and fetched_at:
        as_of = datetime.fromisoformat(fetched_at)
    return _Page(kept, _within(usages, asked), as_of)


def _kept_card(delivery: Delivery, path: Callable[[RawObject], Path]) -> RateCard:
    (kept,) = (kept for kept in delivery.objects if kept.receipt["kind"] == _RATES)
    return rate_card.parse(path(kept).read_bytes(), kept.name)
