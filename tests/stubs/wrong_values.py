"""Saved replies of providers with one wrong value at a time, taken in as a run would."""

import copy
import json
import shutil
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from finops.config import Config, LedgerConfig, SourceConfig
from finops.errors import FinopsError
from finops.partition import Window
from finops.warehouse.local import LocalWarehouse
from providers import intake
from providers.intake import Taken, Taking

FIXTURES = Path(__file__).parent.parent / "fixtures"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 4))
WRONG: tuple[Any, ...] = (
    *(None, "NaN", "Infinity", True, [], [None], {"a": None}, "", -1, 1e30, 10**40, "1e400"),
    *("\ud800", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
)

Place = tuple[str | int, ...]


def document(provider: str, reply: str) -> Any:
    """Read a saved reply."""
    return json.loads((FIXTURES / provider / reply).read_text(encoding="utf-8"))


def places(document: Any, above: Place = ()) -> Iterator[Place]:
    """Name every value of a document, of a list the first two only: the others are alike."""
    yield above
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*above, key))
    elif isinstance(document, list):
        for place, value in enumerate(document[:2]):
            yield from places(value, (*above, place))


def changed(document: Any, place: Place, value: object) -> Any:
    """Put another value in one place of a copy."""
    if not place:
        return value
    whole = copy.deepcopy(document)
    part = whole
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return whole


def other_errors(
    provider: str,
    reply: str,
    settings: dict[str, Any],
    wrong: Iterable[tuple[Place, Any]],
    base: Path,
) -> list[str]:
    """Take a reply in with each wrong value; list those that end in an error that is not ours.

    It is taken in as it is first, and must give rows then: so the values do get read.
    """
    shutil.copytree(FIXTURES / provider, base / "replies")
    source = SourceConfig(provider=provider, settings={"recorded": "replies", **settings})
    config = Config(
        company="Acme", ledger=LedgerConfig(origin="a/b"), sources={"main": source}, base=base
    )
    assert _rows(_taken(config, base)) > 0, "the reply as it is gives no rows"
    saved, good = base / "replies" / reply, document(provider, reply)
    found = []
    for place, value in wrong:
        saved.write_text(json.dumps(changed(good, place, value)), encoding="utf-8")
        try:
            _taken(config, base)
        except FinopsError:
            continue
        except BaseException as error:  # noqa: BLE001 - Polars panics with one of its own
            found.append(f"{place} = {value!r}: {error!r}")
    return found


def _taken(config: Config, base: Path) -> Taken:
    shutil.rmtree(base / "warehouse", ignore_errors=True)
    return intake.take(config, LocalWarehouse(base / "warehouse"), Taking("main", WINDOW))


def _rows(taken: Taken) -> int:
    charges = taken.charges.rows if taken.charges else 0
    return charges + (taken.workloads.rows if taken.workloads else 0)
