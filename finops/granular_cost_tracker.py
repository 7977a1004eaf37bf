"""`GranularCostTracker`: cost centers and budgets, in the organization's own file."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from finops import alerting, budgets, cost_center_file
from finops.alerting import Alert, Outbox
from finops.budgets import BudgetStatus
from finops.config import FILE_NAME
from finops.errors import ConfigError, ExportError, Issue
from finops.gpu_usage import decimal_of
from finops.identity import slug
from finops.installation import Installation
from finops.organization import Budget, CostCenter, CostCenterType
from finops.partition import parse_period
from finops.settings import issues_of

AlertHandler = Callable[[Alert], Awaitable[None] | None]
"""Is told one alert, and may be async; what it raises counts as not told."""


@dataclass(frozen=True, slots=True)
class KnownCostCenter:
    """A cost center as organization.toml has it."""

    id: str
    type: CostCenterType
    name: str
    parent_id: str | None
    budget: Budget | None
    owners: tuple[str, ...] = ()


class GranularCostTracker:
    """Cost centers, budgets, and who is told when one is used up."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._handlers: dict[str, AlertHandler] = {}

    @classmethod
    def from_config(cls, path: str | Path = FILE_NAME) -> "GranularCostTracker":
        """Open the installation at `path`; raises `ConfigError` naming every mistake in it."""
        return cls(Installation.open(path))

    def create_cost_center(
        self,
        cost_center_type: str,
        name: str,
        *,
        parent_id: str | None = None,
        budget_limit: Decimal | float | None = None,
        currency: str = "USD",
        owners: Sequence[str] = (),
    ) -> KnownCostCenter:
        """Write a cost center into organization.toml, unless it is there.

        Its id is the slug of its name: `AI Division` is `ai_division`. `budget_limit` is for a
        month, with everything below it. Raises `ConfigError` when another cost center has that
        id, saying what differs, or when there is no such parent.
        """
        amount = decimal_of(budget_limit)
        given = {
            "type": cost_center_type,
            "name": name,
            "parent": parent_id,
            "owners": tuple(owners),
            "budget": None if amount is None else {"amount": amount, "currency": currency},
        }
        where = f"create_cost_center({name!r})"
        try:
            center = CostCenter.model_validate(given)
        except ValidationError as error:
            raise ConfigError.of(issues_of(error, where, CostCenter)) from None
        if not slug(name):
            raise ConfigError(f"{where}: the name has no letter a to z and no digit; give another")
        path = self._installation.config.organization_path
        kept = cost_center_file.add(path, slug(name), center)
        return _known(slug(name), kept)

    def cost_centers(self) -> list[KnownCostCenter]:
        """List the cost centers, in the order of the file."""
        centers = self._fresh().organization.cost_centers
        return [_known(id_, center) for id_, center in centers.items()]

    def as_toml(self) -> str:
        """Write all cost centers as TOML, such as for another installation."""
        return cost_center_file.tables(self._fresh().organization)

    def budgets(self, period: str) -> list[BudgetStatus]:
        """Compute every budget of a billing month such as 2026-10, worst first."""
        installation, month = self._fresh(), parse_period(period)
        entries = installation.ledger.entries(period=month)
        return budgets.statuses(entries, installation.organization, month)

    def add_alert_handler(self, handler: AlertHandler, name: str | None = None) -> None:
        """Have `handler` told every budget alert once, whichever process finds it.

        What it was told is remembered under `name`, which is that of the function when left out.
        """
        named = name or f"{handler.__module__}.{getattr(handler, '__qualname__', '')}"
        self._handlers[f"handler-{slug(named)}"] = handler

    async def check_alerts(self, period: str | None = None) -> list[Alert]:
        """Tell the handlers what they were not told before, and return it.

        `period` is this month when left out. Raises `ExportError` when a handler failed: the
        others were told, and it is told again at the next check.
        """
        now = datetime.now(UTC)
        month = parse_period(period or f"{now:%Y-%m}")
        loop = asyncio.get_running_loop()

        def call(handler: AlertHandler, alert: Alert) -> None:
            told = handler(alert)
            if inspect.isawaitable(told):
                asyncio.run_coroutine_threadsafe(_awaited(told), loop).result()

        return await asyncio.to_thread(self._told, month, now, call)

    def check_alerts_sync(self, period: str | None = None) -> list[Alert]:
        """Do as `check_alerts` does, where no event loop runs."""
        return asyncio.run(self.check_alerts(period))

    def _told(
        self, month: str, now: datetime, call: Callable[[AlertHandler, Alert], None]
    ) -> list[Alert]:
        installation = self._fresh()
        due = alerting.due(self.budgets(month), installation.config.alerts.thresholds, month)
        outbox = Outbox(installation.warehouse)
        told: dict[str, Alert] = {}
        failed: list[Issue] = []
        for channel, handler in self._handlers.items():
            for center in dict.fromkeys(alert.cost_center for alert in due):
                of_center = [alert for alert in due if alert.cost_center == center]

                def send(alerts: Sequence[Alert], handler: AlertHandler = handler) -> list[Issue]:
                    for alert in alerts:
                        call(handler, alert)
                    return []

                try:
                    delivered = outbox.deliver(channel, of_center, send, now)
                except Exception as error:  # noqa: BLE001 - whatever a handler raises, others go on
                    failed.append(Issue(channel, f"{type(error).__name__}: {error}"))
                else:
                    told |= {alert.key: alert for alert in delivered.alerts}
        if failed:
            raise ExportError.of(failed)
        return list(told.values())

    def _fresh(self) -> Installation:
        """Open the installation as it is now: its files may have changed since."""
        return Installation(self._installation.config)


def _known(id_: str, center: CostCenter) -> KnownCostCenter:
    return KnownCostCenter(
        id_, center.type, center.name, center.parent, center.budget, center.owners
    )


async def _awaited(told: Awaitable[None]) -> None:
    await told
