import json
from decimal import Decimal
from pathlib import Path

import pytest

from finops import tracing
from finops.errors import LedgerError
from finops.raw import RawStore
from tests.finops.company import Company, csv

RULES = """
cost_centers.ml = { type = "team", name = "ML" }

[[rules]]
id = "all"
match = { BillingCurrency = true }
cost_center = "ml"
"""
BILL = "ResourceId,BilledCost\ni-1,1.50\ni-2,2.50\n"


@pytest.fixture
def posted(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    company.post()
    return company


def trace(company: Company, reference: str) -> tracing.Trace:
    return tracing.trace(company.warehouse, company.ledger, reference)


def reference_of(company: Company, resource: str) -> str:
    rows = company.entries().filter(resource=resource)
    return f"{rows['index'][0]}/{rows['row'][0]}"


@pytest.mark.parametrize("reference", ["", "1", "1/", "1/99", "9/0", "0/0", "a/b", "-1/0", "1/0/0"])
def test_there_is_no_such_entry(reference: str, posted: Company) -> None:
    with pytest.raises(LedgerError, match=r"there is no entry"):
        trace(posted, reference)


def test_a_figure_walks_back_to_the_bytes(posted: Company) -> None:
    found = trace(posted, reference_of(posted, "i-2"))
    assert found.entry["billed_cost"] == found.charge["BilledCost"] == Decimal("2.5")
    assert found.charge["x_ChargeId"] == found.entry["charge_id"]
    assert posted.warehouse.read(str(found.raw["key"])) == csv(BILL)
    assert found.raw["name"] == "bill"
    assert found.raw_row["row"] == 2
    assert found.raw_row["BilledCost"] == "2.50"
    assert found.batch["index"] == 1
    assert [title for title, _ in found.sections()][-1] == "Row as the provider sent it"
    assert json.dumps(found.as_json(), default=str)


def test_a_restated_entry_still_finds_its_bytes(posted: Company) -> None:
    reference = reference_of(posted, "i-2")
    posted.deliver(BILL.replace("2.50", "2.75"))
    posted.post()
    found = trace(posted, reference)
    assert found.charge == {}
    assert found.raw_row["BilledCost"] == "2.50"


@pytest.mark.parametrize("lost", ["receipt", "bytes"])
def test_lost_evidence_is_said(lost: str, posted: Company) -> None:
    for key in list(posted.warehouse.list("raw/")):
        if key.endswith(".json") == (lost == "receipt"):
            posted.warehouse.delete(key)
    with pytest.raises(LedgerError, match=r"its raw object raw/\w+ is not in the warehouse"):
        trace(posted, reference_of(posted, "i-2"))


def test_without_charges_the_rest_is_shown(posted: Company) -> None:
    for key in list(posted.warehouse.list("charges/")):
        posted.warehouse.delete(key)
    found = trace(posted, reference_of(posted, "i-2"))
    assert found.charge == {}
    assert found.raw_row["ResourceId"] == "i-2"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b'{"bills": []}', {"place": "element 1 of reply"}),
        (b"[1, 2]", {"place": "element 1 of reply"}),
        (b"\x00\x01", {"place": "row 2 of reply"}),
        (b"a,b\n1,2\n1,2,3\n", {"place": "row 2 of reply"}),
        (b"a,b\n1,\n3,\n", {"row": 2, "a": "3"}),
        (b"a,b\n1,2\n", {}),
    ],
)
def test_what_is_shown_of_raw_bytes(
    content: bytes, shown: dict[str, object], posted: Company
) -> None:
    kept = RawStore(posted.warehouse).keep(content, "reply")
    assert tracing._raw_row(posted.warehouse, kept.sha256, 1, "reply") == shown
