"""Splits: even, fixed, and splits of splits."""

from datetime import date
from decimal import Decimal

import pytest

from finops import organization, splits
from finops.errors import ConfigError

CENTERS = {name: {"type": "team", "name": name} for name in ("red", "blue", "green")}


def shares(table: dict[str, object], gone: str = "") -> dict[str, tuple[tuple[str, int, int], ...]]:
    org = organization.parse("", {"cost_centers": CENTERS, "splits": table})
    return splits.shares(org.splits, lambda center: center != gone, {})


def faults(table: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        shares(table)
    return [str(issue).removeprefix("organization.toml: ") for issue in caught.value.issues]


def test_overhead_on_overhead() -> None:
    found = shares(
        {
            "building": {
                "method": "fixed",
                "shares": {"red": Decimal("0.25"), "blue": Decimal("0.75")},
            },
            "platform": {"method": "even", "among": ["green", "splits.building"]},
        }
    )
    assert found["building"] == (("blue", 75, 100), ("red", 25, 100))
    assert found["platform"] == (("blue", 3, 8), ("green", 4, 8), ("red", 1, 8))


def test_who_is_gone_leaves_a_part_to_the_others_of_the_same_split() -> None:
    found = shares(
        {
            "building": {"method": "even", "among": ["red", "blue"]},
            "platform": {"method": "even", "among": ["green", "splits.building"]},
        },
        gone="red",
    )
    assert found["platform"] == (("blue", 1, 2), ("green", 1, 2))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            {"a": {"method": "even", "among": ["splits.a"]}},
            "splits.a: the splits divide among each other in a circle (a > a); break it",
        ),
        (
            {
                "a": {"method": "even", "among": ["red", "splits.b"]},
                "b": {"method": "even", "among": ["blue", "splits.a"]},
            },
            "splits.a: the splits divide among each other in a circle (a > b > a); break it",
        ),
        (
            {"overhead": {"method": "even", "among": ["splits.overhed", "red"]}},
            "splits.overhead: there is no split 'overhed'; did you mean 'overhead'?",
        ),
    ],
)
def test_what_cannot_be_divided_is_said(table: dict[str, object], says: str) -> None:
    assert says in faults(table)


def test_only_days_on_which_somebody_is_there() -> None:
    dated = {**CENTERS, "old": {"type": "team", "name": "Old", "valid_to": date(2026, 1, 1)}}
    org = organization.parse(
        "", {"cost_centers": dated, "splits": {"s": {"method": "even", "among": ["old"]}}}
    )
    assert splits.shares(org.splits, lambda _: False, {}) == {"s": ()}


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ({"method": "proportional"}, 'method "proportional" takes `by`: billed_cost, '),
        ({"method": "proportional", "by": "cost"}, 'method "proportional" takes `by`: billed_cost'),
        ({"method": "telemetry", "by": "requests"}, 'method "telemetry" takes `by`: gpu_hours, '),
        ({"method": "even", "among": ["red"], "by": "x"}, 'method "even" takes no `by`; leave it'),
        (
            {"method": "proportional", "by": "gpu_hours", "match": {"Tags.a": True}},
            'method "proportional" takes no `match`; leave it out',
        ),
        (
            {"method": "proportional", "by": "gpu_hours", "among": ["splits.s"]},
            'method "proportional" divides among cost centers, not splits.s',
        ),
        (
            {"method": "telemetry", "by": "hours", "match": {"ServiceName": "EC2"}},
            "match.ServiceName: a telemetry split looks at workloads: write Tags.… or Workload.…",
        ),
    ],
)
def test_a_measured_split_says_what_it_needs(split: dict[str, object], says: str) -> None:
    assert says in " ".join(faults({"s": split}))
