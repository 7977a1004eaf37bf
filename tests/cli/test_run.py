"""The main job: a bill in, a verified ledger and a report out."""

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.conftest import BILL, Finops, fingerprint

SEPTEMBER = ("--from", "2024-09-01", "--to", "2024-10-01")


def billed(path: Path = BILL) -> Decimal:
    with path.open(encoding="utf-8") as file:
        return sum((Decimal(row["BilledCost"]) for row in csv.DictReader(file)), Decimal(0))


def covered(finops: Finops) -> dict[str, Decimal]:
    (only,) = json.loads(finops("coverage", "--json").out)
    names = ("billed", "allocated", "unallocated", "quarantined")
    return {name: Decimal(only[name]) for name in names}


def test_every_cent_of_the_bill_is_accounted_for(acme: Path, finops: Finops) -> None:
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    money = covered(finops)
    assert money["billed"] == billed()
    assert money["allocated"] + money["unallocated"] + money["quarantined"] == billed()
    assert money["unallocated"] > 0


def test_coverage_by_provider_adds_up_to_the_whole(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    (only,) = json.loads(finops("coverage", "--json").out)
    assert {one["provider"] for one in only["by_provider"]} == {"AWS", "Microsoft", "Oracle"}
    for name in ("billed", "allocated", "unallocated", "quarantined"):
        parts = sum(Decimal(one[name]) for one in only["by_provider"])
        assert parts == Decimal(only[name])


def test_the_ledger_verifies_and_the_report_is_there(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    verified = finops("ledger", "verify", "--json")
    assert verified.code == 0
    assert json.loads(verified.out)["ok"] is True
    page = (acme / "reports" / "monthly-2024-09.html").read_text(encoding="utf-8")
    assert "Vision" in page
    assert json.loads(finops("ledger", "head", "--json").out)["root"] in page


def test_running_again_changes_nothing_in_ledger_charges_and_allocations(
    acme: Path, finops: Finops
) -> None:
    finops("run", *SEPTEMBER)
    before = fingerprint(acme / "warehouse")
    again = finops("run", *SEPTEMBER)
    assert again.code == 0
    assert "no new batch" in again.out
    assert fingerprint(acme / "warehouse") == before


def test_a_restated_day_becomes_a_reversal_and_a_new_entry(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    before = json.loads(finops("ledger", "log", "--json").out)
    bill = acme / "bills" / "september.csv"
    lines = bill.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if '""team"": ""Vision""' in line)
    old = lines[place].split(",")[1]
    new = str(Decimal(old) + Decimal("1.25"))
    lines[place] = lines[place].replace(old, new, 1)
    bill.write_text("".join(lines), encoding="utf-8")

    assert finops("run", *SEPTEMBER).code == 0
    after = json.loads(finops("ledger", "log", "--json").out)
    (batch,) = after[len(before) :]
    assert (batch["kind"], batch["rows"]) == ("correct", 2)
    reversal = json.loads(finops("trace", f"{batch['index']}/0", "--json").out)["entry"]
    entry = json.loads(finops("trace", f"{batch['index']}/1", "--json").out)["entry"]
    assert Decimal(reversal["billed_cost"]) == -Decimal(old)
    assert Decimal(entry["billed_cost"]) == Decimal(new)
    assert covered(finops)["billed"] == billed() + Decimal("1.25")
    assert finops("ledger", "verify").code == 0


def test_a_budget_change_makes_no_batch(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    organization = acme / "organization.toml"
    text = organization.read_text(encoding="utf-8")
    organization.write_text(text.replace("amount = 40", "amount = 41"), encoding="utf-8")
    assert "no new batch" in finops("run", *SEPTEMBER).out


def test_a_rule_change_moves_money_and_keeps_the_total(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    before = covered(finops)
    organization = acme / "organization.toml"
    alias = organization.read_text(encoding="utf-8").replace(
        'name = "Vision"', 'name = "Vision"\naliases = ["visoin"]'
    )
    organization.write_text(alias, encoding="utf-8")
    assert finops("attribute", *SEPTEMBER).code == 0
    after = covered(finops)
    assert after["billed"] == before["billed"]
    assert after["unallocated"] < before["unallocated"]


def test_trace_leads_to_the_row_the_provider_sent(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    found = json.loads(finops("trace", "1/0", "--json").out)
    with BILL.open(encoding="utf-8") as file:
        sent = list(csv.DictReader(file))[found["entry"]["src_row"]]
    assert found["raw_row"]["Id"] == sent["Id"]
    assert found["charge"]["x_ChargeId"] == found["entry"]["charge_id"]
    assert found["raw"]["name"] == "september.csv"
    assert "Row as the provider sent it" in finops("trace", "1/0").out


def test_a_bill_with_faulty_rows_keeps_their_money_in_quarantine(
    acme: Path, finops: Finops
) -> None:
    bill = acme / "bills" / "september.csv"
    text = bill.read_text(encoding="utf-8")
    bill.write_text(text.replace(",Usage,", ",Usages,", 3), encoding="utf-8")
    assert finops("run", *SEPTEMBER).code == 0
    money = covered(finops)
    assert money["quarantined"] > 0
    assert money["billed"] == billed()
    assert "quarantine: september.csv: ChargeCategory" in finops("run", *SEPTEMBER).err


def test_tables_have_a_reading_and_a_json_form(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    for command in (["coverage"], ["budgets"], ["providers"], ["doctor"], ["ledger", "log"]):
        assert finops(*command).out.strip()
        assert json.loads(finops(*command, "--json").out)


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ("99/0", 1, "there is no entry 99/0: the ledger holds 2 batches, from 0 on"),
        ("1/999999", 1, "there is no entry 1/999999: batch 1 holds the rows 0 to"),
        ("0/0", 1, "there is no entry 0/0: batch 0 holds no rows: it begins the ledger"),
        *((entry, 2, "is no entry of a ledger; write batch/row") for entry in ("x", "1/-1", "1")),
        ("", 2, "is no entry of a ledger; write batch/row"),
        ("1/2/3", 2, "'1/2/3' is no entry of a ledger; write batch/row, such as 42/17"),
    ],
)
def test_an_entry_that_does_not_exist_is_said_plainly(
    acme: Path, finops: Finops, entry: str, code: int, said: str
) -> None:
    finops("run", *SEPTEMBER)
    ran = finops("trace", "--", entry)
    assert ran.code == code
    assert said in ran.err


@pytest.mark.parametrize(
    "command",
    [
        ["budgets"],
        ["coverage"],
        ["report", "monthly", "--period", "2024-09"],
        ["ledger", "head"],
        ["ledger", "log"],
        ["ledger", "verify"],
    ],
)
def test_before_the_first_run_every_command_says_so(
    acme: Path, finops: Finops, command: list[str]
) -> None:
    for arguments in (command, [*command, "--json"]):
        ran = finops(*arguments)
        assert ran.code == 2
        assert "the ledger is empty; `finops run --from … --to …` fills it" in ran.err
    assert not (acme / "reports").exists()
    assert not list((acme / "warehouse").rglob("*.html"))


def test_a_report_of_a_month_without_charges_is_misuse(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    ran = finops("report", "monthly", "--period", "2023-01")
    assert ran.code == 2
    assert "there are no charges of 2023-01; there are of 2024-09, 2024-10" in ran.err
    assert not (acme / "reports" / "monthly-2023-01.html").exists()


def test_a_bill_that_is_all_quarantine_can_be_looked_at(acme: Path, finops: Finops) -> None:
    bill = acme / "bills" / "september.csv"
    bill.write_text(bill.read_text(encoding="utf-8").replace(",USD,", ",US$,"), encoding="utf-8")
    assert finops("run", *SEPTEMBER).code == 0
    assert covered(finops)["quarantined"] == billed()
    assert finops("report", "monthly", "--period", "2024-09").code == 0


def test_verify_remembers_the_head_and_refuses_an_older_ledger(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    old = {
        path: path.read_bytes() for path in (acme / "warehouse/ledger").rglob("*") if path.is_file()
    }
    organization = acme / "organization.toml"
    text = organization.read_text(encoding="utf-8")
    organization.write_text(text.replace("ai = 0.3, vision = 0.3", "ai = 0.2, vision = 0.4"))
    finops("run", *SEPTEMBER)
    state = acme / "seen.json"
    assert finops("ledger", "verify", "--state", state).code == 0
    for path in (acme / "warehouse/ledger").rglob("*"):
        if path.is_file():
            path.unlink()
    for path, content in old.items():
        path.write_bytes(content)
    assert finops("ledger", "verify").code == 0
    assert finops("ledger", "verify", "--state", state).code == 1
