"""Taking in one source: fetch, keep, read, replace — or leave everything as it was."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain

from polars.exceptions import PanicException

from finops import charges, money, progress, replacement, workloads
from finops.charges import Ingested
from finops.config import Config
from finops.errors import ConfigError, DataError, Issue, WarehouseError
from finops.partition import Window
from finops.raw import RawStore
from finops.reconciliation import RECEIPTS
from finops.warehouse import Warehouse
from finops.workloads import Listed
from providers import registry
from providers.base import ChargeProvider, WorkloadProvider


@dataclass(frozen=True, slots=True)
class Taking:
    """A source and the days to take in."""

    source: str
    window: Window


@dataclass(frozen=True, slots=True)
class Taken:
    """What one source told: charges, workloads, or both."""

    source: str
    provider: str
    charges: Ingested | None
    workloads: Listed | None

    @property
    def issues(self) -> tuple[Issue, ...]:
        told = (each.issues for each in (self.charges, self.workloads) if each)
        return tuple(dict.fromkeys(chain.from_iterable(told)))

    def __str__(self) -> str:
        told = []
        if self.charges:
            told.append(
                f"{self.charges.rows} charges, {self.charges.quarantined_rows} in quarantine"
            )
        if self.workloads:
            told.append(f"{self.workloads.rows} workloads")
        return f"{self.source}: {'; '.join(told)}"


def chosen(config: Config, sources: Sequence[str] | None) -> list[str]:
    """Name the sources to take in, all when None; raises `ConfigError` when one is wrong."""
    names = list(sources or config.sources)
    if not names:
        raise ConfigError("finops.toml: has no sources; add a [sources.NAME] table")
    for name in names:
        config.source(name)
    issues = registry.check(config)
    if issues:
        raise ConfigError.of(issues)
    return names


def lookback(config: Config, source: str, today: date) -> Window:
    """Cover the days of `source` that its provider may still add to or restate."""
    made = registry.provider_class(config.source(source).provider)
    return Window(today - timedelta(days=made.LOOKBACK_DAYS), today + timedelta(days=1))


def take(config: Config, warehouse: Warehouse, taking: Taking) -> Taken:
    """Bring what one source tells of a window into the warehouse.

    Raises `ProviderError` when it cannot be got and `DataError` when it cannot be taken; the
    warehouse is as before then, but for samples, which can not be had again.
    """
    name = taking.source
    provider = registry.connect(name, config.source(name), config.base)
    store = RawStore(warehouse, name)
    billed, listed = None, None
    try:
        delivery = provider.fetch(taking.window, store)
        if isinstance(provider, ChargeProvider):
            billed = charges.write(
                provider.charges(delivery, store.path),
                delivery,
                warehouse,
                lambda rows: progress.advance(name, rows),
            )
        if isinstance(provider, WorkloadProvider):
            listed = workloads.write(provider.workloads(delivery, store.path), delivery, warehouse)
            progress.advance(name, listed.rows)
        store.demand(delivery.objects)
    except BaseException as error:
        # Once the replacement is decided its rows will stand in the warehouse: whoever comes next
        # finishes it, and the raw objects are what proves them.
        with suppress(WarehouseError):  # the fault that led here is the one to tell
            if billed is None and not replacement.is_decided(warehouse, name):
                store.withdraw()
        if isinstance(error, PanicException):  # no Exception: it would take the others with it
            raise DataError(
                f"{name}: what came cannot be read ({error}); nothing of it was taken, please "
                f"report it with the reply"
            ) from None
        raise
    taken = Taken(name, provider.NAME, billed, listed)
    warehouse.replace(_receipt_key(config, taking), _receipt(taken))
    return taken


def is_taken(config: Config, warehouse: Warehouse, taking: Taking) -> bool:
    """Tell whether exactly this source and window were taken in before."""
    return warehouse.exists(_receipt_key(config, taking))


def _receipt_key(config: Config, taking: Taking) -> str:
    provider = config.source(taking.source).provider
    days = f"{taking.window.start}_{taking.window.end}"
    return f"{RECEIPTS}/provider={provider}/source={taking.source}/{days}.json"


def _receipt(taken: Taken) -> bytes:
    """Write what came and what was wrong with it: also an empty window is a finding."""
    facts = {
        **(_charge_facts(taken.charges) if taken.charges else {}),
        **({"workload_rows": taken.workloads.rows} if taken.workloads else {}),
        "issues": [
            {"where": issue.where, "severity": issue.severity, "message": issue.message}
            for issue in taken.issues
        ],
    }
    return json.dumps(facts, indent=1, sort_keys=True).encode()


def _charge_facts(ingested: Ingested) -> dict[str, object]:
    return {
        "rows": ingested.rows,
        "quarantined_rows": ingested.quarantined_rows,
        "outside_rows": ingested.outside_rows,
        "billed": {code: money.text(amount) for code, amount in ingested.billed.items()},
        "quarantined": {code: money.text(sum_) for code, sum_ in ingested.quarantined.items()},
        "reconciled": [
            {
                "what": each.what,
                "unit": each.unit,
                "stated": money.text(each.stated),
                "found": money.text(each.found),
                "agrees": each.agrees,
            }
            for each in ingested.reconciled
        ],
        "partitions": [partition.path for partition in ingested.partitions],
    }
