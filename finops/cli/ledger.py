"""Commands about the ledger: verify, head, log."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from finops import ledger as ledgers
from finops.cli import terminal
from finops.cli.options import CONFIG, EMPTY, ConfigOption, JsonOption, app
from finops.errors import ConfigError
from finops.installation import Installation
from finops.ledger import Verification, VerifierKey
from finops.warehouse.local import LocalWarehouse

ledger_app = typer.Typer(
    help="The ledger: verify it, show its head or its batches.", no_args_is_help=True
)
app.add_typer(ledger_app, name="ledger")


@ledger_app.command()
def verify(
    level: Annotated[
        int, typer.Option(min=0, max=2, help="0 signatures, 1 chain and tree, 2 every row.")
    ] = 2,
    vkey: Annotated[str | None, typer.Option(help="Public key to believe.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="File that remembers the last head seen; kept up to date.")
    ] = None,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Check the ledger, trusting nothing in it; exit 1 when anything is wrong."""
    installation = Installation.open(config)
    if state is None and next(installation.warehouse.list("ledger/"), None) is None:
        raise ConfigError(EMPTY)
    believed, said_by = vkey, "--vkey"
    if believed is None:
        believed, said_by = installation.config.ledger.verifier, "finops.toml: ledger.verifier"
    _demand_key(believed, said_by)
    found = ledgers.verify(
        installation.warehouse, level=level, vkey=believed, state=_remembered(state)
    )
    if found.ok and state is not None and found.root is not None:
        content = json_format.dumps({"size": found.size, "root": found.root}).encode()
        LocalWarehouse(state.resolve().parent).replace(state.name, content)
    if json:
        terminal.as_json(_verification(found))
    else:
        _show(found, level)
    if not found.ok:
        raise typer.Exit(1)


@ledger_app.command()
def head(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:  # noqa: FBT002
    """Show the signed checkpoint: what to note down, print or hand to an auditor."""
    checkpoint = Installation.open(config).ledger.head()
    if checkpoint is None:
        raise ConfigError(EMPTY)
    if json:
        terminal.as_json(
            {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root}
        )
        return
    terminal.output.print(checkpoint.note, end="")


@ledger_app.command()
def log(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:  # noqa: FBT002
    """List the batches."""
    headers = Installation.open(config).ledger.batches()
    if not headers:
        raise ConfigError(EMPTY)
    facts = [
        {
            "index": header.index,
            "time": header.made.time,
            "kind": header.kind,
            "rows": header.rows,
            "run": header.made.run_id,
            "digest": header.digest,
        }
        for header in headers
    ]
    if json:
        terminal.as_json(facts)
        return
    rows = [
        (
            str(one["index"]),
            str(one["time"]),
            str(one["kind"]),
            f"{one['rows']:,}",
            str(one["digest"])[:16],
        )
        for one in facts
    ]
    terminal.table("Ledger", [">batch", "time", "kind", ">entries", "digest"], rows)


def _demand_key(vkey: str | None, where: str) -> None:
    try:
        if vkey is not None:
            VerifierKey.parse(vkey)
    except ValueError as error:
        raise ConfigError(
            f"{where}: {error}; give a public key as name+id+base64, such as finops.toml has"
        ) from None


def _remembered(state: Path | None) -> tuple[int, str] | None:
    if state is None or not state.exists():
        return None
    try:
        seen = json_format.loads(state.read_text(encoding="utf-8"))
        return int(seen["size"]), str(seen["root"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{state}: is no state of a ledger; give the file an earlier verify wrote, or a new name"
        ) from None


def _show(found: Verification, level: int) -> None:
    for finding in found.findings:
        terminal.show(("wrong", "red"), f" {finding}")
    for note in found.notes:
        terminal.show((f"note  {note}", "dim"))
    intact = ("The ledger is intact", "green")
    terminal.show(
        intact if found.ok else ("The ledger is damaged", "red"),
        f" (level {level}): {found.size} batches signed, {found.rows:,} entries checked, "
        f"{len(found.findings)} findings, root {found.root or 'none'}",
    )


def _verification(found: Verification) -> dict[str, object]:
    return {
        "ok": found.ok,
        "size": found.size,
        "root": found.root,
        "batches": found.batches,
        "rows": found.rows,
        "findings": [
            {"file": finding.file, "row": finding.row, "message": finding.message}
            for finding in found.findings
        ],
        "notes": list(found.notes),
    }
