"""What the ledger learned since a checkpoint: by cost center, and why."""

from decimal import Decimal
from pathlib import Path

import pytest

from finops import changes
from finops.changes import Cause, Change
from tests.finops.company import Company

RULES = """
[cost_centers.red]
type = "team"
name = "Red"

[cost_centers.blue]
type = "team"
name = "Blue"

[[rules]]
id = "team"
match = { Tags = { team = true } }
cost_center_from = "Tags.team"
"""
BILL = """
BilledCost,ServiceName,ResourceId,Tags
5,Compute,vm-1,"{""team"": ""red""}"
3,Compute,vm-2,"{""team"": ""blue""}"
2,Storage,disk-1,
"""


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = Company.of(tmp_path, RULES)
    company.deliver(BILL)
    company.post()
    return company


def since(company: Company, size: int) -> list[tuple[object, ...]]:
    entries = company.ledger.entries(period="2026-10", columns=changes.COLUMNS)
    found = changes.between(entries, size)
    whole = sum((each.change for each in found), Decimal(0))
    index = entries.collect()
    after, before = index["billed_cost"].sum(), index.filter(index["index"] < size)["billed_cost"]
    assert whole == Decimal(after) - Decimal(before.sum()), "the parts are the whole"
    return [(each.cost_center, each.cause, each.detail, each.before, each.after) for each in found]


def test_nothing_happened(company: Company) -> None:
    assert since(company, 2) == []


def test_all_of_it_is_new_since_the_beginning(company: Company) -> None:
    assert since(company, 1) == [
        (None, Cause.NEW, "Storage", 0, 2),
        ("blue", Cause.NEW, "Compute", 0, 3),
        ("red", Cause.NEW, "Compute", 0, 5),
    ]


def test_a_restated_amount(company: Company) -> None:
    company.deliver(BILL.replace("5,Compute", "7,Compute"))
    company.post()
    assert since(company, 2) == [("red", Cause.RESTATED, "Compute", 5, 7)]


def test_a_late_charge_and_a_withdrawn_one(company: Company) -> None:
    company.deliver(BILL.replace("disk-1", "disk-2"))
    company.post()
    assert since(company, 2) == [
        (None, Cause.WITHDRAWN, "Storage", 2, 0),
        (None, Cause.NEW, "Storage", 0, 2),
    ]


def test_what_the_rules_move_names_both_rules(company: Company) -> None:
    rule = '[[rules]]\nid = "disks"\nmatch = { ServiceName = "Storage" }\ncost_center = "blue"\n'
    moved = Company.of(company.root, RULES + rule)
    moved.post()
    assert since(moved, 2) == [
        (None, Cause.MOVED, "no rule → disks", 2, 0),
        ("blue", Cause.MOVED, "no rule → disks", 0, 2),
    ]


def test_the_same_rule_with_other_shares(company: Company) -> None:
    def split(red: str, blue: str) -> Company:
        rule = '[[rules]]\nid = "disks"\nmatch = { ServiceName = "Storage" }\nsplit = "both"\n'
        shares = f'[splits.both]\nmethod = "fixed"\nshares = {{ red = {red}, blue = {blue} }}\n'
        return Company.of(company.root, RULES + rule + shares)

    split("0.5", "0.5").post()
    other = split("0.25", "0.75")
    other.post()
    assert since(other, 3) == [
        ("blue", Cause.MOVED, "disks was changed", 1, Decimal("1.5")),
        ("red", Cause.MOVED, "disks was changed", 1, Decimal("0.5")),
    ]


def test_there_and_back_again_is_no_change(company: Company) -> None:
    company.deliver(BILL.replace("5,Compute", "7,Compute"))
    company.post()
    company.deliver(BILL)
    company.post()
    assert since(company, 2) == []
    assert since(company, 3) == [("red", Cause.RESTATED, "Compute", 7, 5)]


def test_a_change_says_its_amounts_as_text() -> None:
    change = Change("USD", None, Cause.NEW, "Compute", Decimal("0.10"), Decimal(2), 1)
    assert change.as_json() == {
        "currency": "USD",
        "cost_center": None,
        "cause": "new charges",
        "detail": "Compute",
        "before": "0.1",
        "after": "2",
        "change": "1.9",
        "charges": 1,
    }
