"""What the terminal shows: tables, amounts, progress."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_DOWN, Decimal
from threading import Lock

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from finops import money, progress
from finops.errors import Issue, Severity

# Pipes and logs have no width: wide enough that tables lose nothing there.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140

# Without markup and emoji: `[sources.aws]` and `:id:` in what is shown are meant as they stand.
_AS_IT_STANDS: dict[str, bool] = {"highlight": False, "markup": False, "emoji": False}
output = Console(soft_wrap=True, width=_WIDTH, **_AS_IT_STANDS)  # type: ignore[arg-type]
errors = Console(stderr=True, soft_wrap=True, **_AS_IT_STANDS)  # type: ignore[arg-type]

Part = str | tuple[str, str]
"""A piece of a line: text, or text and a style such as `red`."""

COLORS = {
    Severity.INFO: "dim",
    Severity.WARNING: "yellow",
    Severity.QUARANTINE: "yellow",
    Severity.FATAL: "red",
}


def amount(value: Decimal) -> str:
    """Show money for reading: two decimals and thousands separators."""
    return f"{value:,.2f}"


def fact(value: object) -> str:
    """Show any value in full: money without exponent or trailing zeros."""
    return money.text(value) if isinstance(value, Decimal) else str(value)


def percent(ratio: Decimal) -> str:
    """Show a ratio as a percentage with one decimal, rounded down: 100 % means all of it."""
    return f"{(ratio * 100).quantize(Decimal('0.1'), ROUND_DOWN)} %"


def show(*parts: Part) -> None:
    """Print a line, or several."""
    output.print(_line(parts))


def complain(*parts: Part) -> None:
    """Print a line, or several, where errors go."""
    errors.print(_line(parts))


def plain(text: str) -> Text:
    """Show what came from outside as it is, in one line: no markup, no control characters."""
    return Text(_printable(text.replace("\n", " ")))


def _line(parts: Iterable[Part]) -> Text:
    styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
    return Text.assemble(*((_printable(text), style) for text, style in styled))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table.

    Columns whose heading begins with `>` are aligned to the right; those and the ones that begin
    with `=` are never broken into lines.
    """
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        shown.add_column(
            column.lstrip(">="),
            justify="right" if column.startswith(">") else "left",
            no_wrap=column.startswith((">", "=")),
            overflow="fold",  # a long name goes on in the next line, it is not cut off
        )
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    output.print(shown, soft_wrap=False)


def as_json(value: object) -> None:
    """Print JSON, decimals as text."""
    sys.stdout.write(json.dumps(value, indent=2, default=fact) + "\n")


def issues(found: Iterable[Issue]) -> None:
    """Print what was wrong with the data, one finding a line."""
    for issue in found:
        complain((f"{issue.severity}:", COLORS[issue.severity]), f" {issue}")


@contextmanager
def watched() -> Iterator[None]:
    """Show the progress of long steps, when a person is watching."""
    if not errors.is_terminal:
        yield
        return
    bars = _Bars()
    with progress.heard_by(bars), bars.shown():
        yield


class _Bars(progress.Listener):
    """One line for each kind of work, made when it is first heard of."""

    def __init__(self) -> None:
        self._bars = _bars()
        self._lines: dict[str, TaskID] = {}
        self._lock = Lock()

    def advance(self, what: str, units: int) -> None:
        with self._lock:
            if what not in self._lines:
                self._lines[what] = self._bars.add_task(what, total=None)
            self._bars.advance(self._lines[what], units)

    @contextmanager
    def shown(self) -> Iterator[None]:
        self._bars.start()
        try:
            yield
        finally:
            self._bars.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the lines off the screen, and begin anew below what is printed meanwhile."""
        with self._lock:
            self._bars.stop()
            yield
            # Bars that were stopped would be drawn where they last stood, over what was printed.
            self._bars, self._lines = _bars(), {}
            self._bars.start()


def _bars() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.completed:,.0f} rows", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=errors, transient=True)
