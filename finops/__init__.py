"""The domain of Terradev FinOps: charges, attribution and the ledger, without network or Prefect."""
