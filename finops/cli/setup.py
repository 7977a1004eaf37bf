"""Commands that set up and check an installation: init, doctor, providers."""

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from finops import shipped
from finops.cli import terminal
from finops.cli.options import CONFIG, ConfigOption, JsonOption, app
from finops.config import FILE_NAME
from finops.errors import ConfigError, FinopsError
from finops.identity import slug
from finops.installation import Installation
from finops.ledger import SigningKey


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to make it.")] = Path(),
) -> None:
    """Make a new installation: finops.toml, organization.toml and the ledger's key."""
    target = folder / FILE_NAME
    if target.exists():
        raise ConfigError(f"{target} exists already; choose another folder")
    name = folder.resolve().name
    origin = f"{slug(name).replace('_', '-') or 'company'}/finops"
    key = SigningKey.generate(origin)
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    key.save(folder / "keys" / "ledger.key")
    values = {"company": name, "origin": origin, "verifier": key.vkey}
    for template in sorted(shipped.folder("init").glob("*.toml")):
        text = template.read_text(encoding="utf-8")
        filled = re.sub(r"@(\w+)@", lambda found: values[found[1]], text)
        (folder / template.name).write_text(filled, encoding="utf-8")
    terminal.output.print(
        f"Made {folder / FILE_NAME}, {folder / 'organization.toml'} and "
        f"{folder / 'keys' / 'ledger.key'}.\n"
        f"Next: add a source to finops.toml and cost centers to organization.toml, then\n"
        f"  finops doctor\n  finops run --from 2026-10-01 --to 2026-11-01"
    )


@app.command()
def doctor(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:  # noqa: FBT002
    """Check the installation: configuration, warehouse, ledger key and sources."""
    installation = Installation.open(config)
    checks: dict[str, Callable[[], None]] = {
        "organization and ledger key": installation.demand_complete,
        "warehouse": lambda: _writes(installation),
        "sources": lambda: _connects(installation),
    }
    found = {name: _problem(check) for name, check in checks.items()}
    if json:
        terminal.as_json([{"check": name, "problem": said} for name, said in found.items()])
    else:
        for name, said in found.items():
            mark = "[green]ok[/]" if said is None else "[red]wrong[/]"
            terminal.output.print(f"{mark:14} {name}{'' if said is None else ': ' + said}")
    if any(found.values()):
        raise typer.Exit(1)


@app.command()
def providers(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:  # noqa: FBT002
    """List the providers, what each needs, and which sources use it."""
    from providers import registry

    used: dict[str, list[str]] = {}
    if Path(config).exists():
        for source, settings in Installation.open(config).config.sources.items():
            used.setdefault(settings.provider, []).append(source)
    known = [(name, registry.provider_class(name).NEEDS) for name in registry.names()]
    if json:
        terminal.as_json(
            [
                {"provider": name, "needs": needs, "sources": used.get(name, [])}
                for name, needs in known
            ]
        )
        return
    rows = [(name, needs, ", ".join(used.get(name, []))) for name, needs in known]
    terminal.table("Providers", ["provider", "needs", "sources"], rows)


def _problem(check: Callable[[], None]) -> str | None:
    try:
        check()
    except FinopsError as error:
        return str(error)
    return None


def _writes(installation: Installation) -> None:
    """Write, read and remove an object; `create` also probes for conditional writes."""
    key = f"doctor/{uuid.uuid4().hex}"
    try:
        installation.warehouse.create(key, b"ok")
        installation.warehouse.read(key)
    finally:
        installation.warehouse.delete(key)


def _connects(installation: Installation) -> None:
    """Check every source's settings, and that no charges are left of sources that are gone."""
    from providers import intake

    intake.chosen(installation.config, None)
    gone = installation.forgotten_sources()
    if gone:
        raise ConfigError(
            f"finops.toml: sources: the warehouse holds charges of {', '.join(gone)}, which is no "
            f"source any more; they still count: name the source again as it was"
        )
