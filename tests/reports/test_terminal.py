"""Alerts in the terminal."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from finops import progress
from reports.terminal import Terminal
from tests.reports.alerts_sample import alert


def printed(name: str, link: str | None) -> str:
    out = io.StringIO()
    Terminal(Console(file=out, width=40)).send([alert(name)], "October 2026: all is well", link)
    return out.getvalue()


def test_an_alert_is_one_line_with_its_figures() -> None:
    lines = printed("Perception", "https://reports.example/october").splitlines()
    assert lines == [
        "Budget alert, October 2026",
        "  ● Perception has reached 80 % of its budget: 8,800.00 of 11,000.00 USD (80.00 %)",
        "October 2026: all is well",
        "Report: https://reports.example/october",
    ]


def test_markup_in_a_name_is_text() -> None:
    assert "[bold]x[/bold]" in printed("[bold]x[/bold]", None)


def test_progress_steps_aside_so_that_it_does_not_overwrite_the_alerts() -> None:
    out = io.StringIO()

    class Bars(progress.Listener):
        def advance(self, what: str, units: int) -> None: ...

        @contextmanager
        def aside(self) -> Iterator[None]:
            out.write("bars are gone\n")
            yield
            out.write("bars are back\n")

    with progress.heard_by(Bars()):
        Terminal(Console(file=out, width=40)).send([alert("Perception")], "all is well", None)
    first, *between, last = out.getvalue().splitlines()
    assert (first, len(between), last) == ("bars are gone", 3, "bars are back")
