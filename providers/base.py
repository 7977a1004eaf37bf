"""What a provider is: two duties, and settings.

`fetch` talks to the network and keeps what it got, verbatim. `charges` turns kept bytes into
FOCUS rows and needs no network, so a bill can be read again years later.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from finops.charges import Bill
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore


class Settings(BaseModel):
    """The keys a `[sources.NAME]` table may have beside `provider`; each provider extends it.

    `base` is the folder of `finops.toml`: relative paths in settings start there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


__all__ = ["Bill", "Provider", "Settings"]


class Provider(Protocol):
    """One configured source of a provider."""

    NAME: ClassVar[str]
    NEEDS: ClassVar[str]
    """What a user must have ready, in one sentence, for `finops providers`."""
    LOOKBACK_DAYS: ClassVar[int]
    """How many days back the provider may still add or restate charges."""
    settings_model: ClassVar[type[Settings]]

    def __init__(self, source: str, settings: Settings, base: Path) -> None: ...

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Get everything billed for `window` and keep it; raises `Transient` or `Terminal`.

        The delivery's scope says which partitions it speaks for. A half-fetched window raises.
        """
        ...

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read the kept objects as FOCUS rows; raises `DataError` for what cannot be read."""
        ...
