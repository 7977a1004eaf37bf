"""Commands that do the work: ingest, attribute, run, demo, serve."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from finops.cli import demonstration, serving, terminal
from finops.cli.options import CONFIG, ConfigOption, FromOption, JsonOption, ToOption, app, window
from finops.installation import Installation
from finops.ledger import Appended
from providers.intake import Taken

SourcesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[SOURCE]...", help="All when left out.")
]


@app.command()
def ingest(
    start: FromOption,
    end: ToOption,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Names from finops.toml.")
    ],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Bring the charges of sources into the warehouse."""
    from flows.ingest import ingest_sources

    with terminal.watched():
        outcomes = ingest_sources(config, sources, window(start, end), datetime.now(UTC).date())
    _show_taken(outcomes.results, json=json)
    _fail(outcomes.failures)


@app.command()
def attribute(
    start: FromOption,
    end: ToOption,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Say whose the charges are and post it to the ledger."""
    from flows.attribute import attribute_window

    with terminal.watched():
        outcomes = attribute_window(config, window(start, end), datetime.now(UTC))
    _show_appended(outcomes.results, json=json)
    _fail(outcomes.failures)


@app.command()
def run(
    start: FromOption,
    end: ToOption,
    sources: SourcesArgument = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Do all of it: ingest, attribute, publish the report, send alerts."""
    from flows.cycle import run_cycle

    days = window(start, end)
    with terminal.watched():
        done = run_cycle(config, sources, days, datetime.now(UTC))
    if json:
        terminal.as_json(
            {
                "ingested": [_taken(one) for one in done.ingested],
                "batches": [one.index for one in done.appended],
                "reports": [str(one.path) for one in done.published],
                "failures": [str(failure) for failure in done.failures],
            }
        )
    else:
        _show_taken(done.ingested, json=False)
        if done.ingested:
            _show_appended(done.appended, json=False)
        for page in done.published:
            terminal.show(f"{page.summary}\nReport: {page.path}")
    for source in Installation.open(config).forgotten_sources():
        terminal.complain(
            ("warning:", "yellow"),
            f" the warehouse holds charges of source {source!r}, which finops.toml does not name; "
            f"they still count",
        )
    _fail(done.failures)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo company.")] = Path("demo"),
) -> None:
    """Run the whole pipeline on a demo company, without a server or credentials."""
    demonstration.run(out)


@app.command()
def serve(
    config: ConfigOption = CONFIG,
    port: Annotated[int, typer.Option(help="Port of the Prefect server it starts.")] = 4200,
) -> None:
    """Serve the flows to a Prefect server, hourly; starts a local one without PREFECT_API_URL."""
    installation = Installation.open(config)
    serving.serve(installation.config, Path(config).resolve(), port)


def _taken(one: Taken) -> dict[str, object]:
    charged = one.charges
    facts: dict[str, object] = {"source": one.source, "provider": one.provider}
    if charged:
        facts |= {
            "rows": charged.rows,
            "quarantined_rows": charged.quarantined_rows,
            "outside_rows": charged.outside_rows,
            "billed": charged.billed,
            "quarantined": charged.quarantined,
            "rounding": charged.rounding,
        }
    if one.workloads:
        facts["workload_rows"] = one.workloads.rows
    return {**facts, "issues": [str(issue) for issue in one.issues]}


def _show_taken(done: Iterable[Taken], *, json: bool) -> None:
    results = list(done)
    if json:
        terminal.as_json([_taken(one) for one in results])
        return
    if results:
        columns = ["source", "provider", ">charges", ">quarantined", ">workloads", ">billed"]
        terminal.table("Ingested", columns, [_row(one) for one in results])
    for one in results:
        terminal.issues(one.issues)


def _row(one: Taken) -> tuple[str, ...]:
    charged, listed = one.charges, one.workloads
    billed = charged.billed if charged else {}
    return (
        one.source,
        one.provider,
        f"{charged.rows:,}" if charged else "",
        f"{charged.quarantined_rows:,}" if charged else "",
        f"{listed.rows:,}" if listed else "",
        ", ".join(f"{terminal.amount(value)} {code}" for code, value in billed.items()),
    )


def _show_appended(done: Iterable[Appended], *, json: bool) -> None:
    batches = list(done)
    if json:
        terminal.as_json(
            [{"batch": one.index, "rows": one.rows, "root": one.checkpoint.root} for one in batches]
        )
        return
    for one in batches:
        terminal.show(
            f"Ledger: batch {one.index} with {one.rows:,} entries, "
            f"size {one.checkpoint.size}, root {one.checkpoint.root}"
        )
    if not batches:
        terminal.show("Ledger: nothing changed, no new batch")


def _fail(failures: Iterable[object]) -> None:
    told = [str(failure) for failure in failures]
    for failure in told:
        terminal.complain((f"error: {failure}", "red"))
    if told:
        raise typer.Exit(1)
