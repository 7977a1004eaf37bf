"""Commands about FOCUS files that come from others or go to them: focus check, export."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.text import Text

from finops import (
    companions,
    conformance,
    focus,
    focus_export,
    focus_requirements,
    focus_split_export,
    progress,
    tabular,
)
from finops.cli import terminal
from finops.cli.options import CONFIG, ConfigOption, FromOption, JsonOption, ToOption, app, window
from finops.conformance import Conformance, Result
from finops.errors import ConfigError
from finops.installation import Installation

focus_app = typer.Typer(
    help="FOCUS files: hold one against the specification.", no_args_is_help=True
)
app.add_typer(focus_app, name="focus")
export_app = typer.Typer(
    help="Hand data on to others as FOCUS: charges, allocations.", no_args_is_help=True
)
app.add_typer(export_app, name="export")

EXPORTS = "exports"
Done = focus_export.Exported | focus_split_export.Exported


@focus_app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A FOCUS bill, CSV or Parquet.")],
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Hold a bill of FOCUS 1.0 to 1.4 against the specification; nothing is written.

    Exits with 1 when an ingest would refuse the bill or set rows of it aside.
    """
    with terminal.watched():
        found = conformance.check(
            _opened(file), file.name, lambda rows: progress.advance(file.name, rows)
        )
    if json:
        terminal.as_json(_conformance(found))
    else:
        _show(found)
    if found.is_refused or found.sets_aside:
        raise typer.Exit(1)


VersionOption = Annotated[str, typer.Option("--focus-version", help="1.2, 1.3 or 1.4.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder; `exports` beside finops.toml if left out.")
]
SourceOption = Annotated[
    list[str] | None, typer.Option("--source", help="A source; may be repeated. All if left out.")
]


