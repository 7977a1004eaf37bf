"""`finops rules`, as people and scripts use it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from finops.coverage import By
from tests.conftest import ORGANIZATION, Finops, fingerprint

SEPTEMBER = "--from", "2024-09-01", "--to", "2024-10-01"
PERIOD = "--period", "2024-09"


@pytest.fixture
def ran(acme: Path, finops: Finops) -> Path:
    assert finops("run", *SEPTEMBER).code == 0
    return acme


def billed(finops: Finops) -> Decimal:
    (dollar,) = json.loads(finops("coverage", *PERIOD, "--json").out)
    return Decimal(dollar["allocated"]) + Decimal(dollar["unallocated"])


def test_what_the_rules_take_adds_up_to_the_bill(ran: Path, finops: Finops) -> None:
    before = fingerprint(ran)
    told = json.loads(finops("rules", "test", *PERIOD, "--json").out)
    assert fingerprint(ran) == before
    assert sum(Decimal(each["billed"]["USD"]) for each in told["rules"]) == billed(finops)
    taken = {each["rule"]: each for each in told["rules"]}
    assert taken["network"]["outcome"] == "split shared"
    assert taken["storage"]["because"][0]["values"] == ["Storage"]
    shown = finops("rules", "test", *PERIOD)
    assert shown.code == 0
    assert "ServiceCategory = 'Storage'" in shown.out


def test_one_charge_is_explained(ran: Path, finops: Finops) -> None:
    entry = json.loads(finops("trace", "1/0", "--json").out)
    charge = entry["entry"]["charge_id"]
    told = json.loads(finops("rules", "test", "--charge", charge, "--json").out)
    assert told["charge"]["x_ChargeId"] == charge
    assert told["rule"] == entry["entry"]["rule"]
    shown = finops("rules", "test", "--charge", charge[:12])
    assert shown.code == 0
    assert "Goes to" in shown.out or "Unallocated" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test", "--where", "Servicename=x"], "did you mean 'ServiceName'?"),
        (["test", "--where", "ServiceName"], "write COLUMN=VALUE"),
        (["test", "--where", "ServiceName=nothing"], "no charge of any period meets this"),
        (["test", "--period", "2023-01"], "there are no charges of 2023-01; there are of 2024-09"),
        (["test", "--charge", "0123456789"], "there is no charge with this id"),
        (["test", "--charge", "0123456789", *PERIOD], "leave out --where and --period"),
        (["lint", "--period", "2023-01"], "there are no charges of 2023-01"),
        (["lint", "--period", "soon"], "is not a month"),
        (["diff", "organization.toml", "nowhere.toml", *PERIOD], "nowhere.toml: there is no such"),
        (
            ["diff", "organization.toml", "broken.toml", *PERIOD],
            "broken.toml: rules[0].id: is miss",
        ),
        (
            ["diff", "organization.toml", "organization.toml", "--period", "2023-01"],
            "there are no charges of 2023-01; there are of 2024-09",
        ),
    ],
)
def test_misuse_says_what_to_write(
    arguments: list[str], said: str, ran: Path, finops: Finops
) -> None:
    (ran / "broken.toml").write_text(
        "[[rules]]\nmatch = { ServiceName = true }\n", encoding="utf-8"
    )
    refused = finops("rules", *arguments)
    assert refused.code == 2
    assert said in refused.err
    assert not refused.out


@pytest.mark.parametrize(
    "command", [["test"], ["diff", "organization.toml", "organization.toml", *PERIOD]]
)
def test_before_the_first_charge_the_way_on_is_named(
    command: list[str], acme: Path, finops: Finops
) -> None:
    refused = finops("rules", *command)
    assert refused.code == 2
    assert "`finops ingest" in refused.err


def test_before_the_first_charge_lint_looks_at_what_can_be_proven(
    acme: Path, finops: Finops
) -> None:
    assert finops("rules", "lint").code == 0
    rules = acme / "organization.toml"
    again = (
        '\n[[rules]]\nid = "again"\nmatch = { ServiceCategory = "Storage" }\ncost_center = "ai"\n'
    )
    rules.write_text(ORGANIZATION + again, encoding="utf-8")
    found = finops("rules", "lint")
    assert found.code == 1
    assert "rule storage above takes every charge" in " ".join(found.out.replace("│", " ").split())
    assert "only what can be proven" in found.out


def test_lint_fails_for_what_is_to_be_corrected(ran: Path, finops: Finops) -> None:
    rules = ran / "organization.toml"
    dead = '\n[[rules]]\nid = "dead"\nmatch = { ServiceName = "No such" }\ncost_center = "ai"\n'
    rules.write_text(ORGANIZATION + dead, encoding="utf-8")
    found = finops("rules", "lint", *PERIOD, "--json")
    assert found.code == 1
    findings = json.loads(found.out)["findings"]
    assert {(each["fault"], each["subject"]) for each in findings} >= {("dead", "rule dead")}
    assert "matches no charge of 2024-09" in " ".join(
        finops("rules", "lint", *PERIOD).out.replace("│", " ").split()
    )


def test_a_difference_is_shown_and_not_applied(ran: Path, finops: Finops) -> None:
    new = ran / "new.toml"
    new.write_text(ORGANIZATION.replace("ai = 0.3, vision = 0.3", "ai = 0.1, vision = 0.5"))
    before = fingerprint(ran)
    told = json.loads(finops("rules", "diff", "organization.toml", new, *PERIOD, "--json").out)
    shown = finops("rules", "diff", "organization.toml", new, *PERIOD)
    assert fingerprint(ran) == before
    changes = {each["cost_center"]: Decimal(each["change"]) for each in told["balances"]}
    assert changes["vision"] == -changes["ai"] != 0
    assert changes["web"] == 0
    assert told["moves"][0]["from"] == ["ai"]
    assert told["moves"][0]["to"] == ["vision"]
    assert shown.code == 0
    assert "Who gains and who loses, 2024-09" in shown.out
    same = finops("rules", "diff", "organization.toml", "organization.toml", *PERIOD)
    assert same.code == 0
    assert "Nothing moves" in same.out


def test_what_was_said_to_move_moves(ran: Path, finops: Finops) -> None:
    def spent() -> dict[str, Decimal]:
        told = json.loads(finops("coverage", *PERIOD, "--by", "cost-center", "--json").out)
        return {each["cost_center"]: Decimal(each["billed"]) for each in told[0]["by_cost_center"]}

    text = ORGANIZATION.replace(
        '"Storage" }\ncost_center = "web"', '"Storage" }\ncost_center = "ai"'
    )
    (ran / "new.toml").write_text(text, encoding="utf-8")
    told = json.loads(
        finops("rules", "diff", "organization.toml", "new.toml", *PERIOD, "--json").out
    )
    promised = {
        each["cost_center"] or "unallocated": Decimal(each["billed_after"])
        for each in told["balances"]
    }
    (ran / "organization.toml").write_text(text, encoding="utf-8")
    assert finops("attribute", *SEPTEMBER).code == 0
    assert spent() == promised


@pytest.mark.parametrize("by", [*By, "ServiceCategory", "Tags.team"])
def test_coverage_adds_up_whatever_tells_it_apart(by: str, ran: Path, finops: Finops) -> None:
    (whole,) = json.loads(finops("coverage", "--json").out)
    (told,) = json.loads(finops("coverage", "--by", by, "--json").out)
    lines = told[f"by_{by.replace('-', '_')}"]
    assert sum(Decimal(line["billed"]) for line in lines) == Decimal(whole["billed"])
    assert finops("coverage", "--by", by).code == 0


@pytest.mark.parametrize(("flag", "key"), [("--monthly", "by_month"), ("--daily", "by_day")])
def test_coverage_over_time_adds_up(flag: str, key: str, ran: Path, finops: Finops) -> None:
    for more in ([], ["--by", "provider"], ["--by", "rule"]):
        (told,) = json.loads(finops("coverage", flag, *more, "--json").out)
        assert sum(Decimal(line["billed"]) for line in told[key]) == Decimal(told["billed"])
        assert [line[key[3:]] for line in told[key]] == sorted(line[key[3:]] for line in told[key])
        assert finops("coverage", flag, *more).code == 0


def test_coverage_names_the_cheapest_fixes(ran: Path, finops: Finops) -> None:
    (told,) = json.loads(finops("coverage", "--json").out)
    amounts = [Decimal(fix["amount"]) for fix in told["fixes"]]
    assert amounts
    assert amounts == sorted(amounts, reverse=True)
    unowned = json.loads(finops("rules", "test", "--json").out)["rules"]
    charges = sum(each["charges"] for each in unowned if each["rule"] is None)
    assert sum(fix["charges"] for fix in told["fixes"]) <= charges
    assert "Cheapest fixes" in finops("coverage").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "acount"], "did you mean 'account'?"),
        (["--by", "VirtualTags.env"], "there is no virtual tag 'env'"),
        (["--daily", "--monthly"], "not both"),
        (["--period", "2023-01"], "there are no charges of 2023-01"),
    ],
)
def test_coverage_says_what_to_write(
    arguments: list[str], said: str, ran: Path, finops: Finops
) -> None:
    refused = finops("coverage", *arguments)
    assert refused.code == 2
    assert said in refused.err
