"""Commands that set up and check an installation: init, doctor, providers."""

import json as json_format
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from providers.base import Provider

Check = Callable[[], object]


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
    values = {"company": name or "company", "origin": origin, "verifier": key.vkey}
    try:
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        key.save(folder / "keys" / "ledger.key")
        for template in sorted(shipped.folder("init").glob("*.toml")):
            text = template.read_text(encoding="utf-8")
            filled = re.sub(r"@(\w+)@", lambda found: _quotable(values[found[1]]), text)
            (folder / template.name).write_text(filled, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot make an installation in {folder}: {error.strerror or error}; "
            f"choose a folder that you may write to"
        ) from None
    terminal.show(
        f"Made {folder / FILE_NAME}, {folder / 'organization.toml'} and "
        f"{folder / 'keys' / 'ledger.key'}.\n"
        f"Next: add a source to finops.toml and cost centers to organization.toml, then\n"
        f"  finops doctor\n  finops run --from 2026-10-01 --to 2026-11-01"
    )


def _quotable(text: str) -> str:
    """Write text so that it may stand between quotes in TOML, which escapes as JSON does."""
    return json_format.dumps(text, ensure_ascii=False)[1:-1]


@app.command()
def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROVIDER|SOURCE]...", help="Ask these providers too, over the network."
        ),
    ] = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Check the installation, and that sources can be read: what is missing, and how to grant it."""
    installation = Installation.open(config)
    checks: dict[str, Check] = {
        "organization and ledger key": installation.demand_complete,
        "warehouse": lambda: _writes(installation),
        "sources": lambda: _connects(installation),
    }
    found = [Found(name, *_tried(check)) for name, check in checks.items()]
    for source, provider in _probed(installation, names or []):
        found += _examined(source, provider)
    _show_found(found, json=json)
    if any(one.problem for one in found):
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


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one check; one that was not tried has neither passed nor failed."""

    check: str
    passed: bool
    problem: str | None


def _tried(check: Check) -> tuple[bool, str | None]:
    try:
        check()
    except FinopsError as error:
        return False, str(error)
    return True, None


def _probed(installation: Installation, names: Sequence[str]) -> Iterator[tuple[str, Provider]]:
    """Open the sources that are called, or are of a provider called, one of `names`."""
    from providers import registry

    configured = installation.config.sources
    known = {*configured, *(source.provider for source in configured.values())}
    for name in names:
        if name not in known:
            hint = "add a [sources.NAME] table" if name in registry.names() else "correct the name"
            raise ConfigError(f"finops.toml: no source is called {name!r} or uses it; {hint}")
    for source, settings in configured.items():
        if {source, settings.provider} & set(names):
            yield source, registry.connect(source, settings, installation.config.base)


def _examined(source: str, provider: Provider) -> Iterator[Found]:
    """Try a source's probes in turn; after the first that fails the others would mislead."""
    failed = False
    for name, probe in provider.probes().items():
        passed, problem = (False, None) if failed else _tried(probe)
        failed = failed or not passed
        yield Found(f"{source}: {name}", passed, problem)


def _show_found(found: Sequence[Found], *, json: bool) -> None:
    if json:
        terminal.as_json(
            [{"check": one.check, "passed": one.passed, "problem": one.problem} for one in found]
        )
        return
    for one in found:
        mark = ("ok", "green") if one.passed else ("wrong", "red") if one.problem else ("-", "dim")
        said = f": {one.problem}" if one.problem else "" if one.passed else " was not tried"
        terminal.show((f"{mark[0]:5}", mark[1]), f" {one.check}{said}")


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
