"""One JSON value of a saved reply at a time is wrong: rows, quarantine, or a plain error."""

import copy
import json
import random
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
WRONG: tuple[Any, ...] = (
    None,
    "NaN",
    "Infinity",
    True,
    [],
    [None],
    {"a": None},
    "",
    -1,
    10**40,
    "1e400",
    "\ud800",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
)
SETTINGS: dict[str, dict[str, Any]] = {
    "lambda_labs": {"storage_price_per_gib_month": "0.2"},
    "coreweave": {"rate_card": "replies/rates.csv", "capacity_plans": True},
    "kubernetes": {},
    "jenkins": {"url": "https://ci.acme.example", "parameters": ["TEAM"]},
}
FILES = {
    "lambda_labs": (
        "20261001T060000Z/api/v1/file-systems.json",
        "20261001T060000Z/api/v1/instance-types.json",
        "20261001T060000Z/api/v1/instances.json",
        "api/v1/audit-events.json",
    ),
    "coreweave": ("v1/billing/focus.capacity_plan.json", "v1/billing/focus.location.json"),
    "kubernetes": ("allocation/compute.json", "api/v1/query_range.json"),
    "jenkins": (
        "api/json.json",
        "computer/api/json.json",
        "job/nightly/api/json.json",
        "job/team/job/detector/api/json.json",
        "job/team/job/detector/7/wfapi/describe.json",
    ),
}
TRIED = 1  # wrong values of each place: all of them, in all places, take many minutes

Path_ = tuple[str | int, ...]


def places(document: Any, before: Path_ = ()) -> Iterator[Path_]:
    """Name every value, of lists the first one: the others are alike."""
    yield before
    if isinstance(document, dict):
        for name, value in document.items():
            yield from places(value, (*before, name))
    elif document and isinstance(document, list):
        yield from places(document[0], (*before, 0))


def changed(document: Any, place: Path_, value: Any) -> Any:
    if not place:
        return value
    made = copy.deepcopy(document)
    holder = made
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return made


def take(provider: str, base: Path) -> None:
    source = SourceConfig(provider=provider, settings={"recorded": "replies", **SETTINGS[provider]})
    config = Config(
        company="Acme", ledger=LedgerConfig(origin="a/b"), sources={"s": source}, base=base
    )
    shutil.rmtree(base / "warehouse", ignore_errors=True)
    intake.take(config, LocalWarehouse(base / "warehouse"), Taking("s", WINDOW))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("provider", "name"), [(provider, name) for provider, names in FILES.items() for name in names]
)
def test_a_wrong_value_ends_in_rows_or_a_plain_error(
    provider: str, name: str, tmp_path: Path
) -> None:
    shutil.copytree(FIXTURES / provider, tmp_path / "replies")
    take(provider, tmp_path)
    saved = tmp_path / "replies" / name
    document = json.loads(saved.read_bytes())
    chosen = random.Random(name)
    for place in dict.fromkeys(places(document)):
        for value in chosen.sample(WRONG, TRIED):
            saved.write_text(json.dumps(changed(document, place, value)))
            try:
                take(provider, tmp_path)
            except FinopsError:
                continue
            except BaseException as error:
                raise AssertionError(f"{name} {place} = {value!r}: {error!r}") from error
