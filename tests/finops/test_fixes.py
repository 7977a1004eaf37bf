from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import coverage, fixes, quarantine
from finops.coverage import By
from finops.fixes import Fix, Kind
from tests.finops.company import Company

RULES = """
    cost_centers.ml = { type = "team", name = "ML" }
    cost_centers.web = { type = "team", name = "Web" }

    [[rules]]
    id = "project"
    match = { Tags.project = true, provider = "focus" }
    cost_center_from = "Tags.project"

    [[rules]]
    id = "team"
    match = { Tags.team = true, ServiceName = ["EC2", "S3"] }
    cost_center_from = "Tags.team"
"""
BILL = """
    ServiceName,Tags,SubAccountId,SubAccountName,ResourceId,BilledCost,ServiceProviderName
    EC2,"{""team"":""ml""}",1,one,i-1,1000,AWS
    EC2,,1,one,i-2,60,AWS
    EC2,,1,one,i-3,40,AWS
    EC2,"{""team"":""webb""}",2,two,i-4,90,AWS
    S3,"{""team"":""webb""}",1,one,b-1,30,AWS
    EC2,,2,two,i-5,7,AWS
    EC2,,3,three,i-6,-500,AWS
"""


def ranked(company: Company) -> list[Fix]:
    entries = company.ledger.entries()
    lines = coverage.lines(entries, quarantine.parts(company.warehouse), By.PROVIDER, None)
    wholes = {line.currency: line.share for line in lines}
    return fixes.fixes(company.warehouse, entries, company.organization, wholes)


@pytest.fixture
def posted(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    company.post()
    return company


def test_fixes_are_ranked_by_what_they_lift_and_count_no_charge_twice(posted: Company) -> None:
    found = ranked(posted)
    assert [(each.told, int(each.amount), each.charges) for each in found] == [
        ("correct tag team = 'webb', or make it an alias", 120, 2),
        ("set tag team on 2 resources of one", 100, 2),
        ("set tag team on i-5 of two", 7, 1),
    ]
    billed = Decimal(727)
    assert [each.points for each in found] == [
        (each.amount * 100 / billed).quantize(Decimal("0.01"), "ROUND_DOWN") for each in found
    ]
    assert [each.hint for each in found] == ["web", "ml", None]
    assert found[1].resources == ("i-2", "i-3")


def test_fixing_them_gives_the_coverage_that_was_promised(posted: Company) -> None:
    promised = ranked(posted)[0]
    mended = RULES.replace('name = "Web" }', 'name = "Web", aliases = ["webb"] }')
    after = Company.of(posted.root, mended)
    assert ranked(after)[0].kind is Kind.ATTRIBUTE
    assert ranked(after)[0].amount == promised.amount
    after.post()
    (line,) = coverage.lines(after.ledger.entries(), quarantine.parts(after.warehouse), None, None)
    assert line.share.coverage == promised.coverage
    assert promised.told not in [each.told for each in ranked(after)]


def test_where_no_tag_would_help_a_rule_does(tmp_path: Path) -> None:
    text = RULES.replace('provider = "focus"', 'provider = "aws"')
    company = Company.of(tmp_path / "company", text)
    company.deliver("""
        ServiceName,SubAccountId,BilledCost
        RDS,1,60
        ,,1
    """)
    company.post()
    assert [(each.kind, each.told, int(each.amount)) for each in ranked(company)] == [
        (Kind.RULE, "write a rule for 1", 60),
        (Kind.RULE, "write a rule for no account", 1),
    ]


def test_where_all_has_an_owner_there_is_nothing_to_fix(tmp_path: Path) -> None:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver("""
        ServiceName,Tags,BilledCost
        EC2,"{""team"":""ml""}",1
    """)
    company.post()
    assert ranked(company) == []


def test_the_lines_of_a_currency_add_up_whatever_tells_them_apart(posted: Company) -> None:
    entries, aside = posted.ledger.entries(), quarantine.parts(posted.warehouse)
    billed = Decimal(posted.entries().get_column("billed_cost").sum())
    for by in (None, *By):
        for over in (None, *coverage.Over):
            lines = coverage.lines(entries, aside, by, over)
            assert coverage.whole([line.share for line in lines]).billed == billed
            assert len({(line.time, line.provider, line.name) for line in lines}) == len(lines)


def test_accounts_of_the_same_name_are_told_apart_by_their_provider(tmp_path: Path) -> None:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver("""
        SubAccountId,ServiceProviderName,BilledCost
        acme,AWS,1
        acme,RunPod,2
    """)
    company.post()
    aside = pl.DataFrame(schema=quarantine.PARTS_SCHEMA)
    lines = coverage.lines(company.ledger.entries(), aside, By.ACCOUNT, None)
    assert [(line.provider, line.name, int(line.share.billed)) for line in lines] == [
        ("RunPod", "acme", 2),
        ("AWS", "acme", 1),
    ]


def test_what_is_set_aside_is_a_line_of_its_own_by_outcome(tmp_path: Path) -> None:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver("""
        ServiceName,Tags,BilledCost,ChargeCategory
        EC2,"{""team"":""ml""}",1,Usage
        EC2,,2,Usage
        EC2,,4,Usages
    """)
    company.post()
    entries, aside = company.ledger.entries(), quarantine.parts(company.warehouse)
    for by, name in ((By.RULE, "team"), (By.COST_CENTER, "ml")):
        lines = coverage.lines(entries, aside, by, None)
        assert {line.name: line.share.billed for line in lines} == {
            name: 1,
            coverage.NOBODY: 2,
            coverage.IN_QUARANTINE: 4,
        }
