"""Kubernetes: which pod held which part of a node, from OpenCost or Kubecost, as workloads.

Their costs are weights: what a node really cost is on the cloud's bill, and the pods of the node
and its idle time share it. How much of its GPUs a pod used comes from NVIDIA's DCGM exporter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, model_validator

from finops import credentials
from finops.errors import DataError, Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.workloads import SCHEMA
from providers import kubernetes_allocation, kubernetes_utilization, prometheus, withheld
from providers.base import Address, Probe, Settings, Told
from providers.http import ANONYMOUS, Api, Credential, Reply, basic, bearer, parse_json
from providers.kubernetes_allocation import Allocation, Utilization
from providers.recorded import Recorded, Replies

_ALLOCATION, _UTILIZATION = "allocation", "utilization"
_PATHS = {"opencost": "/allocation/compute", "kubecost": "/model/allocation"}
_INCLUDE_IDLE = {"opencost": "includeIdle", "kubecost": "idle"}
_ADVICE = {
    400: "it does not know what was asked; see that `api` names what runs there",
    401: "set the credential that the ingress before it asks for: token_env, or user and token_env",
    403: "let this credential read the cost API, at the ingress or in the network policy",
    404: "nothing answers there; correct the address, and `api` if this is not what it says",
}


_TOLD = pl.Schema({name: dtype for name, dtype in SCHEMA.items() if name != "raw_id"})


class KubernetesSettings(Settings):
    """`[sources.NAME]` of a cluster.

    `url` is OpenCost (port 9003) or Kubecost (port 9090), and `api` says which. `cluster` names
    the cluster where several use the same name. `prometheus_url` adds GPU utilization; `selector`
    narrows its series to this cluster, and `exported_labels` is for a Prometheus that renamed
    the exporter's labels. `token_env` holds a bearer token, or with `user` a password.
    `recorded` is a folder of saved replies: with it no network is used.

    `hours_per_request` keeps replies of large clusters small and in time.
    """

    url: Address = "http://opencost.opencost:9003"
    api: Literal["opencost", "kubecost"] = "opencost"
    cluster: str | None = None
    step_hours: Literal[1, 2, 3, 6, 12, 24] = 1
    hours_per_request: Literal[1, 2, 3, 6, 12, 24] = 6
    user: str | None = None
    token_env: str | None = None
    prometheus_url: Address | None = None
    prometheus_user: str | None = None
    prometheus_token_env: str | None = None
    selector: str = Field(default="", pattern=r"^[^{}]*$")
    exported_labels: bool = False
    recorded: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> "KubernetesSettings":
        if self.hours_per_request % self.step_hours:
            raise ValueError(
                f"hours_per_request must be a multiple of step_hours; write "
                f"hours_per_request = {self.step_hours}"
            )
        for user, token_env in (("user", "token_env"), ("prometheus_user", "prometheus_token_env")):
            if getattr(self, user) and not getattr(self, token_env):
                raise ValueError(f"{user} needs {token_env}, the variable that holds the password")
        return self


_ANNOTATIONS = frozenset({"annotations", "namespaceAnnotations"})


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply, what it tells and the time it was asked for."""

    kind: str
    start: datetime
    end: datetime
    reply: Reply

    def receipt(self) -> dict[str, str]:
        asked = {"from": self.start.isoformat(), "to": self.end.isoformat()}
        return {"kind": self.kind, **asked, **self.reply.receipt()}


