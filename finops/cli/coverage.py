"""The command `coverage`: how much has an owner, and what would lift that most."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Annotated

import polars as pl
import typer
from rich.text import Text

from finops import accruals, money, quarantine, steps, trial, virtual_tags
from finops import coverage as covering
from finops import fixes as fixing
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
from finops.coverage import By, Line, Over, Share
from finops.errors import ConfigError
from finops.fixes import Fix
from finops.installation import Installation
from finops.organization import Organization
from finops.settings import suggestion
from finops.steps import StepSum

_HEADINGS: Mapping[str, str] = {By.COST_CENTER: "cost center"}
_BY = "provider, account, service, rule, cost-center, or a column or tag, such as Tags.env."
_PARTS = (">billed", ">allocated", ">unallocated", ">quarantined", ">coverage")


@app.command()
def coverage(
    period: PeriodOption = None,
    by: Annotated[str | None, typer.Option("--by", help=_BY)] = None,
    is_monthly: Annotated[bool, typer.Option("--monthly", help="Month by month.")] = False,  # noqa: FBT002
    is_daily: Annotated[bool, typer.Option("--daily", help="Day by day.")] = False,  # noqa: FBT002
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show how much of what was billed has an owner, and which tags would lift that most."""
    if is_monthly and is_daily:
        raise ConfigError("write --monthly or --daily, not both")
    installation = Installation.open(config)
    month = period_or_none(period)
    entries = installation.ledger.entries(period=month)
    aside = quarantine.parts(installation.warehouse, month)
    over = Over.MONTH if is_monthly else Over.DAY if is_daily else None
    people = installation.organization
    told_by = By.PROVIDER if by is None and over is None else _by(by, people)
    if isinstance(told_by, str) and not isinstance(told_by, By):
        held = virtual_tags.with_dimension(installation.warehouse, entries, people, told_by)
        lines = covering.lines(held, aside, pl.col(virtual_tags.DIMENSION), over)
    else:
        lines = covering.lines(entries, aside, told_by, over)
    if not lines:
        _demand_some(installation, month)
    wholes = {each: covering.whole(_shares(lines, each)) for each in _currencies(lines)}
    fixes = fixing.fixes(installation.warehouse, entries, people, wholes)
    decided, estimated = steps.by_step(entries), accruals.standing(entries)
    if json:
        told = _as_json(lines, wholes, fixes, told_by, over)
        nothing = Decimal(0)
        terminal.as_json(
            [
                {
                    **each,
                    "by_step": _of(decided, each),
                    "estimated": estimated.get(str(each["currency"]), nothing),
                }
                for each in told
            ]
        )
        return
    title = f"Coverage {month or 'of all periods'}"
    if isinstance(told_by, By) and told_by.is_outcome:
        _show_outcomes(title, lines, wholes, told_by, over, people)
    else:
        _show_parts(title, lines, wholes, told_by, over)
    for currency, value in estimated.items():
        terminal.show(f"{terminal.amount(value)} {currency} of it is estimated: not billed yet")
    if told_by is By.PROVIDER and over is None:
        terminal.show()
        _show_steps(decided)
    if fixes:
        terminal.show()
        _show_fixes(fixes, wholes, people)


def _by(text: str | None, people: Organization) -> By | str | None:
    """Read --by: one of the usual dimensions, or a column or tag of the charges."""
    if text is None or text.replace("_", "-") in set(By):
        return None if text is None else By(text.replace("_", "-"))
    usual = suggestion(text, [str(each) for each in By])
    if "did you mean" in usual and "." not in text:
        raise ConfigError(f"--by: {text!r} is nothing to tell apart; {usual}")
    trial.demand_column(text, "--by", people)
    return text


def _demand_some(installation: Installation, month: str | None) -> None:
    periods = {partition.period for partition in installation.ledger.partition_idem()}
    if not periods:
        raise ConfigError(EMPTY)
    raise ConfigError(
        f"--period: there are no charges of {month}; there are of {', '.join(sorted(periods))}"
    )


def _currencies(lines: Sequence[Line]) -> list[str]:
    return sorted({line.currency for line in lines})


def _shares(lines: Sequence[Line], currency: str) -> list[Share]:
    return [line.share for line in lines if line.currency == currency]


def _show_parts(
    title: str,
    lines: Sequence[Line],
    wholes: Mapping[str, Share],
    by: str | None,
    over: Over | None,
) -> None:
    """Show one table, or one for each currency where time has a column of its own.

    With time and names there is no room for more than what is billed, allocated and covered.
    """
    kept = [0, 1, 4] if by and over else range(len(_PARTS))
    names = [*([f"={over}"] if over else []), *([_HEADINGS.get(by, by)] if by else [])]
    parts = [_PARTS[place] for place in kept]
    rows: list[tuple[str | Text, ...]] = []
    for currency, whole in wholes.items():
        mine = [line for line in lines if line.currency == currency]
        rows += [
            (*_time(line, over), *_name(line, by), *_amounts(line.share, kept)) for line in mine
        ]
        blank = [""] * (len(names) - 1)
        total = (f"all {currency}", *blank, *_amounts(whole, kept))
        rows.append(tuple(Text(cell, "bold") for cell in total))
        if over:
            terminal.table(f"{title}, {currency}", [*names, *parts], rows)
            rows = []
    if rows:
        terminal.table(title, [*names, *parts], rows)


def _time(line: Line, over: Over | None) -> tuple[str, ...]:
    return (line.time or "",) if over else ()


