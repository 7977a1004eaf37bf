"""Terradev FinOps: charges, attribution and the ledger, without network or Prefect.

Three classes open an installation in Python: `AttributionEngine` tracks work as it runs,
`GranularCostTracker` knows cost centers and budgets, `UnifiedBillingAggregator` the bills.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finops.attribution_engine import AttributionEngine
    from finops.granular_cost_tracker import GranularCostTracker
    from finops.unified_billing_aggregator import UnifiedBillingAggregator

__all__ = ["AttributionEngine", "GranularCostTracker", "UnifiedBillingAggregator"]

_MODULES = {
    "AttributionEngine": "finops.attribution_engine",
    "GranularCostTracker": "finops.granular_cost_tracker",
    "UnifiedBillingAggregator": "finops.unified_billing_aggregator",
}


def __getattr__(name: str) -> Any:
    """Import the classes when they are asked for, so that `import finops` stays quick."""
    if name not in _MODULES:
        raise AttributeError(f"module 'finops' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
