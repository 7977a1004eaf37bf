from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import linting, organization, rules, trial
from finops.linting import Fault
from tests.finops.company import Company
from tests.finops.test_rulebook import decided

CENTERS = """
    cost_centers.ml = { type = "team", name = "ML" }
    cost_centers.web = { type = "team", name = "Web" }
"""


def found(folder: Path, rules_: str, bill: str = "") -> list[tuple[str, str]]:
    company = Company.of(folder / "company", CENTERS + rules_)
    trials = []
    if bill:
        company.deliver(bill)
        trials = trial.try_rules(company.warehouse, company.organization, "2026-10")
    findings = linting.lint(company.organization, trials, "2026-10" if bill else None)
    return [(each.fault, each.subject) for each in findings]


def rule(id_: str, match: str, outcome: str = 'cost_center = "ml"') -> str:
    return f'\n    [[rules]]\n    id = "{id_}"\n    match = {match}\n    {outcome}\n'


@pytest.mark.parametrize(
    ("above", "below", "is_unreachable"),
    [
        ("{ ServiceName = 'EC*' }", "{ ServiceName = 'EC2' }", True),
        ("{ ServiceName = true }", "{ ServiceName = 'EC2', RegionId = 'eu' }", True),
        ("{ ServiceName = 'EC2' }", "{ ServiceName = 'EC*' }", False),
        ("{ ServiceName = 'EC2', RegionId = 'eu' }", "{ ServiceName = 'EC2' }", False),
        ("{ ServiceName = 'EC2' }\nvalid_to = 2026-10-02", "{ ServiceName = 'EC2' }", False),
        ("{ ServiceName = 'EC2' }", "{ ServiceName = 'EC2' }\nvalid_to = 2026-10-02", True),
    ],
)
def test_a_rule_below_one_that_takes_all_of_it_is_unreachable(
    above: str,
    below: str,
    is_unreachable: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    findings = found(tmp_path, rule("above", above) + rule("below", below, 'cost_center = "web"'))
    assert findings == ([(Fault.UNREACHABLE, "rule below")] if is_unreachable else [])


def test_a_lookup_may_leave_something_unless_the_same_is_looked_up_below(tmp_path: Path) -> None:
    lookup = 'cost_center_from = "Tags.team"'
    text = (
        rule("first", "{ Tags.team = true }", lookup)
        + rule("second", "{ Tags.team = 'x' }")
        + rule("third", "{ Tags.team = 'y', ServiceName = 'S3' }", lookup)
    )
    assert found(tmp_path, text) == [(Fault.UNREACHABLE, "rule third")]


BILL = """
    ServiceName,Tags,RegionId,BilledCost
    EC2,"{""team"":""ml""}",eu,10
    S3,"{""team"":""ml""}",eu,20
    S3,,eu,5
"""


def test_the_charges_show_what_is_dead_shadowed_and_overlapping(tmp_path: Path) -> None:
    text = (
        rule("team", "{ Tags.team = true }", 'cost_center_from = "Tags.team"')
        + rule("dead", "{ ServiceName = 'RDS' }")
        + rule("shadowed", "{ ServiceName = 'EC2' }", 'cost_center = "web"')
        + rule("overlapping", "{ ServiceName = 'S3' }", 'cost_center = "web"')
        + rule("alike", "{ RegionId = 'eu' }")
    )
    assert found(tmp_path, text, BILL) == [
        (Fault.DEAD, "rule dead"),
        (Fault.SHADOWED, "rule shadowed"),
        (Fault.OVERLAPPING, "rule overlapping"),
        (Fault.SHADOWED, "rule alike"),
    ]


def test_a_finding_says_how_much_it_is_about(tmp_path: Path) -> None:
    text = CENTERS + (
        rule("team", "{ Tags.team = true }", 'cost_center_from = "Tags.team"')
        + rule("storage", "{ ServiceName = 'S3' }", 'cost_center = "web"')
    )
    company = Company.of(tmp_path / "company", text)
    company.deliver(BILL)
    trials = trial.try_rules(company.warehouse, company.organization)
    (overlap,) = linting.lint(company.organization, trials, None)
    assert (overlap.charges, overlap.billed) == (1, {"USD": Decimal(20)})
    assert "rule team above takes" in overlap.message


def test_what_nobody_uses_is_named(tmp_path: Path) -> None:
    text = """
    cost_centers.parent = { type = "division", name = "Parent" }
    cost_centers.child = { type = "team", name = "Child", parent = "parent" }
    cost_centers.idle = { type = "team", name = "Idle" }
    splits.used = { method = "even", among = ["child", "web"] }
    splits.idle = { method = "even", among = ["ml"] }
    lookups.idle = { a = "ml" }
    """ + rule("split", "{ ServiceName = true }", 'split = "used"')
    assert found(tmp_path, text) == [
        (Fault.UNUSED, "split idle"),
        (Fault.UNUSED, "lookup idle"),
        (Fault.UNUSED, "cost center idle"),
    ]


def test_what_only_idle_policies_and_other_splits_name_is_used(tmp_path: Path) -> None:
    text = """
    idle = { split = "outer", owners = { web = { cost_center = "pool" } } }
    cost_centers.pool = { type = "team", name = "Pool" }
    splits.outer = { method = "even", among = ["ml", "splits.inner"] }
    splits.inner = { method = "even", among = ["ml", "web"] }
    splits.alone = { method = "even", among = ["ml", "splits.inner"] }
    """ + rule("all", "{ BillingCurrency = true }")
    assert found(tmp_path, text) == [(Fault.UNUSED, "split alone")]


def test_a_cost_center_that_only_tags_name_counts_as_used_when_they_do(tmp_path: Path) -> None:
    text = rule("team", "{ Tags.team = true }", 'cost_center_from = "Tags.team"')
    assert found(tmp_path, text) == []
    assert found(tmp_path / "billed", text, BILL) == [(Fault.UNUSED, "cost center web")]


def test_a_cost_center_of_another_time_is_not_missed(tmp_path: Path) -> None:
    text = """
    cost_centers.gone = { type = "team", name = "Gone", valid_to = 2026-10-01 }
    cost_centers.later = { type = "team", name = "Later", valid_from = 2026-11-01 }
    cost_centers.now = { type = "team", name = "Now", valid_from = 2026-10-31 }
    splits.s = { method = "even", among = ["ml", "web"] }
    """ + rule("split", "{ ServiceName = true }", 'split = "s"')
    assert found(tmp_path, text, BILL) == [(Fault.UNUSED, "cost center now")]


def test_a_line_of_a_virtual_tag_below_one_that_takes_all_is_unreachable(tmp_path: Path) -> None:
    text = """
    [[virtual_tags.env]]
    value = "prod"

    [[virtual_tags.env]]
    value_from = "Tags.env"
    """ + rule("env", "{ VirtualTags.env = 'prod' }")
    findings = found(tmp_path, text + rule("web", "{ ServiceName = 'x' }", 'cost_center = "web"'))
    assert findings == [(Fault.UNREACHABLE, "virtual tag env, line 2")]


CONDITION = st.sampled_from(
    [True, "a", "a*", "b", {"prefix": "a"}, ["a", "b"], {"not": "b"}, False]
)
MATCH = st.dictionaries(st.sampled_from(["ServiceName", "RegionId"]), CONDITION, min_size=1)
VALUE = st.sampled_from([None, "", "a", "ab", "b", "c"])


@given(st.lists(MATCH, min_size=2, max_size=5), VALUE, VALUE)
def test_what_is_called_unreachable_never_decides(
    matches: list[dict[str, object]], service: str | None, region: str | None
) -> None:
    table = {
        "cost_centers": {"ml": {"type": "team", "name": "ML"}},
        "rules": [
            {"id": f"r{place}", "match": match, "cost_center": "ml"}
            for place, match in enumerate(matches)
        ],
    }
    org = organization.parse("", table)
    unreachable = {each.subject.removeprefix("rule ") for each in linting.lint(org, [], None)}
    values = {"ServiceName": service, "RegionId": region}
    taken = decided(org, **{name: values[name] for name in rules.columns(org)})
    assert taken["rule"] not in unreachable
