"""RunPod: hourly billing (REST v2, else v1), pods joined to what is known of each.

The two generations differ in shape, in spelling and in what they know: v2 splits the amount but
knows no GPU and no billed time, v1 knows the billed time but only one grouping at a time. Both
are joined to the list of pods, which has GPU, data centre, name and environment. A pod that was
terminated is no longer in the list, so lists are remembered, and the newest that knows a pod tells.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

from finops import credentials, gpus, regions
from finops.errors import DataError, Issue, Severity, Transient
from finops.normalize import GIVEN_ROW
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.samples import Samples
from providers import rows, runpod_billing, runpod_replies, withheld
from providers.base import Address, Bill, Probe, Settings
from providers.http import Api, Reply, bearer, parse_json
from providers.recorded import Recorded, Replies
from providers.runpod_billing import UNAVAILABLE, within
from providers.runpod_replies import PARTS, PRODUCTS, UNKNOWN_POD, Pod, Product, Usage

_SCOPES = (
    "in the RunPod console under Settings, API Keys, give this key read access to billing and pods"
)
_ADVICE = {
    401: f"the API key is not valid; make a new one, {_SCOPES}",
    403: _SCOPES,
    404: "the address is wrong; remove api_url and v1_url from the settings to use RunPod's own",
}
_BILLING, _PODS = "billing", "pods"
_DAY = timedelta(days=1)
_ProductName = Literal["pods", "serverless", "network_volumes", "clusters", "public_endpoints"]

_EVERY_ROW = {
    "BillingAccountType": "Account",
    "BillingCurrency": "USD",
    "PricingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "ServiceProviderName": "RunPod",
    "HostProviderName": "RunPod",
    "InvoiceIssuerName": "RunPod",
    "x_CostSource": "billed",
}


class RunPodSettings(Settings):
    """`[sources.NAME]` of a RunPod account.

    `products` names what to bill; when left out, everything that has charges.
    `tag_env` names the pods' environment variables that become tags, in lower case. `recorded`
    is a folder of saved replies (`v2/billing/pods.json`, `v2/pods.json`, or the same under `v1`):
    with it neither network nor key is used.
    """

    api_key_env: str = "RUNPOD_API_KEY"
    api_url: Address = "https://api.runpod.io"
    v1_url: Address = "https://rest.runpod.io"
    billing_account: str | None = None
    products: tuple[_ProductName, ...] | None = None
    tag_env: tuple[str, ...] = ("TEAM", "PROJECT")
    recorded: Path | None = None


class RunPod:
    """The charges of one RunPod account."""

    NAME: ClassVar[str] = "runpod"
    NEEDS: ClassVar[str] = "a RunPod API key with read access to billing and pods"
    LOOKBACK_DAYS: ClassVar[int] = 3
    settings_model: ClassVar[type[Settings]] = RunPodSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, RunPodSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._recorded = base / settings.recorded if settings.recorded else None

    def probes(self) -> Mapping[str, Probe]:
        """Ask for the pods and for the charges of the last hour, as a run would."""
        if self._recorded is not None:
            folder = Recorded(self._recorded)
            return {"the recorded list of pods": lambda: _pod_list(folder, folder, ())}
        return {
            "the API key may list pods": lambda: self._probe(_any_pods),
            "the API key may read billing": lambda: self._probe(self._any_billing),
        }

    def _probe(self, ask: Callable[[Api, Api], object]) -> None:
        with self._apis() as (api, older):
            ask(api, older)

    def _any_billing(self, api: Replies, older: Replies) -> None:
        today = datetime.now(UTC).date()
        yesterday = Window(today - _DAY, today)
        asked = {
            name: runpod_billing.asked(
                PRODUCTS[name], yesterday, api, older, must=self._demands(name)
            )
            for name in self._wanted()
        }
        replies = {name: reply for name, reply in asked.items() if reply is not None}
        missing = [name for name in asked if name not in replies]
        total = runpod_billing.account_total(yesterday, api) if missing else None
        runpod_billing.demand_nothing_hidden(total, replies, missing)

    def _wanted(self) -> Iterable[str]:
        return PRODUCTS if self._settings.products is None else self._settings.products

    def _demands(self, name: str) -> bool:
        """Tell whether the run fails without this product."""
        return self._settings.products is not None or name == _PODS

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Ask for the window's hours and the pods; an empty window is asked for twice.

        Raises `Transient` when the rows do not add up to the total RunPod states, `Terminal` when
        the key is missing or may not read what may have charges, `DataError` for replies of
        unknown shape.
        """
        if self._recorded is not None:
            return self._fetch(window, store, Recorded(self._recorded), Recorded(self._recorded))
        with self._apis() as (api, older):
            return self._fetch(window, store, api, older)

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Make one row of each hour that a resource was billed in the delivery's window.

        Costs are US dollars; `x_GpuHours` is GPU count times the hours billed, null when neither
        the billed time nor the pod's price is known. Raises `DataError` for an unknown shape.
        """
        pods: dict[str, Pod] = {}
        for kept in _of_kind(delivery, _PODS):  # oldest first
            pods |= runpod_replies.pods(_read(kept, path), kept.name, self._settings.tag_env)
        for kept in _of_kind(delivery, _BILLING):
            product = PRODUCTS[kept.receipt["product"]]
            usages = runpod_replies.usages(_read(kept, path), kept.name, product)
            billed = [
                self._row(place, usage, product, pods, _fetched_at(kept))
                for place, usage in enumerate(usages)
                if delivery.scope.days is None or within(usage, delivery.scope.days)
            ]
            if billed:
                yield Bill(kept, rows.frame(billed))

    @contextmanager
    def _apis(self) -> Iterator[tuple[Api, Api]]:
        """Open both generations of the API with the key."""
        key = bearer(
            credentials.read(self._settings.api_key_env, f"sources.{self._source}", _SCOPES)
        )
        with (
            Api(self._settings.api_url, key, _ADVICE) as api,
            Api(self._settings.v1_url, key, _ADVICE) as older,
        ):
            yield api, older

    def _fetch(self, window: Window, store: RawStore, api: Replies, older: Replies) -> Delivery:
        is_whole = self._settings.products is None
        before = runpod_billing.account_total(window, api) if is_whole else None
        asked = {
            name: runpod_billing.read(name, window, api, older, must=self._demands(name))
            for name in self._wanted()
        }
        replies = {name: reply for name, reply in asked.items() if reply is not None}
        missing = [name for name in asked if name not in replies]
        # A folder of replies has what it has: only its own total can speak against it.
        if before is not None or self._recorded is None:
            runpod_billing.demand_nothing_hidden(before, replies, missing)
        after = None if before is None else runpod_billing.account_total(window, api)
        differences = runpod_billing.steady_differences(before, after, replies, window)
        runpod_billing.demand_no_hour_hidden(differences, missing)
        pods = _pod_list(api, older, replies.values())
        runpod_replies.pods(pods.json(), pods.name, self._settings.tag_env)
        kept = [_keep(store, replies[name], name) for name in replies]
        lists = self._lists(window, store, pods)
        ids = frozenset(raw.sha256 for raw in kept)
        return Delivery(
            self.NAME,
            self._source,
            Scope(days=window),
            (*kept, *lists),
            stated=runpod_billing.stated(before, after, ids),
            is_empty_for_sure=True,
            issues=(
                *self._unread(missing),
                *runpod_billing.told_differences(differences, self._source),
            ),
        )

    def _lists(self, window: Window, store: RawStore, pods: Reply) -> list[RawObject]:
        """Remember the list of pods; give it behind those before it, from the window's start on."""
        listed = _keep_pods(store, pods, self._settings.tag_env)
        samples = Samples(store, self._source)
        # A folder tells no time: its list counts for the window, so that a re-run adds nothing.
        at = window.end_at if self._recorded else pods.sent_at or datetime.now(UTC)
        span = window.start_at - _DAY, max(at, window.end_at)
        remembered = _lists_in(samples.between(*span))
        if not remembered or remembered[-1].sha256 != listed.sha256:
            samples.remember(at, [listed])
            remembered = _lists_in(samples.between(*span))
        return [*(kept for kept in remembered if kept.sha256 != listed.sha256), listed]

    def _unread(self, missing: Iterable[str]) -> Iterator[Issue]:
        """Name the products that were not to be read; a folder of replies has what it has."""
        for name in missing if self._recorded is None else ():
            yield Issue(
                self._source,
                f"{name.replace('_', ' ')} are not in this bill: RunPod answered 403 or 404 for "
                f"them; give the key read access to billing, or name in 'products' what you want",
                Severity.WARNING,
            )

    def _row(
        self,
        place: int,
        usage: Usage,
        product: Product,
        pods: Mapping[str, Pod],
        fetched_at: datetime | None,
    ) -> dict[str, object]:
        account = self._settings.billing_account or self._source
        pod = pods.get(usage.resource_id or "", UNKNOWN_POD)
        return {
            **_EVERY_ROW,
            **_costs(usage),
            **_quantities(usage, pod),
            **rows.billing_month(usage.start),
            "BillingAccountId": account,
            "BillingAccountName": account,
            "ChargePeriodStart": usage.start,
            "ChargePeriodEnd": usage.end,
            "ChargeDescription": _described(product, pod.name or usage.resource_id),
            "ServiceName": product.service,
            "ServiceCategory": product.category,
            "ServiceSubcategory": product.subcategory,
            "ResourceType": product.resource_type,
            "ResourceId": usage.resource_id,
            "ResourceName": pod.name,
            "RegionId": pod.data_center,
            "RegionName": regions.names("runpod").get(pod.data_center or ""),
            "SkuId": pod.gpu_id,
            "Tags": pod.tags,
            "x_Provisional": fetched_at is not None and usage.end > fetched_at,
            GIVEN_ROW: place,
        }


