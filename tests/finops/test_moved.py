from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import moved, organization
from finops.errors import ConfigError
from finops.organization import Organization
from tests.finops.company import Company, snapshot

OLD = """
    cost_centers.ml = { type = "team", name = "ML" }
    cost_centers.web = { type = "team", name = "Web" }
    splits.shared = { method = "even", among = ["ml", "web"] }

    [[rules]]
    id = "compute"
    match = { ServiceName = "EC2" }
    cost_center = "ml"

    [[rules]]
    id = "network"
    match = { ServiceName = "VPC" }
    split = "shared"
"""
BILL = """
    ServiceName,ResourceId,ChargePeriodStart,BilledCost,EffectiveCost
    EC2,i-1,2026-10-01T00:00:00Z,100,80
    EC2,i-1,2026-10-02T00:00:00Z,10,8
    VPC,,2026-10-01T00:00:00Z,-3,-3
    S3,b,2026-10-01T00:00:00Z,5,
    S3,free,2026-10-01T00:00:00Z,0,0
"""


@pytest.fixture
def billed(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", OLD)
    company.deliver(BILL)
    return company


def other(company: Company, **replaced: str) -> Organization:
    text = OLD
    for old, new in replaced.items():
        text = text.replace(old, new)
    return Company.of(company.root / "other", text).organization


def test_the_same_rules_move_nothing(billed: Company) -> None:
    found = moved.compare(billed.warehouse, billed.organization, other(billed), "2026-10")
    assert (found.charges, found.moved_charges, found.moves) == (5, 0, ())
    assert not [each for each in found.balances if each.moves]
    assert {each.cost_center: each.spent_after for each in found.balances} == {
        "ml": Decimal("86.5"),
        "web": Decimal("-1.5"),
        None: Decimal(5),
    }


def test_what_some_lose_others_gain_and_nothing_is_written(billed: Company) -> None:
    new = other(
        billed, **{'"EC2" }\n    cost_center = "ml"': '["EC2", "S3"] }\n    cost_center = "web"'}
    )
    before = snapshot(billed.root)
    found = moved.compare(billed.warehouse, billed.organization, new, "2026-10")
    assert snapshot(billed.root) == before
    assert [(each.cost_center, each.change) for each in found.balances] == [
        ("web", Decimal(93)),
        (None, Decimal(-5)),
        ("ml", Decimal(-88)),
    ]
    compute, storage = found.moves
    assert (compute.losing, compute.gaining, compute.amount, compute.charges) == (
        ("ml",),
        ("web",),
        Decimal(88),
        2,
    )
    assert compute.about["resource"] == "i-1"
    assert (storage.losing, storage.gaining, storage.rule_before, storage.rule_after) == (
        (None,),
        ("web",),
        None,
        "compute",
    )
    assert found.moved_charges == 3


def test_a_credit_goes_to_whom_it_is_given(billed: Company) -> None:
    new = other(billed, **{'among = ["ml", "web"]': 'among = ["ml"]'})
    found = moved.compare(billed.warehouse, billed.organization, new, "2026-10")
    (move,) = found.moves
    assert (move.losing, move.gaining, move.amount) == (("web",), ("ml",), Decimal("-1.5"))


def test_a_period_without_charges_is_refused(billed: Company) -> None:
    with pytest.raises(ConfigError, match="there are of 2026-10"):
        moved.compare(billed.warehouse, billed.organization, billed.organization, "2026-11")


SHARES = st.integers(1, 9).map(lambda tenths: Decimal(tenths) / 10)


@given(st.sampled_from(["EC2", "VPC", "S3", "*"]), SHARES)
def test_the_parts_stay_the_whole_whatever_changes(
    billed_once: Company, service: str, share: Decimal
) -> None:
    table = {
        "cost_centers": {name: {"type": "team", "name": name} for name in ("ml", "web", "new")},
        "splits": {"s": {"method": "fixed", "shares": {"ml": share, "new": 1 - share}}},
        "rules": [{"id": "r", "match": {"ServiceName": service}, "split": "s"}],
    }
    new = organization.parse("", table)
    found = moved.compare(billed_once.warehouse, billed_once.organization, new, "2026-10")
    assert sum(each.change for each in found.balances) == 0
    assert sum(each.spent_after for each in found.balances) == Decimal(90)
    assert sum(each.billed_after for each in found.balances) == Decimal(112)


@pytest.fixture(scope="module")
def billed_once(tmp_path_factory: pytest.TempPathFactory) -> Company:
    folder: Path = tmp_path_factory.mktemp("moved")
    company = Company.of(folder / "company", OLD)
    company.deliver(BILL)
    return company
