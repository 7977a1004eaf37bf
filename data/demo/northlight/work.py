"""One piece of work that explains a charge, as the demo's author knows it: for the README's figures."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Work:
    """A pod, build, stage, job or run by its id; idle time has the kind `idle`.

    `weight` is what it held, in the unit of its source; `utilization` the used share of its GPUs.
    """

    source: str
    kind: str
    id: str
    weight: Decimal
    utilization: Decimal | None = None


Documents = dict[str, str]
"""File names below a source's folder, and their content."""
