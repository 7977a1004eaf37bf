"""What FOCUS 1.3 and 1.4 deliver beside charges: contracts, billing periods, invoice lines.

They hold no charges, so that counting them would bill twice; a folder with a provider's whole
delivery has them beside Cost and Usage. Columns by the FOCUS specification 1.4, section "datasets".
"""

from collections.abc import Mapping, Sequence
from typing import Final

from finops.errors import DataError, Issue, Severity
from finops.tabular import Table

DATASETS: Final[Mapping[str, frozenset[str]]] = {
    "Contract Commitment": frozenset(
        {"ContractId", "ContractCommitmentId", "ContractCommitmentCategory"}
    ),
    "Billing Period": frozenset(
        {"BillingPeriodStart", "BillingPeriodEnd", "BillingPeriodStatus", "InvoiceIssuerName"}
    ),
    "Invoice Detail": frozenset(
        {"InvoiceId", "InvoiceDetailId", "InvoiceDetailCreated", "InvoiceIssuerName"}
    ),
}
"""Columns that each of them has in every version, and no other table together."""

_CHARGED: Final = {"ChargePeriodStart", "ChargePeriodEnd"}
"""What makes a row a charge: only Cost and Usage has it."""


def dataset_of(columns: Sequence[str]) -> str | None:
    """Name the dataset that a table with these columns is; None for one that may hold charges."""
    given = {name.strip().lower() for name in columns}
    if given & {name.lower() for name in _CHARGED}:
        return None
    for name, needed in DATASETS.items():
        if given >= {column.lower() for column in needed}:
            return name
    return None


def set_apart(tables: Sequence[Table]) -> tuple[list[Table], list[Issue]]:
    """Return the tables that may hold charges, and an issue for each that is left out."""
    kept: list[Table] = []
    issues: list[Issue] = []
    for table in tables:
        dataset = dataset_of(table.rows.collect_schema().names())
        if dataset is None:
            kept.append(table)
        else:
            said = f"is the FOCUS dataset {dataset}, which holds no charges, and was left out"
            issues.append(Issue(table.name, said, Severity.INFO))
    return kept, issues


def demand_charges(kept: Sequence[Table], issues: Sequence[Issue], where: str) -> None:
    """Raise `DataError` when a delivery holds nothing but such datasets."""
    if issues and not kept:
        told = ", ".join(issue.where for issue in issues)
        raise DataError(
            f"{where}: holds no charges, only {told}; add the FOCUS dataset Cost and Usage"
        )