class Kubernetes:
    """The pods of one cluster."""

    NAME: ClassVar[str] = "kubernetes"
    NEEDS: ClassVar[str] = "the address of OpenCost or Kubecost"
    LOOKBACK_DAYS: ClassVar[int] = 3
    settings_model: ClassVar[type[Settings]] = KubernetesSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, KubernetesSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._recorded = base / settings.recorded if settings.recorded else None

    @property
    def _step(self) -> timedelta:
        return timedelta(hours=self._settings.step_hours)

    def probes(self) -> Mapping[str, Probe]:
        """Ask for yesterday's allocations, and for a GPU's reading where utilization is wanted."""
        today = datetime.now(UTC).date()
        yesterday = Window(today - timedelta(days=1), today)

        def allocations() -> None:
            with self._apis() as (api, _):
                if not self._allocations(yesterday, api)[1]:
                    raise Terminal(
                        f"{self._settings.url}: tells nothing of yesterday; wait a day if it is "
                        f"new, else see that its Prometheus scrapes this cluster"
                    )

        found: dict[str, Probe] = {f"{self._settings.api} tells allocations": allocations}
        if self._settings.prometheus_url:
            found["Prometheus has readings of the DCGM exporter"] = self._demand_readings
        return found

    def _demand_readings(self) -> None:
        with self._apis() as (_, metrics):
            assert metrics is not None, "only asked where there is a prometheus_url"
            either = f"{kubernetes_utilization.ENGINE_ACTIVE} or {kubernetes_utilization.GPU_UTIL}"
            reply = prometheus.query(metrics, f"count({either})")
            if prometheus.samples(reply.json(), reply.name, ()).is_empty():
                raise Terminal(
                    f"{self._settings.prometheus_url}: has no series of the DCGM exporter; install "
                    f"it on the GPU nodes and let Prometheus scrape it, or remove prometheus_url"
                )

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Ask for the window in pieces, twice for one in which nothing ran; keep what came.

        Raises `Transient` for a service that is down or answers with an error, `Terminal` for one
        that refuses, `DataError` for replies of unknown shape.
        """
        with self._apis() as (api, metrics):
            answers, _ = self._allocations(window, api)
            used = [] if metrics is None else self._utilization(window, metrics)
        kept = tuple(_keep(store, answer) for answer in (*answers, *used))
        return Delivery(self.NAME, self._source, Scope(days=window), kept, is_empty_for_sure=True)

    def workloads(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Told]:
        """Make one row of each pod and step, and of each node's idle time.

        `weight` is the cost of the CPU, memory and GPU that was held. Raises `DataError` for an
        unknown shape.
        """
        used = self._used(delivery, path)
        for kept in _of_kind(delivery, _ALLOCATION):
            seen_at = kept.receipt.get("fetched_at")
            rows = [
                row
                for step in kubernetes_allocation.allocations(_read(kept, path), kept.name)
                for row in kubernetes_allocation.workloads(
                    _within(step, kept),
                    self._settings.cluster,
                    datetime.fromisoformat(seen_at) if seen_at else None,
                    used,
                )
            ]
            yield Told(kept, pl.LazyFrame(rows, schema=_TOLD))

    @contextmanager
    def _apis(self) -> Iterator[tuple[Replies, Replies | None]]:
        """Open the cost API, and Prometheus where utilization is wanted."""
        if self._recorded is not None:
            folder = Recorded(self._recorded)
            saved = self._recorded / f"{prometheus.QUERY_RANGE.strip('/')}.json"
            yield folder, folder if saved.is_file() else None
            return
        settings = self._settings
        with ExitStack() as opened:
            held = self._credential(settings.user, settings.token_env)
            api = opened.enter_context(Api(settings.url, held, _ADVICE))
            metrics = None
            if settings.prometheus_url:
                held = self._credential(settings.prometheus_user, settings.prometheus_token_env)
                metrics = opened.enter_context(Api(settings.prometheus_url, held, _ADVICE))
            yield api, metrics

    def _credential(self, user: str | None, token_env: str | None) -> Credential:
        if token_env is None:
            return ANONYMOUS
        token = credentials.read(token_env, f"sources.{self._source}", _ADVICE[401])
        return basic(user, token) if user else bearer(token)

    def _allocations(self, window: Window, api: Replies) -> tuple[list[_Answer], bool]:
        """Ask for a few hours at a time, and tell whether anything ran.

        A service that has just lost its history looks like a cluster without pods, so that is
        asked for twice.
        """
        answers, found = [], False
        for start, end in self._spans(window):
            reply, ran = self._allocated(api, start, end)
            if not ran:
                reply, ran = self._allocated(api, start, end)
            found |= ran
            answers.append(_Answer(_ALLOCATION, start, end, reply))
        return answers, found

    def _allocated(self, api: Replies, start: datetime, end: datetime) -> tuple[Reply, bool]:
        parameters = {
            "window": f"{start:%Y-%m-%dT%H:%M:%SZ},{end:%Y-%m-%dT%H:%M:%SZ}",
            "step": f"{self._settings.step_hours}h",
            "accumulate": "false",
            _INCLUDE_IDLE[self._settings.api]: "true",
            "idleByNode": "true",
        }
        reply = api.get(_PATHS[self._settings.api], parameters)
        return reply, any(kubernetes_allocation.allocations(reply.json(), reply.name))

    def _spans(self, window: Window) -> Iterator[tuple[datetime, datetime]]:
        length = timedelta(hours=self._settings.hours_per_request)
        start = window.start_at
        while start < window.end_at:
            yield start, start + length
            start += length

    def _utilization(self, window: Window, metrics: Replies) -> list[_Answer]:
        asked = kubernetes_utilization.asked(
            window.start_at,
            window.end_at,
            self._step,
            self._settings.selector,
            exported=self._settings.exported_labels,
        )
        return [
            _Answer(_UTILIZATION, window.start_at, window.end_at, reply)
            for reply in prometheus.query_range(metrics, asked)
        ]

    def _used(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Utilization:
        documents = ((_read(kept, path), kept.name) for kept in _of_kind(delivery, _UTILIZATION))
        return kubernetes_utilization.told(
            documents, self._step, exported=self._settings.exported_labels
        )


def _keep(store: RawStore, answer: _Answer) -> RawObject:
    """Keep a reply without annotations: kubectl writes whole manifests with their secrets there."""
    body, receipt = withheld.without(answer.reply.body, _ANNOTATIONS), answer.receipt()
    if body != answer.reply.body:
        receipt[withheld.LEFT_OUT] = ", ".join(sorted(_ANNOTATIONS))
    return store.keep(body, f"{Kubernetes.NAME}{answer.reply.name}", receipt)


def _of_kind(delivery: Delivery, kind: str) -> list[RawObject]:
    return [kept for kept in delivery.objects if kept.receipt["kind"] == kind]


def _read(kept: RawObject, path: Callable[[RawObject], Path]) -> Any:
    try:
        return parse_json(path(kept).read_bytes(), kept.name)
    except Transient as error:
        raise DataError(str(error)) from None


def _within(step: Sequence[Allocation], kept: RawObject) -> list[Allocation]:
    """Take the steps that were asked for: a saved reply may hold more."""
    start = datetime.fromisoformat(kept.receipt["from"])
    end = datetime.fromisoformat(kept.receipt["to"])
    return [each for each in step if start <= each.step_start < end]
