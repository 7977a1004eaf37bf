"""The monthly report: one HTML page that needs nothing from anywhere else.

No script, no font, no image is fetched: the page forbids it to itself by a Content Security
Policy, so that it can be mailed, archived and opened years later. The same statement gives the
same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from finops import money
from finops.budgets import BudgetStatus
from finops.checks import NO_CURRENCY
from finops.movers import Mover, Subject
from finops.statement import CurrencyStatement, GpuLine, Statement
from reports import charts, figures, wording

_CLOSE_PERCENT = 80


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a budget stands: a mark that is seen without colour, a style, and words."""

    mark: str
    style: str
    words: str


def render(statement: Statement) -> str:
    """Render `statement` as a whole HTML page (write it as UTF-8)."""
    return environment().get_template("monthly.html.j2").render(statement=statement)


def environment(*, escape: bool = True) -> Environment:
    """Make the template environment: HTML is escaped, and an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=escape,  # noqa: S701 - off for plain text only
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "amount": figures.amount,
        "change": figures.change,
        "exact": money.text,
        "hours": figures.hours,
        "percent": figures.percent,
        "share": figures.share,
    }
    made.globals |= {
        "budget_bars": charts.budget_bars,
        "gpu_models": gpu_models,
        "movers_of": movers_of,
        "no_currency": NO_CURRENCY,
        "portion": charts.portion,
        "relative": figures.relative,
        "remedy_of": wording.remedy,
        "trend": charts.trend,
        "verdict": verdict,
    }
    return made


def verdict(status: BudgetStatus) -> Verdict:
    """Judge a budget: over, heading over at this pace, close, or within."""
    if status.is_over:
        return Verdict("▲", "over", f"over by {figures.amount(-status.remaining)}")
    if status.forecast is not None and status.forecast > status.amount:
        return Verdict("◆", "warn", "heading over at this pace")
    if status.percent >= _CLOSE_PERCENT:
        return Verdict("●", "warn", "close to its limit")
    return Verdict("✓", "good", "within budget")


def gpu_models(block: CurrencyStatement) -> Iterator[tuple[str, list[GpuLine], Decimal]]:
    """Group the GPU lines by model, with the highest price of each model."""
    for model, lines in groupby(block.gpus, key=lambda line: line.model):
        found = list(lines)
        prices = (line.cost_per_gpu_hour or Decimal(0) for line in found)
        yield model, found, max(prices)


def movers_of(block: CurrencyStatement) -> Iterator[tuple[str, list[Mover]]]:
    """Group the movers by what moved, with a heading."""
    for subject in Subject:
        yield (
            f"{subject.value.capitalize()}s",
            [each for each in block.movers if each.subject is subject],
        )