def _name(line: Line, by: str | None) -> tuple[str, ...]:
    if by is None:
        return ()
    return (f"{line.provider} {line.name}" if line.provider else line.name,)


def _amounts(share: Share, kept: Sequence[int]) -> list[str]:
    amounts = (share.billed, share.allocated, share.unallocated, share.quarantined)
    shown = (*map(terminal.amount, amounts), terminal.percent(share.coverage))
    return [shown[place] for place in kept]


def _show_outcomes(
    title: str,
    lines: Sequence[Line],
    wholes: Mapping[str, Share],
    by: By,
    over: Over | None,
    people: Organization,
) -> None:
    """Show what each rule or cost center has of the bill."""
    heading = _HEADINGS.get(by, by)
    columns = [*([f"={over}"] if over else []), heading, "=currency", ">billed", ">of the bill"]
    rows: list[tuple[str | Text, ...]] = []
    for currency, whole in wholes.items():
        times = {line.time for line in lines if line.currency == currency}
        billed = {
            time: money.exact_sum(
                line.share.billed
                for line in lines
                if line.currency == currency and line.time == time
            )
            for time in times
        }
        for line in lines:
            if line.currency == currency:
                ratio = _ratio(line.share.billed, billed[line.time])
                amount = terminal.amount(line.share.billed)
                rows.append((*_time(line, over), _named(line, by, people), currency, amount, ratio))
        blank = [Text("")] if over else []
        total = terminal.amount(whole.billed)
        rows.append(
            (*blank, *(Text(cell, "bold") for cell in (f"all {currency}", currency, total, "")))
        )
    terminal.table(title, columns, rows)


def _named(line: Line, by: By, people: Organization) -> str | Text:
    if line.name in {covering.NOBODY, covering.IN_QUARANTINE}:
        return Text(line.name, style="yellow")
    center = people.cost_centers.get(line.name) if by is By.COST_CENTER else None
    return center.name if center else line.name


def _ratio(part: Decimal, whole: Decimal) -> str:
    if whole == 0:
        return ""
    quotient = money.CONTEXT.divide(part * 100, whole)
    return f"{quotient.quantize(Decimal('0.1'), ROUND_DOWN)} %"


def _show_fixes(fixes: Sequence[Fix], wholes: Mapping[str, Share], people: Organization) -> None:
    rows = [
        (
            _told(fix),
            _hint(fix, people),
            f"{terminal.amount(fix.amount)} {fix.currency}",
            f"+{fix.points} %",
            terminal.percent(fix.coverage),
        )
        for fix in fixes
    ]
    columns = ["what would lift it most", "perhaps", ">unallocated", ">points", ">then"]
    terminal.table("Cheapest fixes", columns, rows)
    for currency, whole in wholes.items():
        rest = money.CONTEXT.subtract(
            whole.unallocated,
            money.exact_sum(fix.amount for fix in fixes if fix.currency == currency),
        )
        if rest:
            terminal.show((f"{terminal.amount(rest)} {currency} more is unallocated", "dim"))


def _told(fix: Fix) -> Text:
    resources = ", ".join(fix.resources)
    more = fix.resource_count - len(fix.resources)
    if fix.resource_count == 1 and fix.kind is fixing.Kind.TAG:
        return terminal.plain(fix.told)
    shown = f"{resources}{f' and {more} more' if more else ''}"
    return Text.assemble(terminal.plain(fix.told), (f"\n{shown}" if shown else "", "dim"))


def _hint(fix: Fix, people: Organization) -> str:
    center = people.cost_centers.get(fix.hint or "")
    return center.name if center else fix.hint or ""


def _show_steps(decided: Sequence[StepSum]) -> None:
    rows = [
        (one.spoken, one.currency, terminal.amount(one.billed), terminal.amount(one.effective))
        for one in decided
    ]
    columns = ["step", "currency", ">billed", ">effective cost"]
    terminal.table("How it was decided", columns, rows)


def _of(decided: Sequence[StepSum], told: Mapping[str, object]) -> list[dict[str, str]]:
    return [one.as_json() for one in decided if one.currency == told["currency"]]


def _as_json(
    lines: Sequence[Line],
    wholes: Mapping[str, Share],
    fixes: Sequence[Fix],
    by: str | None,
    over: Over | None,
) -> Iterator[dict[str, object]]:
    for currency, whole in wholes.items():
        mine = [line for line in lines if line.currency == currency]
        told: dict[str, object] = {"currency": currency, **whole.as_json()}
        if over is None and by is not None:
            told[f"by_{by.replace('-', '_')}"] = [_line(line, by) for line in mine]
        elif over is not None:
            told[f"by_{over}"] = [{str(over): line.time, **_line(line, by)} for line in mine]
        told["fixes"] = [_fix(fix) for fix in fixes if fix.currency == currency]
        yield told


def _line(line: Line, by: str | None) -> dict[str, str]:
    named = {} if by is None else {by.replace("-", "_"): line.name}
    provider = {} if line.provider is None else {"provider": line.provider}
    return {**provider, **named, **line.share.as_json()}


def _fix(fix: Fix) -> dict[str, object]:
    return {
        "fix": fix.told,
        "kind": fix.kind,
        "column": fix.column,
        "value": fix.value,
        "provider": fix.provider,
        "account": fix.account,
        "account_name": fix.account_name,
        "resources": list(fix.resources),
        "resource_count": fix.resource_count,
        "charges": fix.charges,
        "amount": fix.amount,
        "points": fix.points,
        "coverage": fix.coverage,
        "perhaps": fix.hint,
    }
