"""Lambda: instances seen in samples, and audit events, times the price seen at that time.

Lambda has no billing API. Each run keeps the list of instances as it is then, and reads all
earlier ones again: what was seen twice ran in between, and audit events tell the exact start and
end where there are some. The cost is ours, so every row says `x_CostSource = rate_card`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from finops import credentials
from finops.errors import DataError, Issue, Severity, Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.samples import Samples
from providers import lambda_labs_replies, paging, rows, withheld
from providers.base import Address, Bill, Probe, Settings
from providers.http import Api, Reply, bearer, parse_json
from providers.lambda_labs_fleet import Actions, Fleet
from providers.lambda_labs_replies import Event
from providers.lambda_labs_rows import Rates, row
from providers.recorded import Recorded, Replies

INSTANCES, TYPES, EVENTS, FILE_SYSTEMS = "instances", "types", "events", "file_systems"

_PATHS = {
    INSTANCES: "/api/v1/instances",
    TYPES: "/api/v1/instance-types",
    FILE_SYSTEMS: "/api/v1/file-systems",
}
_EVENTS_PATH = "/api/v1/audit-events"
_SECONDS_BETWEEN = 1.0  # Lambda allows one request a second
_DAY = timedelta(days=1)
_LAUNCHED_WITHIN = timedelta(days=31)
"""How long before the window a launch is looked for: samples tell of what ran longer."""
_TELLING = frozenset({400, 409})
"""Statuses whose error code decides: `provider/…` means that it may pass."""

_LOGINS = frozenset({"jupyter_token", "jupyter_url"})
"""What in the list of instances lets its reader in."""

_KEYS = "make a key in the Lambda console under API keys (a key may do everything: guard it)"
_ADVICE = {
    401: f"the API key is not valid; {_KEYS}",
    403: "the account is inactive, or the key is not allowed this; look into the Lambda console",
    404: "the address is wrong; remove api_url from the settings to use Lambda's own",
}


class LambdaLabsSettings(Settings):
    """`[sources.NAME]` of a Lambda account.

    `launch_actions` and `terminate_actions` are patterns of the audit events' action names;
    instances are billed while their status is one of `billed_statuses`. File systems are charged
    only with a `storage_price_per_gib_month`, in US dollars. `recorded` is a folder with a folder
    of saved replies for each sample, such as `20261001T060000Z/api/v1/instances.json`, and with
    `api/v1/audit-events.json`: with it neither network nor key is used.
    """

    api_key_env: str = "LAMBDA_API_KEY"
    api_url: Address = "https://cloud.lambda.ai"
    billing_account: str | None = None
    audit_events: bool = True
    launch_actions: tuple[str, ...] = ("*launch*", "*creat*")
    terminate_actions: tuple[str, ...] = ("*terminat*", "*delet*", "*preempt*")
    billed_statuses: tuple[str, ...] = ("active", "unhealthy")
    storage_price_per_gib_month: Decimal | None = None
    recorded: Path | None = None


class LambdaLabs:
    """The charges of one Lambda account, derived from what ran."""

    NAME: ClassVar[str] = "lambda_labs"
    NEEDS: ClassVar[str] = "an API key, and a run every hour"
    LOOKBACK_DAYS: ClassVar[int] = 3
    settings_model: ClassVar[type[Settings]] = LambdaLabsSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, LambdaLabsSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._recorded = base / settings.recorded if settings.recorded else None
        self._actions = Actions(settings.launch_actions, settings.terminate_actions)

    def probes(self) -> Mapping[str, Probe]:
        """Ask for what each run asks for."""
        if self._recorded is not None:
            folder = self._recorded
            return {"the recorded samples": lambda: _recorded_samples(folder)}
        probes: dict[str, Probe] = {
            "the API key may list instances": lambda: self._probe(_PATHS[INSTANCES]),
            "the API key may read prices": lambda: self._probe(_PATHS[TYPES]),
        }
        if self._settings.audit_events:
            probes["the API key may read audit events"] = lambda: self._probe(_EVENTS_PATH)
        return probes

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Take a sample, and gather the earlier ones that tell of `window`.

        A delivery without rows is never sure to be empty: more likely samples were lost.
        Raises `Transient`, `Terminal` when the key is missing or refused, and `DataError` for
        replies of unknown shape.
        """
        if self._recorded is not None:
            samples = self._replayed(store, self._recorded)
            events = self._kept_events(window, store, Recorded(self._recorded))
        else:
            with self._api() as api:
                self._take_sample(store, api)
                events = self._kept_events(window, store, api)
            samples = Samples(store, self._source).between(
                window.start_at - _DAY, window.end_at + _DAY
            )
        return Delivery(
            self.NAME,
            self._source,
            Scope(days=window),
            (*samples, *(kept for kept, _ in events)),
            issues=tuple(self._unnamed([event for _, told in events for event in told])),
        )

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Make one row of each instance, day and price; costs are US dollars.

        A row stands for the time that samples and events prove, and is provisional while no event
        has ended it. Raises `DataError` for an unknown shape.
        """
        window = delivery.scope.days
        assert window is not None, "this provider's deliveries speak for days"
        fleet = Fleet(self._settings.billed_statuses, self._actions)
        for kept in delivery.objects:
            fleet.learn(kept, _read(kept, path))
        rates = Rates(
            self._settings.billing_account or self._source,
            self._settings.storage_price_per_gib_month,
        )
        billed: dict[str, list[rows.Row]] = defaultdict(list)
        raws: dict[str, RawObject] = {}
        for lived, part in fleet.parts(window):
            raws.setdefault(part.sight.raw.sha256, part.sight.raw)
            billed[part.sight.raw.sha256].append(row(lived, part, rates))
        for digest, raw in raws.items():
            yield Bill(raw, rows.frame(billed[digest]))

    @contextmanager
    def _api(self) -> Iterator[Api]:
        key = credentials.read(self._settings.api_key_env, f"sources.{self._source}", _KEYS)
        url = self._settings.api_url
        with Api(url, bearer(key), _ADVICE, seconds_between=_SECONDS_BETWEEN) as api:
            yield api

    def _probe(self, path: str) -> None:
        with self._api() as api:
            _asked(api, path, {})

    def _kinds(self) -> list[str]:
        has_storage = self._settings.storage_price_per_gib_month is not None
        return [INSTANCES, TYPES, *([FILE_SYSTEMS] if has_storage else [])]

    def _take_sample(self, store: RawStore, api: Replies) -> None:
        """Remember each part as soon as it is there: what ran now can not be asked for later."""
        at: datetime | None = None
        for kind in self._kinds():
            reply = _sampled(kind, api)
            at = at or reply.sent_at or datetime.now(UTC)
            Samples(store, self._source).remember(at, [_keep(store, kind, at, reply)])

    def _kept_events(
        self, window: Window, store: RawStore, api: Replies
    ) -> list[tuple[RawObject, list[Event]]]:
        if not self._settings.audit_events:
            return []
        since = f"{window.start_at - _LAUNCHED_WITHIN:%Y-%m-%dT%H:%M:%SZ}"
        pages = _event_pages(api, since)
        if not any(told for _, told in pages):
            # A service that has just lost its rows looks like one where nothing happened.
            pages = _event_pages(api, since)
        return [
            (store.keep(page.body, _name(page), {"kind": EVENTS, **page.receipt()}), told)
            for page, told in pages
        ]

    def _replayed(self, store: RawStore, folder: Path) -> list[RawObject]:
        return [
            _keep(store, kind, at, reply)
            for at, place in _recorded_samples(folder)
            for kind in self._kinds()
            if (reply := _recorded(place, kind)) is not None
        ]

    def _unnamed(self, events: list[Event]) -> Iterator[Issue]:
        actions = sorted({e.action for e in events if not self._actions.name(e)})
        if actions and not any(self._actions.name(event) for event in events):
            yield Issue(
                self._source,
                f"no audit event is a launch or a termination, but there are {', '.join(actions)}; "
                f"name them in launch_actions and terminate_actions, until then times are those "
                f"of the samples",
                Severity.WARNING,
            )


def _sampled(kind: str, api: Replies) -> Reply:
    """Ask for one part of a sample; an empty list is asked for twice."""
    reply = _asked(api, _PATHS[kind], {})
    return reply if _has_rows(kind, reply) else _asked(api, _PATHS[kind], {})


def _has_rows(kind: str, reply: Reply) -> bool:
    return bool(_PARSERS[kind](reply.json(), reply.name))


def _asked(api: Replies, path: str, parameters: Mapping[str, str]) -> Reply:
    """Ask once; the code of an error, which is stable, tells whether it may pass."""
    reply = api.get(path, parameters, _TELLING)
    if reply.status not in _TELLING:
        return reply
    document = reply.json()
    error = document.get("error") if isinstance(document, dict) else None
    code = str((error or {}).get("code", "an unknown error"))
    if code.startswith("provider/"):
        raise Transient(f"{reply.name}: answered {reply.status} ({code}); wait for the next run")
    raise Terminal(
        f"{reply.name}: answered {reply.status} ({code}); trying again would not help, check the "
        f"settings of this source"
    )


def _event_pages(api: Replies, since: str) -> list[tuple[Reply, list[Event]]]:
    def ask(token: str | None) -> tuple[Reply, str | None]:
        more = {"page_token": token} if token else {}
        reply = _asked(api, _EVENTS_PATH, {"start": since, **more})
        return reply, lambda_labs_replies.next_page(reply.json(), reply.name)

    return [
        (page, lambda_labs_replies.events(page.json(), page.name))
        for page in paging.pages(ask, _EVENTS_PATH)
    ]


def _recorded_samples(folder: Path) -> list[tuple[datetime, Path]]:
    """List the samples of a folder by time; raises `Terminal` when there is none."""
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            found.append((datetime.fromisoformat(place.name).astimezone(UTC), place))
        except ValueError:
            continue
    if not found:
        raise Terminal(
            f"{folder}: holds no samples; save each in a folder named by its time, such as "
            f"20261001T060000Z/api/v1/instances.json"
        )
    return found


def _recorded(place: Path, kind: str) -> Reply | None:
    """Read a recorded part of a sample; only the instances must be there."""
    optional = frozenset() if kind == INSTANCES else frozenset({404})
    reply = Recorded(place).get(_PATHS[kind], tolerate=optional)
    return reply if reply.body else None


def _keep(store: RawStore, kind: str, at: datetime, reply: Reply) -> RawObject:
    """Keep a part of a sample, but not the way into an instance's notebook."""
    receipt = {"kind": kind, "sampled_at": at.isoformat(), **reply.receipt()}
    body = withheld.without(reply.body, _LOGINS)
    if body != reply.body:
        receipt[withheld.LEFT_OUT] = ", ".join(sorted(_LOGINS))
    return store.keep(body, _name(reply), receipt)


def _name(reply: Reply) -> str:
    return f"lambda_labs{reply.name}"


def _read(kept: RawObject, path: Callable[[RawObject], Path]) -> Any:
    try:
        content = path(kept).read_bytes()
    except (KeyError, Transient):
        if "sampled_at" not in kept.receipt:
            raise
        raise DataError(
            f"{kept.key}: the sample of {kept.receipt.get('sampled_at')} is gone; restore it from "
            f"a backup, or remove its note below samples/ to go on without it"
        ) from None
    try:
        return parse_json(content, kept.name)
    except Transient as error:
        raise DataError(str(error)) from None


_PARSERS: Mapping[str, Callable[[Any, str], object]] = {
    INSTANCES: lambda_labs_replies.instances,
    TYPES: lambda_labs_replies.prices,
    FILE_SYSTEMS: lambda_labs_replies.file_systems,
}
