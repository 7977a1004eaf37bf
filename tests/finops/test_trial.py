from decimal import Decimal
from pathlib import Path

import pytest

from finops import takings, trial
from finops.errors import ConfigError
from tests.finops.company import Company, snapshot

BILL = """
    ServiceName,Tags,SubAccountId,RegionId,BilledCost
    EC2,"{""team"":""ml""}",1,eu,10
    EC2,"{""team"":""mll""}",1,eu,200
    EC2,"{""team"":""mll""}",1,us,5
    S3,,2,eu,3000
    S3,,3,us,-40000
"""
RULES = """
    cost_centers.ml = { type = "team", name = "ML" }
    cost_centers.web = { type = "team", name = "Web" }

    [[virtual_tags.area]]
    value = "europe"
    match = { RegionId = "eu" }

    [[rules]]
    id = "team"
    match = { Tags.team = true }
    cost_center_from = "Tags.team"

    [[rules]]
    id = "storage"
    match = { ServiceName = "S3", SubAccountId = "2" }
    cost_center = "web"

    [[rules]]
    id = "never"
    match = { ServiceName = "RDS" }
    cost_center = "web"
"""


@pytest.fixture
def billed(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    return company


def tried(company: Company, *where: str) -> list[trial.Trial]:
    match = trial.where(where, company.organization)
    trials = trial.try_rules(company.warehouse, company.organization, "2026-10", match)
    return [each.only(match) for each in trials]


def test_every_charge_is_taken_by_one_rule_or_by_none(billed: Company) -> None:
    before = snapshot(billed.root)
    found = takings.takings(tried(billed), billed.organization)
    assert [(each.rule, each.charges, int(each.billed["USD"])) for each in found] == [
        ("team", 1, 10),
        ("storage", 1, 3000),
        (None, 1, -40000),
        (None, 2, 205),
    ]
    assert found[0].outcome == "whom tag team names"
    assert found[2].reason == "no tag team, and no other rule matches"
    assert found[3].reason == "tag team = 'mll' names no cost center"
    service, account = found[1].because
    assert (service.column, service.condition, service.values) == (
        "ServiceName",
        "is 'S3'",
        ("S3",),
    )
    assert (account.values, account.distinct) == (("2",), 1)
    assert snapshot(billed.root) == before


def test_what_nearly_matched_says_what_was_missing(billed: Company) -> None:
    spelled, other = takings.nearly(tried(billed), only_unallocated=True)
    assert (spelled.rule, spelled.column, spelled.value) == ("team", "Tags.team", "mll")
    assert spelled.condition == "names a cost center, such as 'ml'"
    assert (spelled.charges, spelled.billed) == (2, {"USD": Decimal(205)})
    assert (other.rule, other.column, other.value) == ("storage", "SubAccountId", "3")


@pytest.mark.parametrize(
    ("where", "total"),
    [
        (["Tags.team="], -37000),
        (["Tags.team=m*"], 215),
        (["ServiceName=EC2", "RegionId=us"], 5),
        (["RegionId=us", "RegionId=eu"], -36785),
        (["VirtualTags.area=europe"], 3210),
        (["source=acme"], -36785),
        (["RegionId=nowhere"], None),
    ],
)
def test_charges_can_be_chosen(where: list[str], total: int | None, billed: Company) -> None:
    sums = [trial.sums(each.sets) for each in tried(billed, *where)]
    assert sums == [{} if total is None else {"USD": total}]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("Tags.team", "write COLUMN=VALUE"),
        ("Servicename=EC2", "did you mean 'ServiceName'?"),
        ("VirtualTags.aera=x", "did you mean 'area'?"),
        ("BilledCost=1", "is no column a rule can look at"),
    ],
)
def test_what_no_rule_can_look_at_is_refused(where: str, said: str, billed: Company) -> None:
    with pytest.raises(ConfigError, match=said):
        tried(billed, where)


def test_a_period_without_charges_names_those_that_have_some(billed: Company) -> None:
    with pytest.raises(ConfigError, match="there are no charges of 2026-09; there are of 2026-10"):
        trial.try_rules(billed.warehouse, billed.organization, "2026-09")


def test_before_the_first_charge_the_way_on_is_named(tmp_path: Path) -> None:
    company = Company.of(tmp_path / "company", RULES)
    with pytest.raises(ConfigError, match="`finops ingest"):
        trial.try_rules(company.warehouse, company.organization)


def test_one_charge_is_held_against_every_rule_up_to_its_own(billed: Company) -> None:
    sets = tried(billed, "SubAccountId=2")[0].sets
    one, facts = takings.charge(
        billed.warehouse, billed.organization, sets.item(0, trial.DEAREST)[:9]
    )
    assert facts["ServiceName"] == "S3"
    team, storage = trial.attempts(one, 0)
    assert [(each.column, each.held) for each in team.tried] == [
        ("Tags.team", False),
        ("Tags.team", False),
    ]
    assert not team.takes
    assert not team.nearly
    assert storage.takes
    assert one.sets.item(0, "cost_center") == "web"


@pytest.mark.parametrize(
    ("charge", "said"), [("abc", "at least 8 characters"), ("z" * 64, "no charge with this id")]
)
def test_an_id_that_means_no_charge_is_refused(charge: str, said: str, billed: Company) -> None:
    with pytest.raises(ConfigError, match=said):
        takings.charge(billed.warehouse, billed.organization, charge)


def test_rules_are_tried_as_they_were_on_the_day(tmp_path: Path) -> None:
    company = Company.of(
        tmp_path / "company",
        """
        cost_centers.old = { type = "team", name = "Old", valid_to = 2026-10-03 }
        cost_centers.new = { type = "team", name = "New" }

        [[rules]]
        id = "all"
        match = { ServiceName = true }
        cost_center = "old"
        valid_to = 2026-10-04

        [[rules]]
        id = "rest"
        match = { ServiceName = true }
        cost_center = "new"
        """,
    )
    company.deliver("""
        ServiceName,ChargePeriodStart,BilledCost
        EC2,2026-10-02T00:00:00Z,1
        EC2,2026-10-03T00:00:00Z,10
        EC2,2026-10-04T00:00:00Z,100
        EC2,2026-10-05T00:00:00Z,1000
    """)
    company.post()
    found = takings.takings(
        trial.try_rules(company.warehouse, company.organization), company.organization
    )
    assert [(each.rule, each.cost_centers, int(each.billed["USD"])) for each in found] == [
        ("all", ("old",), 1),
        ("rest", ("new",), 1100),
        (None, (), 10),
    ]
    assert company.sums() == {"old": 1, "new": 1100, None: 10}
