"""Whatever one value of a reply becomes, a run ends in rows, in quarantine, or in our own error."""

from pathlib import Path
from typing import Any

import pytest

from tests.stubs.wrong_values import WRONG, Place, document, other_errors, places

REPLIES = [
    ("runpod", "v2/billing/pods.json"),
    ("runpod", "v2/pods.json"),
    ("github_actions", "organizations/acme/settings/billing/usage.json"),
    ("github_actions", "repos/acme/train/actions/runs.json"),
    ("github_actions", "repos/acme/train/actions/runs/501/jobs.json"),
]
SETTINGS: dict[str, dict[str, Any]] = {"github_actions": {"organization": "acme"}, "runpod": {}}


@pytest.mark.parametrize(("provider", "reply"), REPLIES)
def test_no_wrong_value_ends_in_another_error(provider: str, reply: str, tmp_path: Path) -> None:
    wrong = [
        (place, value)
        for turn, place in enumerate(places(document(provider, reply)))
        for value in WRONG[turn % 7 :: 7]
    ]
    assert other_errors(provider, reply, SETTINGS[provider], wrong, tmp_path) == []


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
    provider: str, reply: str, place: Place, values: list[Any], tmp_path: Path
) -> None:
    wrong = [(place, value) for value in values]
    assert other_errors(provider, reply, SETTINGS[provider], wrong, tmp_path) == []
