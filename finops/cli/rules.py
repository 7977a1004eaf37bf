"""Commands about the rules of organization.toml: rules test, lint, diff."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated

import typer
from rich.text import Text

from finops import money, takings, trial
from finops.cli import terminal
from finops.cli.options import (
    CONFIG,
    ConfigOption,
    JsonOption,
    PeriodOption,
    app,
    period_or_none,
)
from finops.errors import ConfigError
from finops.installation import Installation
from finops.takings import Because, Near, Taking
from finops.trial import Attempt, Trial

rules_app = typer.Typer(
    help="Rules: try them, find faulty ones, see what a change would move.", no_args_is_help=True
)
app.add_typer(rules_app, name="rules")

_MOST_NEAR = 10
_ID_SHOWN = 12


@rules_app.command("test")
def try_rules(
    charge: Annotated[
        str | None, typer.Option("--charge", help="One charge, by its id or the beginning of it.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Only these; may be repeated."),
    ] = None,
    period: PeriodOption = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show which rule takes which charges, and why. Nothing is written.

    VALUE is text or a pattern with * and ?; none (`Tags.team=`) means charges that have no value.
    """
    installation = Installation.open(config)
    organization = installation.organization
    if charge is not None:
        if where or period:
            raise ConfigError("--charge names one charge: leave out --where and --period")
        _show_charge(*takings.charge(installation.warehouse, organization, charge), json=json)
        return
    match = trial.where(where or (), organization)
    month = period_or_none(period)
    trials = trial.try_rules(installation.warehouse, organization, month, match)
    if match:
        trials = [each.only(match) for each in trials]
    taken = takings.takings(trials, organization)
    near = takings.nearly(trials, only_unallocated=not match)
    if not taken:
        raise ConfigError(f"--where: no charge of {month or 'any period'} meets this")
    if json:
        terminal.as_json(
            {
                "period": month,
                "rules": [each.as_json() for each in taken],
                "nearly": [each.as_json() for each in near],
            }
        )
        return
    _show_takings(taken, near, month)
    idle = len(organization.rules) - len({each.rule for each in taken if each.rule is not None})
    if idle and not match:
        rules = "1 rule takes" if idle == 1 else f"{idle} rules take"
        terminal.show((f"{rules} none of these charges; `finops rules lint` says why", "dim"))


def _show_takings(taken: Sequence[Taking], near: Sequence[Near], month: str | None) -> None:
    columns = ["rule", "goes to", "because", ">charges", ">billed"]
    title = f"What the rules take, {month or 'all periods'}"
    terminal.table(title, columns, [_taking_row(each) for each in taken])
    if near:
        columns = ["rule", "would need", "but it is", "taken by", ">charges", ">billed"]
        terminal.show()
        terminal.table("Nearly matched", columns, [_near_row(each) for each in near[:_MOST_NEAR]])
        if len(near) > _MOST_NEAR:
            terminal.show((f"and {len(near) - _MOST_NEAR} more, see --json", "dim"))


def _taking_row(taking: Taking) -> tuple[str | Text, ...]:
    why = taking.reason or "\n".join(_because(each) for each in taking.because)
    is_lost = taking.rule is None
    return (
        Text("unallocated", style="yellow") if is_lost else taking.rule or "",
        taking.outcome,
        Text(why, style="yellow") if is_lost else Text(why),
        f"{taking.charges:,}",
        Text(amounts(taking.billed)),
    )


def _because(because: Because) -> str:
    values = " ".join(_value(value) for value in because.values)
    more = because.distinct - len(because.values)
    return f"{because.column} = {values}" + (f" and {more} more" if more else "")


def _value(value: str | None) -> str:
    return "nothing" if value is None else repr(value)


def _near_row(near: Near) -> tuple[str | Text, ...]:
    return (
        near.rule,
        f"{near.column} {near.condition}",
        _value(near.value),
        near.taken_by or Text("nobody", style="yellow"),
        f"{near.charges:,}",
        Text(amounts(near.billed)),
    )


def amounts(by_currency: Mapping[str, Decimal]) -> str:
    """Show money of several currencies, one a line."""
    return "\n".join(f"{terminal.amount(sum_)} {code}" for code, sum_ in by_currency.items())


def _show_charge(one: Trial, facts: Mapping[str, object], *, json: bool) -> None:
    tried = trial.attempts(one, 0)
    decided = one.sets.row(0, named=True)
    told = {name: decided[name] for name in ("step", "rule", "cost_center", "split", "reason")}
    if json:
        shown = {name: _plain(value) for name, value in facts.items()}
        terminal.as_json({"charge": shown, **told, "tried": [_attempt(each) for each in tried]})
        return
    looked_at = [
        name
        for name in ("ServiceProviderName", "ServiceName", "ResourceId", "SubAccountId", "Tags")
        if name in facts
    ]
    rows = [(name, terminal.fact(facts[name])) for name in looked_at]
    billed = f"{money.text(Decimal(str(facts['BilledCost'])))} {facts['BillingCurrency']}"
    terminal.table(
        f"Charge {str(facts['x_ChargeId'])[:_ID_SHOWN]}", ["", "value"], [("billed", billed), *rows]
    )
    terminal.show()
    shown_attempts = [each for each in tried if each.takes or each.nearly]
    columns = ["rule", "", "condition", "the charge's value"]
    table = [row for each in shown_attempts for row in _attempt_rows(each)]
    if table:
        terminal.table("Rules tried", columns, table)
    others = len(tried) - len(shown_attempts)
    if others:
        terminal.show((f"{others} earlier rules ask for something else, see --json", "dim"))
    terminal.show(_verdict(told))


def _plain(value: object) -> object:
    return value if isinstance(value, Decimal | int | bool) else str(value)


def _verdict(told: Mapping[str, str | None]) -> tuple[str, str]:
    if told["cost_center"] or told["split"]:
        whose = told["cost_center"] or f"split {told['split']}"
        return f"Goes to {whose}, by rule {told['rule']}", "green"
    return f"Unallocated: {told['reason']}", "yellow"


def _attempt_rows(attempt: Attempt) -> Iterator[tuple[str | Text, ...]]:
    for place, tried in enumerate(attempt.tried):
        mark = Text("✓", style="green") if tried.held else Text("✗", style="red")
        verdict = "takes it" if attempt.takes else "nearly"
        name = f"{attempt.rule.id} ({verdict})" if place == 0 else ""
        yield name, mark, f"{tried.column} {tried.condition}", _value(tried.value)


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "rule": attempt.rule.id,
        "takes": attempt.takes,
        "nearly": attempt.nearly,
        "conditions": [
            {
                "column": each.column,
                "condition": each.condition,
                "value": each.value,
                "held": each.held,
            }
            for each in attempt.tried
        ],
    }
