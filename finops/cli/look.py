"""Commands that look: budgets, report, trace."""

import re
from typing import Annotated

import typer
from rich.text import Text

from finops import budgets as budgeting
from finops import charges, tracing
from finops.charges import QUARANTINE
from finops.cli import terminal
from finops.cli.options import (
    CONFIG,
    EMPTY,
    ConfigOption,
    JsonOption,
    PeriodOption,
    app,
    period_or_none,
)
from finops.errors import ConfigError
from finops.installation import Installation
from finops.ledger import REFERENCE
from finops.partition import parse_period


def _used(status: budgeting.BudgetStatus) -> Text:
    used = f"{status.percent:.1f} %"
    return Text(f"! {used}", style="red") if status.is_over else Text(used)


@app.command()
def budgets(
    period: PeriodOption = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show spend against budget, worst first (the newest month when --period is left out)."""
    installation = Installation.open(config)
    month = period_or_none(period) or newest_period(installation)
    found = budgeting.statuses(
        installation.ledger.entries(period=month), installation.organization, month
    )
    if json:
        terminal.as_json(
            [
                {
                    "cost_center": status.cost_center,
                    "period": month,
                    "currency": status.currency,
                    "budget": status.amount,
                    "spent": status.spent,
                    "percent": status.percent,
                    "remaining": status.remaining,
                }
                for status in found
            ]
        )
        return
    rows = [
        (
            status.name,
            status.currency,
            terminal.amount(status.amount),
            terminal.amount(status.spent),
            _used(status),
        )
        for status in found
    ]
    columns = ["cost center", "currency", ">budget", ">spent", ">used"]
    terminal.table(f"Budgets {month}", columns, rows)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="Name of the report, such as monthly.")],
    period: Annotated[str, typer.Option("--period", help="Billing month, YYYY-MM.")],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Render a report from the ledger."""
    from reports import publishing, registry

    installation, month = Installation.open(config), parse_period(period)
    registry.renderer(name)  # a wrong name is said first
    _demand_billed(installation, month)
    published = publishing.publish(installation, name, month)
    if json:
        terminal.as_json({"path": str(published.path), "key": published.key})
        return
    terminal.show(f"{published.summary}\n{published.path}")


@app.command()
def trace(
    entry: Annotated[str, typer.Argument(help="A ledger entry: batch/row, such as 3/17.")],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Walk a ledger entry back: allocation, rule, charge, and the bytes the provider sent."""
    if not re.fullmatch(REFERENCE, entry):
        raise ConfigError(
            f"{entry!r} is no entry of a ledger; write batch/row, such as 42/17: `finops ledger "
            f"log` lists the batches, their rows count from 0"
        )
    installation = Installation.open(config)
    found = tracing.trace(installation.warehouse, installation.ledger, entry)
    if json:
        terminal.as_json(found.as_json())
        return
    for title, facts in found.sections():
        rows = [(name, terminal.fact(value)) for name, value in facts.items() if value is not None]
        terminal.table(title, ["", "value"], rows or [("", "no longer part of the bill")])


def newest_period(installation: Installation) -> str:
    """Find the newest billing month in the ledger; raises `ConfigError` when it is empty."""
    periods = [partition.period for partition in installation.ledger.partition_idem()]
    if not periods:
        raise ConfigError(EMPTY)
    return max(periods)


def _demand_billed(installation: Installation, month: str) -> None:
    """Raise `ConfigError` for a month that nothing was billed in, as far as anybody knows."""
    periods = {partition.period for partition in installation.ledger.partition_idem()}
    periods |= {each.period for each in charges.partitions(installation.warehouse, QUARANTINE)}
    if not periods:
        raise ConfigError(EMPTY)
    if month not in periods:
        raise ConfigError(
            f"--period: there are no charges of {month}; there are of {', '.join(sorted(periods))}"
        )
