"""One JSON value of a saved reply at a time is wrong: rows, quarantine, or a plain error."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.stubs.wrong_values import WRONG, document, other_errors, places

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("provider", "name"), [(provider, name) for provider, names in FILES.items() for name in names]
)
def test_a_wrong_value_ends_in_rows_or_a_plain_error(
    provider: str, name: str, tmp_path: Path
) -> None:
    chosen = random.Random(name)
    wrong = [
        (place, value)
        for place in places(document(provider, name))
        for value in chosen.sample(WRONG, TRIED)
    ]
    assert other_errors(provider, name, SETTINGS[provider], wrong, tmp_path) == []
