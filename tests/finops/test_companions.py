import polars as pl
import pytest

from finops import companions, focus

COMMITMENT = ["ContractId", "ContractCommitmentId", "ContractCommitmentCategory", "BillingCurrency"]
PERIOD = ["BillingPeriodStart", "BillingPeriodEnd", "BillingPeriodStatus", "InvoiceIssuerName"]
INVOICE = [
    "InvoiceId",
    "InvoiceDetailId",
    "InvoiceDetailCreated",
    "InvoiceIssuerName",
    "BilledCost",
]


@pytest.mark.parametrize(
    ("columns", "dataset"),
    [
        (COMMITMENT, "Contract Commitment"),
        (PERIOD, "Billing Period"),
        (INVOICE, "Invoice Detail"),
        ([name.upper() for name in INVOICE], "Invoice Detail"),
        ([*PERIOD, "x_Own"], "Billing Period"),
    ],
)
def test_a_dataset_is_known_by_its_columns(columns: list[str], dataset: str) -> None:
    assert companions.dataset_of(columns) == dataset


@pytest.mark.parametrize("left_out", [*COMMITMENT[:3], *PERIOD, *INVOICE[:4]])
def test_a_table_that_lacks_a_column_is_none_of_them(left_out: str) -> None:
    for columns in (COMMITMENT, PERIOD, INVOICE):
        if left_out in columns:
            assert companions.dataset_of([name for name in columns if name != left_out]) is None


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4"])
def test_cost_and_usage_of_any_version_is_none_of_them(version: str) -> None:
    known = [column.name for column in focus.COST_AND_USAGE if column.since <= version]
    assert companions.dataset_of(known) is None
    assert companions.dataset_of([*known, *COMMITMENT, *PERIOD, *INVOICE]) is None


def test_nothing_is_left_out_of_a_bill_without_columns() -> None:
    assert companions.dataset_of(pl.DataFrame().columns) is None
