"""Splits: even, fixed, proportional, and splits of splits."""

from datetime import date
from decimal import Decimal

import pytest

from finops import organization, splits
from finops.errors import ConfigError

CENTERS = {name: {"type": "team", "name": name} for name in ("red", "blue", "green")}
COSTS = {"red": Decimal(6), "blue": Decimal(2), "green": Decimal(-1)}


def shares(
    table: dict[str, object], gone: str = "", **basis: dict[str, Decimal]
) -> dict[str, tuple[tuple[str, int, int], ...]]:
    org = organization.parse("", {"cost_centers": CENTERS, "splits": table})
    return splits.shares(org.splits, lambda center: center != gone, basis)


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


def test_proportional_to_what_each_has() -> None:
    split = {"method": "proportional", "by": "effective_cost"}
    assert shares({"s": split}, s=COSTS)["s"] == (("blue", 1, 4), ("red", 3, 4))
    assert shares({"s": {**split, "among": ["red", "green"]}}, s=COSTS)["s"] == (("red", 1, 1),)
    assert shares({"s": split})["s"] == ()


def test_a_part_of_a_split_may_be_proportional() -> None:
    found = shares(
        {
            "use": {"method": "proportional", "by": "gpu_hours", "over": "day"},
            "s": {
                "method": "fixed",
                "shares": {"green": Decimal("0.2"), "splits.use": Decimal("0.8")},
            },
        },
        use=COSTS,
    )
    assert found["s"] == (("blue", 1, 5), ("green", 1, 5), ("red", 3, 5))


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
        (
            {"a": {"method": "proportional"}},
            (
                'splits.a: method "proportional" takes `by` (billed_cost, effective_cost or gpu_hours)'
                ", if you like `among` and `over`, and no shares"
            ),
        ),
        (
            {"a": {"method": "even", "among": ["red"], "over": "day"}},
            'splits.a: `over` is for method "proportional" only',
        ),
        (
            {"a": {"method": "proportional", "by": "gpu_hours", "among": ["splits.a"]}},
            'splits.a: method "proportional" divides among cost centers, not splits.a',
        ),
        (
            {"a": {"method": "proportional", "by": "billed_cost", "currency": "usd"}},
            "splits.a.currency: 'usd' is no ISO 4217 currency code; write USD",
        ),
        (
            {"a": {"method": "proportional", "by": "gpus"}},
            "splits.a.by: input should be 'billed_cost', 'effective_cost' or 'gpu_hours', not 'gpus'",
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