def _any_pods(api: Replies, older: Replies) -> None:
    """List the pods of whichever generation the key is good for."""
    if api.get("/v2/pods", tolerate=UNAVAILABLE).status in UNAVAILABLE:
        older.get("/v1/pods", {"includeMachine": "true"})


def _pod_list(api: Replies, older: Replies, billing: Iterable[Reply]) -> Reply:
    """List the pods from the generation that billed them: a key may be good for one only."""
    if any(reply.endpoint.startswith("/v1/") for reply in billing):
        return older.get("/v1/pods", {"includeMachine": "true"})
    return api.get("/v2/pods")


def _keep(store: RawStore, reply: Reply, product: str) -> RawObject:
    receipt = {"kind": _BILLING, "product": product, **reply.receipt()}
    return store.keep(reply.body, f"runpod{reply.name}", receipt)


def _keep_pods(store: RawStore, reply: Reply, tag_env: Sequence[str]) -> RawObject:
    """Keep what is used of the pods, and nothing else of their environment: it may hold secrets."""
    facts = runpod_replies.billing_facts(reply.json(), tag_env)
    told = f"all of a pod but its id, name, GPUs, data center and price, and in env {list(tag_env)}"
    receipt = {"kind": _PODS, "product": "pods", withheld.LEFT_OUT: told, **reply.receipt()}
    return store.keep(withheld.written(facts), f"runpod{reply.name}", receipt)


