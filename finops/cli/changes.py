"""The command that tells what changed since a checkpoint."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from finops import changes, money
from finops.changes import Change
from finops.cli import terminal
from finops.cli.options import CONFIG, EMPTY, ConfigOption, JsonOption, app
from finops.errors import ConfigError
from finops.installation import Installation
from finops.ledger import VerifierKey, tree
from finops.ledger.checkpoint import open_note
from finops.ledger.header import Header
from finops.organization import Organization
from finops.partition import parse_period


@app.command()
def diff(
    period: Annotated[str, typer.Option("--period", help="Billing month, YYYY-MM.")],
    since: Annotated[
        str,
        typer.Option(
            help="A checkpoint: its number of batches, or the file `finops ledger head` wrote."
        ),
    ],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show whose costs of a month changed since a checkpoint, by how much and why."""
    installation, month = Installation.open(config), parse_period(period)
    headers = installation.ledger.batches()
    if not headers:
        raise ConfigError(EMPTY)
    size = _size(since, headers, installation.config.ledger.verifier)
    entries = installation.ledger.entries(period=month, columns=changes.COLUMNS)
    found = changes.between(entries, size)
    if json:
        told = {"period": month, "since": size, "until": len(headers)}
        terminal.as_json({**told, "changes": [each.as_json() for each in found]})
        return
    if not found:
        terminal.show(f"No cost of {month} changed in the batches {size} to {len(headers) - 1}")
        return
    terminal.table(
        f"Changes of {month} since checkpoint {size}, billed cost",
        ["cost center", "why", "what", ">charges", ">before", ">after", ">change"],
        _rows(found, installation.organization),
    )


def _size(since: str, headers: Sequence[Header], vkey: str | None) -> int:
    """Read --since, and hold a checkpoint's root against the ledger."""
    if since.isdecimal():
        size = int(since)
    elif vkey is None:
        raise ConfigError(
            f"--since: to believe {since}, finops.toml needs ledger.verifier; or give the number "
            f"of batches"
        )
    else:
        size = _signed_size(Path(since), headers, VerifierKey.parse(vkey))
    if not 0 < size <= len(headers):
        raise ConfigError(
            f"--since: the ledger has no checkpoint of {size} batches; it holds {len(headers)}, "
            f"`finops ledger log` lists them"
        )
    return size


def _signed_size(path: Path, headers: Sequence[Header], key: VerifierKey) -> int:
    try:
        checkpoint = open_note(path.read_bytes(), [key])
    except OSError as error:
        raise ConfigError(
            f"--since: {path} is no number and no file that can be read "
            f"({error.strerror or error}); `finops ledger head > FILE` writes a checkpoint"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"--since: {path} {error}; `finops ledger head > FILE` writes a checkpoint"
        ) from None
    root = tree.root(each.content for each in headers[: checkpoint.size])
    if checkpoint.size <= len(headers) and root != checkpoint.root_hash:
        raise ConfigError(
            f"--since: {path} is of another ledger, or this one was rewritten; run "
            f"`finops ledger verify`"
        )
    return checkpoint.size


def _rows(found: Sequence[Change], organization: Organization) -> Iterator[tuple[str | Text, ...]]:
    for currency, of_currency in groupby(found, key=lambda each: each.currency):
        lines = list(of_currency)
        for center, group in groupby(lines, key=lambda each: each.cost_center):
            name = _name(center, organization)
            for place, each in enumerate(group):
                yield ("" if place else name, each.cause, each.detail, *_numbers([each]))
        _, *amounts = _numbers(lines)  # a charge that is split would count more than once
        yield (Text(f"all {currency}", style="bold"), "", "", "", *amounts)


def _name(center: str | None, organization: Organization) -> str:
    if center is None:
        return "unallocated"
    known = organization.cost_centers.get(center)
    return center if known is None else known.name


def _numbers(lines: Sequence[Change]) -> tuple[str, ...]:
    before, after, change = (
        money.exact_sum(values)
        for values in zip(*((one.before, one.after, one.change) for one in lines), strict=True)
    )
    charges = sum(one.charges for one in lines)
    sign = "+" if change > 0 else ""
    return (
        f"{charges:,}",
        terminal.amount(before),
        terminal.amount(after),
        f"{sign}{terminal.amount(change)}",
    )