@export_app.command("focus")
def export_focus(  # noqa: PLR0913, PLR0917 - each is an option
    start: FromOption,
    end: ToOption,
    version: VersionOption = focus_export.VERSIONS[0],
    out: OutOption = None,
    sources: SourceOption = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Write the charges of some days as one FOCUS file, Parquet."""
    installation = Installation.open(config)
    days = window(start, end)
    with terminal.watched():
        done = focus_export.write(
            installation.warehouse,
            days,
            version,
            out or installation.config.base / EXPORTS,
            sources or (),
            lambda rows: progress.advance(f"FOCUS {version}", rows),
            installation.organization,
        )
    if json:
        terminal.as_json(_exported(done))
        return
    _show_sums(f"FOCUS {done.version}, {days.start} to {days.end}", done)
    terminal.show(f"{done.rows:,} rows: {done.path}")
    _warn_of_quarantine(done)


@export_app.command("allocated")
def export_allocated(
    period: Annotated[str, typer.Option("--period", help="Billing month, YYYY-MM.")],
    version: VersionOption = focus_export.VERSIONS[-1],
    out: OutOption = None,
    sources: SourceOption = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Write whose the charges of a month are as one FOCUS file, a row for each part, Parquet."""
    installation = Installation.open(config)
    with terminal.watched():
        done = focus_split_export.write(
            installation.warehouse,
            installation.ledger,
            installation.organization,
            period,
            version,
            out or installation.config.base / EXPORTS,
            sources or (),
            lambda rows: progress.advance(f"FOCUS {version}", rows),
        )
    if json:
        parts = {"period": done.period, "split_charges": done.split, "parts": done.parts}
        head = {"checkpoint": {"size": done.checkpoint.size, "root": done.checkpoint.root}}
        terminal.as_json({**_exported(done), **parts, **head})
        return
    _show_sums(f"FOCUS {done.version}, allocations of {done.period}", done)
    split = "1 charge is" if done.split == 1 else f"{done.split:,} charges are"
    terminal.show(f"{done.rows:,} rows, {split} split into {done.parts:,} of them: {done.path}")
    terminal.show(f"Checkpoint: size {done.checkpoint.size}, root {done.checkpoint.root}")
    _warn_of_quarantine(done)


def _show_sums(title: str, done: Done) -> None:
    columns = ["currency", *(f">{cost}" for cost in focus.COSTS)]
    rows = [
        (currency, *(terminal.amount(costs[cost]) for cost in focus.COSTS))
        for currency, costs in sorted(done.sums.items())
    ]
    terminal.table(title, columns, rows)


def _warn_of_quarantine(done: Done) -> None:
    if done.quarantined_rows:
        rows = "1 row" if done.quarantined_rows == 1 else f"{done.quarantined_rows:,} rows"
        sums = ", ".join(
            f"{terminal.amount(sum_)} {code}" for code, sum_ in done.quarantined.items()
        )
        said = f" left out: {rows} in quarantine, {sums} billed"
        terminal.complain(("warning:", "yellow"), said)


def _exported(done: Done) -> dict[str, object]:
    return {
        "path": str(done.path),
        "focus_version": done.version,
        "rows": done.rows,
        "sums": done.sums,
        "quarantined_rows": done.quarantined_rows,
        "quarantined": done.quarantined,
    }


def _opened(file: Path) -> pl.LazyFrame:
    if file.is_dir():
        raise ConfigError(f"{file}: is a folder; name one file in it")
    try:
        tables = tabular.tables(file, file.name)
        kept, _ = companions.set_apart(tables)
        return tabular.joined(kept or tables)
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file; check the name") from None
    except OSError as error:
        said = error.strerror or error
        raise ConfigError(f"{file}: cannot be read ({said}); grant read access") from None


def _show(found: Conformance) -> None:
    told = f": {found.rows:,} rows, FOCUS {found.version} by its columns"
    terminal.show((found.name, "bold"), told)
    if found.broken:
        columns = ["=column", "what is wrong", "=severity", ">broken", "first rows", "rule"]
        terminal.show()
        terminal.table("", columns, map(_row, found.broken))
    if found.unnamed_columns:
        terminal.show((f"other columns: {', '.join(found.unnamed_columns)}", "dim"))
    asked = [result for result in found.results if result.broken is not None]
    terminal.show(
        f"{len(asked)} requirements asked, {len(asked) - len(found.broken)} hold; "
        f"{len(found.results) - len(asked)} are about columns that the bill does not have"
    )
    terminal.show(_verdict(found))


def _row(result: Result) -> tuple[str | Text, ...]:
    requirement = result.requirement
    return (
        requirement.column,
        requirement.message,
        Text(requirement.severity, style=terminal.COLORS[requirement.severity]),
        f"{result.broken:,}",
        " ".join(map(str, result.first_rows)) or "all",
        " ".join(_short(rule) for rule in focus_requirements.rules_of(requirement.id)),
    )


def _short(rule: str) -> str:
    """Leave out the column, which stands in the same row: `C-004-C` of `RegionName-C-004-C`."""
    return rule.partition("-")[2]


def _verdict(found: Conformance) -> tuple[str, str]:
    if found.is_refused:
        return "An ingest would refuse this bill", "red"
    if found.sets_aside:
        return "An ingest would take this bill and set rows aside", "yellow"
    return "An ingest would take every row of this bill", "green"


def _conformance(found: Conformance) -> dict[str, object]:
    return {
        "file": found.name,
        "focus_version": found.version,
        "rows": found.rows,
        "is_refused": found.is_refused,
        "sets_rows_aside": found.sets_aside,
        "unnamed_columns": list(found.unnamed_columns),
        "requirements": [
            {
                "column": result.requirement.column,
                "message": result.requirement.message,
                "severity": result.requirement.severity,
                "asked": result.broken is not None,
                "broken_rows": result.broken or 0,
                "first_rows": list(result.first_rows),
                "focus_rules": list(focus_requirements.rules_of(result.requirement.id)),
            }
            for result in found.results
        ],
    }
