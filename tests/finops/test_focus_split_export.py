import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import conformance, focus_file, focus_split_export, tabular
from finops.errors import Severity
from finops.focus_split_export import Exported
from tests.finops.company import Company
from tests.finops.test_posting_workloads import tell

RULES = """
cost_centers.ml = { type = "team", name = "ML" }
cost_centers.web = { type = "team", name = "Web" }
splits.both = { method = "fixed", shares = { ml = 0.25, web = 0.75 } }

[[virtual_tags.env]]
value = "prod"
match = { ServiceName = "EC2" }

[[rules]]
id = "tag"
match = { Tags.team = true }
cost_center_from = "Tags.team"

[[rules]]
id = "network"
match = { ServiceName = "VPC" }
split = "both"
"""
BILL = """
ChargePeriodStart,ChargePeriodEnd,ResourceId,BilledCost,ServiceName,PricingQuantity,InvoiceId
2026-10-02T00:00:00Z,2026-10-03T00:00:00Z,i-1,10.00,EC2,24,I-1
2026-10-02T00:00:00Z,2026-10-03T00:00:00Z,net,1.00,VPC,7,I-1
2026-10-03T00:00:00Z,2026-10-04T00:00:00Z,i-2,5.00,EC2,24,I-1
"""


@pytest.fixture
def posted(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    tell(company, ("ml", "i-1", 6), ("web", "i-1", 2))
    company.post()
    return company


def export(company: Company, version: str = "1.4", period: str = "2026-10") -> Exported:
    return focus_split_export.write(
        company.warehouse,
        company.ledger,
        company.organization,
        period,
        version,
        company.root / "out",
    )


def test_workloads_splits_and_plain_charges_stand_in_one_file(posted: Company) -> None:
    done = export(posted)
    rows = pl.read_parquet(done.path)
    said = ("ResourceId", "AllocatedResourceId", "x_CostCenter", "BilledCost", "PricingQuantity")
    assert rows.select(said).rows() == [
        ("i-1", "pod/ml", "ml", Decimal("7.5"), 18),
        ("i-1", "pod/web", "web", Decimal("2.5"), 6),
        ("net", "cost_center/ml", "ml", Decimal("0.25"), Decimal("1.75")),
        ("net", "cost_center/web", "web", Decimal("0.75"), Decimal("5.25")),
        ("i-2", None, None, 5, 24),
    ]
    assert (done.rows, done.split, done.parts) == (5, 2, 4)
    assert done.sums["USD"]["BilledCost"] == 16
    assert [json.loads(text or "{}") for text in rows["x_VirtualTags"]] == [
        {"env": "prod"},
        {"env": "prod"},
        {},
        {},
        {"env": "prod"},
    ]
    assert rows["ChargeClass"].null_count() == 5
    assert set(rows["InvoiceId"]) == {"I-1"}


def test_our_own_check_finds_in_the_parts_what_it_finds_in_the_charges(posted: Company) -> None:
    path = export(posted).path
    found = conformance.check(tabular.scan(path, path.name), path.name)
    allocated = [one for one in found.broken if one.requirement.column.startswith("Allocated")]
    assert (found.rows, found.version, allocated) == (5, "1.4", [])
    assert not [one for one in found.broken if one.requirement.severity is Severity.FATAL]


def test_few_rows_at_a_time_give_the_same_file(
    posted: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pl.read_parquet(export(posted).path)
    for module in (focus_file, focus_split_export):
        monkeypatch.setattr(module, "GROUP_ROWS", 1)
    assert pl.read_parquet(export(posted).path).equals(whole)


def test_what_was_taken_back_is_no_row(posted: Company) -> None:
    tell(posted, ("ml", "i-1", 3), ("web", "i-1", 3))
    posted.post()
    rows = pl.read_parquet(export(posted).path)
    assert rows["BilledCost"].to_list()[:2] == [5, 5]
    assert rows["BilledCost"].sum() == 16
    assert rows["x_LedgerCheckpoint"].unique().to_list() == [
        f"{posted.ledger.batches()[-1].index + 1} {export(posted).checkpoint.root}"
    ]


def test_a_later_batch_is_not_part_of_an_earlier_checkpoint(posted: Company) -> None:
    size = len(posted.ledger.batches())
    tell(posted, ("ml", "i-1", 3))
    posted.post()
    before, after = (
        pl.concat(rows for _, rows in posted.ledger.histories(at, lambda _: True))
        for at in (size, size + 1)
    )
    assert (len(before), set(before["kind"])) == (5, {"allocation"})
    assert set(after["kind"]) == {"allocation", "reversal"}
    assert not list(posted.ledger.histories(size, lambda _: False))
