"""What all commands share: the application and the options that mean the same everywhere."""

from typing import Annotated

import typer

from finops.config import FILE_NAME
from finops.partition import Window, parse_day, parse_period

app = typer.Typer(
    name="finops",
    help="Who spent what on GPUs, on which cloud, whether it was worth it, and the proof.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ConfigOption = Annotated[
    str, typer.Option("--config", help="The installation's finops.toml.", show_default=True)
]
FromOption = Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD (UTC).")]
ToOption = Annotated[str, typer.Option("--to", help="The day after the last one (UTC).")]
PeriodOption = Annotated[
    str | None, typer.Option("--period", help="Billing month, YYYY-MM; all when left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

CONFIG = FILE_NAME
EMPTY = "the ledger is empty; `finops run --from … --to …` fills it"


def window(start: str, end: str) -> Window:
    """Read --from and --to."""
    return Window(parse_day(start), parse_day(end))


def period_or_none(text: str | None) -> str | None:
    """Read --period."""
    return None if text is None else parse_period(text)
