"""A daily allowance for requests that cost money, kept in the warehouse.

Every process that may spend shares it, and a restart does not refill it. A coin is taken before
the request is made: a run that is killed in between has spent too much, never too little.
"""

from dataclasses import dataclass
from datetime import date

from finops.warehouse import Warehouse

PURSES = "purses"


@dataclass(frozen=True, slots=True)
class Purse:
    """`allowance` coins for `name` on `day` (UTC)."""

    warehouse: Warehouse
    name: str
    day: date
    allowance: int

    def take(self) -> bool:
        """Take one coin; `False` when the day's allowance is spent."""
        return any(
            self.warehouse.create(f"{self._place}{coin:06}", b"")
            for coin in range(self.spent(), self.allowance)
        )

    def spent(self) -> int:
        """Count the coins that were taken today."""
        return sum(1 for _ in self.warehouse.list(self._place))

    @property
    def _place(self) -> str:
        return f"{PURSES}/{self.name}/day={self.day.isoformat()}/"
