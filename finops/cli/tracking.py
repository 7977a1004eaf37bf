"""Commands about work as it runs: track."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from finops.cli import terminal
from finops.cli.options import CONFIG, ConfigOption, app
from finops.errors import ConfigError
from finops.gpu_usage import GpuUsage
from finops.installation import Installation
from finops.warehouse import open_warehouse

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

    settings = Installation.open(config).config
    if settings.tracking.send_to is None:
        terminal.show(
            f"finops.toml: tracking.send_to is not set: events stay in {settings.spool_path}, "
            f"where a source of the provider sdk reads them"
        )
        return
    sent = sending.send(
        settings.spool_path, open_warehouse(settings.tracking.send_to, settings.base)
    )
    terminal.show(
        f"Sent {sent.moved} finished files and {sent.copied} that are still written to "
        f"{settings.tracking.send_to}; {sent.unchanged} had nothing new"
    )


def _warn(message: str) -> None:
    terminal.complain(("warning:", "yellow"), f" {message}")
