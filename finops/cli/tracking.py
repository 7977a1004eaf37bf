"""Commands about work as it runs: track, accrue."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from finops.accruals import Accrued
from finops.cli import terminal
from finops.cli.options import CONFIG, ConfigOption, JsonOption, app
from finops.errors import ConfigError
from finops.gpu_usage import GpuUsage
from finops.installation import Installation

_TEXT = str | None
_TAG = re.compile(r"([^=]+)=(.*)", re.DOTALL)


# Options end where the command begins, with or without `--`: its own are its own.
@app.command(context_settings={"allow_interspersed_args": False})
def track(  # noqa: PLR0913, PLR0917 - an option for each thing that can be said
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="What to run.")
    ] = None,
    team: Annotated[_TEXT, typer.Option(help="Whose it is, as in organization.toml.")] = None,
    project: Annotated[_TEXT, typer.Option(help="The project, likewise.")] = None,
    business_unit: Annotated[_TEXT, typer.Option(help="The business unit, likewise.")] = None,
    user: Annotated[_TEXT, typer.Option(help="Who runs it; kept as a pseudonym.")] = None,
    workload_type: Annotated[_TEXT, typer.Option(help="Such as training or inference.")] = None,
    name: Annotated[_TEXT, typer.Option(help="How people call it.")] = None,
    provider: Annotated[_TEXT, typer.Option(help="Who bills it, such as runpod.")] = None,
    instance_type: Annotated[_TEXT, typer.Option(help="What was rented.")] = None,
    cost_per_hour: Annotated[_TEXT, typer.Option(help="What it costs, for estimates.")] = None,
    currency: Annotated[str, typer.Option(help="Of --cost-per-hour.")] = "USD",
    resource_id: Annotated[_TEXT, typer.Option(help="The ResourceId on the bill.")] = None,
    gpu_model: Annotated[_TEXT, typer.Option(help="Such as H100.")] = None,
    gpu_count: Annotated[_TEXT, typer.Option(help="GPUs held, such as 8 or 0.5.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for rules to look at; may come again.")
    ] = None,
    key: Annotated[_TEXT, typer.Option(help="The same key is the same piece of work.")] = None,
    flush: Annotated[bool, typer.Option("--flush", help="Send what lies in the spool.")] = False,  # noqa: FBT002
    config: ConfigOption = CONFIG,
) -> None:
    """Run a command as tracked work, passing on signals and its exit code; or --flush the spool."""
    if flush:
        if command:
            raise ConfigError("--flush runs no command; leave one of the two out")
        _flush(config)
        return
    if not command:
        raise ConfigError("there is no command to run; write it after --, or say --flush")
    if team is None:
        raise ConfigError("--team is missing; say whose work it is")
    from finops import tracked_command
    from finops.attribution_engine import AttributionEngine

    usage: GpuUsage = {
        "team_id": team,
        "project_id": project,
        "business_unit": business_unit,
        "user_id": user,
        "workload_type": workload_type,
        "name": name,
        "provider": provider,
        "instance_type": instance_type,
        "cost_per_hour": cost_per_hour,
        "currency": currency,
        "resource_id": resource_id,
        "gpu_model": gpu_model,
        "gpu_count": gpu_count,
        "cluster": os.environ.get("SLURM_CLUSTER_NAME"),
        "node": os.environ.get("SLURMD_NODENAME"),
        "tags": {**tracked_command.surroundings(os.environ), **_tags(tag or [])},
        "key": key,
    }
    engine = AttributionEngine.from_config(config)
    try:
        code = tracked_command.run(engine, usage, command, _warn)
    finally:
        engine.close()
    raise typer.Exit(code)


@app.command()
def accrue(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:  # noqa: FBT002
    """Estimate what tracked work costs while it runs, until its bill arrives."""
    from flows.accrue import accrue_all

    done = accrue_all(config, datetime.now(UTC))
    if json:
        terminal.as_json([_accrued(one) for one in done.accrued])
    else:
        _show_accrued(done.accrued)
    for failure in done.failures:
        terminal.complain((f"error: {failure}", "red"))
    if done.failures:
        raise typer.Exit(1)


def _accrued(one: Accrued) -> dict[str, object]:
    return {
        "source": one.source,
        "running": one.running,
        "unpriced": one.unpriced,
        "estimated": one.estimated,
        "compared": [
            {
                "provider": each.provider,
                "currency": each.currency,
                "estimated": each.estimated,
                "billed": each.billed,
                "error": each.error,
            }
            for each in one.compared
        ],
    }


def _show_accrued(accrued: Sequence[Accrued]) -> None:
    rows = [
        (one.source, f"{one.running:,}", f"{one.unpriced:,}", _by_currency(one.estimated))
        for one in accrued
    ]
    terminal.table("Estimates", ["source", ">running", ">unpriced", ">estimated"], rows)
    compared = [
        (
            each.provider,
            each.currency,
            terminal.amount(each.estimated),
            terminal.amount(each.billed),
            terminal.amount(each.error),
        )
        for one in accrued
        for each in one.compared
    ]
    if compared:
        columns = ["provider", "currency", ">estimated", ">billed", ">error"]
        terminal.table("Estimates of what is billed by now", columns, compared)


def _by_currency(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{terminal.amount(value)} {code}" for code, value in amounts.items())


def _tags(given: list[str]) -> dict[str, str]:
    tags = {}
    for text in given:
        found = _TAG.fullmatch(text)
        if found is None:
            raise ConfigError(f"--tag {text!r}: write it as NAME=VALUE")
        tags[found[1]] = found[2]
    return tags


def _flush(config: str | Path) -> None:
    from finops import sending
    from providers import sdk_files

    settings = Installation.open(config).config
    if settings.tracking.send_to is None:
        terminal.show(
            f"finops.toml: tracking.send_to is not set: events stay in {settings.spool_path}, "
            f"where a source of the provider sdk reads them"
        )
        return
    sent = sending.send(
        settings.spool_path, sdk_files.opened(settings.base, settings.tracking.send_to)
    )
    terminal.show(
        f"Sent {sent.moved} finished files and {sent.copied} that are still written to "
        f"{settings.tracking.send_to}; {sent.unchanged} had nothing new"
    )


def _warn(message: str) -> None:
    terminal.complain(("warning:", "yellow"), f" {message}")
