"""Commands that judge rules: rules lint, rules diff."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from finops import charges, linting, money, moved, organization, trial
from finops.cli import terminal
from finops.cli.options import CONFIG, ConfigOption, JsonOption, PeriodOption, period_or_none
from finops.cli.rules import amounts, rules_app
from finops.errors import ConfigError, Severity
from finops.installation import Installation
from finops.linting import Finding
from finops.moved import Balance, Move, Moved
from finops.organization import Organization
from finops.partition import parse_period

_NOBODY = "nobody"
_MOST_MOVES = 10


@rules_app.command()
def lint(
    period: PeriodOption = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Find rules that are unreachable, dead or overlapping, and what nobody uses.

    Exits with 1 when there is anything but overlaps, which may be meant.
    """
    installation = Installation.open(config)
    month = period_or_none(period)
    people = installation.organization
    has_charges = bool(charges.partitions(installation.warehouse))
    if month and not has_charges:
        raise ConfigError("--period: there are no charges; `finops ingest` brings them")
    trials = trial.try_rules(installation.warehouse, people, month) if has_charges else []
    found = linting.lint(people, trials, month)
    faults = [each for each in found if each.fault.severity is not Severity.INFO]
    if json:
        terminal.as_json({"period": month, "findings": [each.as_json() for each in found]})
    else:
        _show_findings(found, month)
        if not has_charges:
            terminal.show(
                ("there are no charges yet: only what can be proven was looked at", "dim")
            )
        rules = f"{len(people.rules)} rules" if len(people.rules) != 1 else "1 rule"
        faulty = f"{len(faults)} to correct" if faults else "nothing to correct"
        terminal.show((f"{rules}: {faulty}", "yellow" if faults else "green"))
    if faults:
        raise typer.Exit(1)


def _show_findings(found: Sequence[Finding], month: str | None) -> None:
    if found:
        rows = [
            (
                Text(each.fault, style=terminal.COLORS[each.fault.severity]),
                each.subject,
                each.message,
                f"{each.charges:,}" if each.charges else "",
                Text(amounts(each.billed)),
            )
            for each in found
        ]
        columns = ["=fault", "of", "why", ">charges", ">billed"]
        terminal.table(f"Rules held against {month or 'all periods'}", columns, rows)


@rules_app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="An organization.toml.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The other one.")],
    period: Annotated[str, typer.Option("--period", help="Billing month, YYYY-MM.")],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show who would gain and lose if NEW took the place of OLD. Nothing is written.

    Spend is EffectiveCost, BilledCost where there is none, as in budgets.
    """
    month = parse_period(period)
    before, after = (organization.load(path, str(path)) for path in (old, new))
    installation = Installation.open(config)
    with terminal.watched():
        found = moved.compare(installation.warehouse, before, after, month)
    if json:
        terminal.as_json(_as_json(found))
        return
    names = _names(before, after)
    moving = [each for each in found.balances if each.moves]
    if not moving:
        terminal.show(
            (
                f"Nothing moves: both say the same of the {found.charges:,} charges of {month}",
                "green",
            )
        )
        return
    columns = ["cost center", "=currency", ">before", ">after", ">change"]
    rows = [row for currency in found.currencies for row in _rows(found, currency, names)]
    terminal.table(f"Who gains and who loses, {month}", columns, rows)
    resting = len(found.balances) - len(moving)
    if resting:
        terminal.show((f"{resting} more carry what they carried, see --json", "dim"))
    terminal.show()
    columns = ["what", "from", "to", ">charges", ">amount"]
    shown = found.moves[:_MOST_MOVES]
    terminal.table("What moves most", columns, [_move(each, names) for each in shown])
    terminal.show(f"{found.moved_charges:,} of {found.charges:,} charges move")


def _names(*people: Organization) -> dict[str | None, str]:
    known = [item for each in people for item in each.cost_centers.items()]
    return {None: _NOBODY, **{id_: center.name for id_, center in known}}


def _rows(
    found: Moved, currency: str, names: dict[str | None, str]
) -> Iterator[tuple[str | Text, ...]]:
    balances = found.of_currency(currency)
    moving = [each for each in balances if each.moves]
    if not moving:
        return
    for each in moving:
        spent = (terminal.amount(each.spent_before), terminal.amount(each.spent_after))
        yield names[each.cost_center], currency, *spent, _signed(each)
    before, after = (
        terminal.amount(money.exact_sum(amounts_))
        for amounts_ in (
            [each.spent_before for each in balances],
            [each.spent_after for each in balances],
        )
    )
    yield (
        Text("all, also those that rest", style="bold"),
        Text(currency, style="bold"),
        Text(before, style="bold"),
        Text(after, style="bold"),
        Text(terminal.amount(Decimal(0)), style="bold"),
    )


def _signed(balance: Balance) -> Text:
    change = f"{balance.change:+,.2f}"
    if balance.change == 0:
        return Text("billed only", style="dim")
    if balance.cost_center is None:
        return Text(change, style="yellow" if balance.change > 0 else "green")
    return Text(change)


def _move(move: Move, names: dict[str | None, str]) -> tuple[str | Text, ...]:
    what = [move.about["service_provider"], move.about["service"], move.about["resource"]]
    return (
        Text(" ".join(text for text in what if text)),
        Text(_whom(move.losing, move.rule_before, names)),
        Text(_whom(move.gaining, move.rule_after, names)),
        f"{move.charges:,}",
        f"{terminal.amount(move.amount)} {move.currency}",
    )


def _whom(centers: Sequence[str | None], rule: str | None, names: dict[str | None, str]) -> str:
    shown = [names[center] for center in centers[:3]]
    more = len(centers) - len(shown)
    by = f"\nby {rule}" if rule else ""
    return ", ".join(shown) + (f" and {more} more" if more else "") + by


def _as_json(found: Moved) -> dict[str, object]:
    return {
        "period": found.period,
        "charges": found.charges,
        "moved_charges": found.moved_charges,
        "balances": [
            {
                "currency": each.currency,
                "cost_center": each.cost_center,
                "spent_before": each.spent_before,
                "spent_after": each.spent_after,
                "change": each.change,
                "billed_before": each.billed_before,
                "billed_after": each.billed_after,
            }
            for each in found.balances
        ],
        "moves": [
            {
                "charge_id": each.charge_id,
                "charges": each.charges,
                **each.about,
                "currency": each.currency,
                "amount": each.amount,
                "from": list(each.losing),
                "to": list(each.gaining),
                "rule_before": each.rule_before,
                "rule_after": each.rule_after,
            }
            for each in found.moves
        ],
    }