def _lists_in(remembered: list[RawObject]) -> list[RawObject]:
    return [kept for kept in remembered if kept.receipt.get("kind") == _PODS]


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


def _described(product: Product, resource: str | None) -> str:
    return f"{product.resource_type} {resource}" if resource else product.service


def _costs(usage: Usage) -> dict[str, object]:
    """Give all four costs: pods have no commitments, and the list price is what was billed."""
    parts = {column: usage.parts[part] for part, column in PARTS.items() if part in usage.parts}
    return {**rows.all_costs(usage.amount), **parts}


def _quantities(usage: Usage, pod: Pod) -> dict[str, object]:
    known = gpus.known("runpod").get(pod.gpu_id or "")
    hours, count = runpod_replies.billed_hours(usage, pod), pod.gpu_count
    unit = None if hours is None else "Hours"
    return {
        "PricingQuantity": hours,
        "PricingUnit": unit,
        "ConsumedQuantity": hours,
        "ConsumedUnit": unit,
        "x_InstanceType": pod.gpu_id,
        "x_GpuModel": known.model if known else None,
        "x_GpuCount": count,
        "x_GpuHours": hours * count if hours is not None and count else None,
        "x_GpuMemoryGiB": known.memory_gib if known else None,
        "x_GpuFraction": Decimal(1) if count else None,
    }
