"""Whatever one value of a reply becomes, a run ends in rows, in quarantine, or in our own error."""

import contextlib
import copy
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from finops.config import Config, LedgerConfig, SourceConfig
from finops.errors import FinopsError
from finops.partition import Window
from finops.warehouse.local import LocalWarehouse
from providers import intake
from providers.intake import Taking

FIXTURES = Path(__file__).parent.parent / "fixtures"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 4))
WRONG = [None, "NaN", "Infinity", True, [], [None], {"a": None}, "", -1, 1e30, 10**40, "1e400"]
WRONG += ["\ud800", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
REPLIES = [
    ("runpod", "v2/billing/pods.json"),
    ("runpod", "v2/pods.json"),
    ("github_actions", "organizations/acme/settings/billing/usage.json"),
    ("github_actions", "repos/acme/train/actions/runs.json"),
    ("github_actions", "repos/acme/train/actions/runs/501/jobs.json"),
]
SETTINGS: dict[str, dict[str, Any]] = {"github_actions": {"organization": "acme"}, "runpod": {}}


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every value of a document, of a list the first two only."""
    yield above
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*above, key))
    elif isinstance(document, list):
        for place, value in enumerate(document[:2]):
            yield from places(value, (*above, place))


def changed(document: Any, place: tuple[Any, ...], value: object) -> Any:
    if not place:
        return value
    whole = copy.deepcopy(document)
    part = whole
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return whole


def take(provider: str, reply: str, wrong: list[tuple[tuple[Any, ...], Any]], base: Path) -> None:
    shutil.copytree(FIXTURES / provider, base / "saved")
    settings = {"recorded": "saved", **SETTINGS[provider]}
    config = Config(
        company="Acme",
        ledger=LedgerConfig(origin="acme.example/finops"),
        sources={"main": SourceConfig(provider=provider, settings=settings)},
        base=base,
    )
    file = base / "saved" / reply
    document = json.loads(file.read_text(encoding="utf-8"))
    for place, value in wrong:
        file.write_text(json.dumps(changed(document, place, value)), encoding="utf-8")
        warehouse = LocalWarehouse(base / "warehouse")
        with contextlib.suppress(FinopsError):
            try:
                intake.take(config, warehouse, Taking("main", WINDOW))
            except Exception as error:
                error.add_note(f"{place} = {value!r}")
                raise
        shutil.rmtree(base / "warehouse", ignore_errors=True)


@pytest.mark.parametrize(("provider", "reply"), REPLIES)
def test_no_wrong_value_ends_in_another_error(provider: str, reply: str, tmp_path: Path) -> None:
    document = json.loads((FIXTURES / provider / reply).read_text(encoding="utf-8"))
    wrong = [
        (place, value)
        for turn, place in enumerate(places(document))
        for value in WRONG[turn % 7 :: 7]
    ]
    take(provider, reply, wrong, tmp_path)


@pytest.mark.parametrize(
    ("provider", "reply", "place", "values"),
    [
        ("runpod", REPLIES[0][1], ("records", 1, "totalAmount"), ["NaN", "Infinity"]),
        ("runpod", REPLIES[0][1], ("records", 1, "podId"), [[], [None], "\ud800"]),
        ("runpod", REPLIES[0][1], ("records", 1, "gpuAmount"), ["NaN", "Infinity", 1e30]),
        ("runpod", REPLIES[1][1], ("pods", 0, "gpu", "id"), [[None]]),
        ("runpod", REPLIES[1][1], ("pods", 0, "gpu", "count"), [10**40]),
        ("runpod", REPLIES[1][1], ("pods", 0, "dataCenterId"), [[None]]),
        ("github_actions", REPLIES[2][1], ("usageItems", 0, "unitType"), [-1, "\ud800"]),
        ("github_actions", REPLIES[2][1], ("usageItems", 1, "quantity"), [1e30]),
        ("github_actions", REPLIES[4][1], ("jobs", 0, "name"), ["\ud800"]),
    ],
)
def test_values_that_once_ended_in_another_error(
    provider: str, reply: str, place: tuple[Any, ...], values: list[Any], tmp_path: Path
) -> None:
    take(provider, reply, [(place, value) for value in values], tmp_path)
