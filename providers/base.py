"""What a provider is: two duties, probes, and settings.

`fetch` talks to the network and keeps what it got, verbatim but for secrets beside the facts. `charges` and `workloads` turn kept
bytes into rows and need no network, so a bill can be read again years later.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict

from finops.charges import Bill
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore
from finops.workloads import Told


class Settings(BaseModel):
    """The keys a `[sources.NAME]` table may have beside `provider`; each provider extends it.

    `base` is the folder of `finops.toml`: relative paths in settings start there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def address(value: str) -> str:
    """Check an address to ask at, and drop the slash at its end; raises `ValueError`.

    Addresses are shown in messages and kept in receipts, so none may hold a credential. What is
    refused may hold one: the message does not repeat it.
    """
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in {"https", "http"} and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if "@" in value or "?" in value or "#" in value:
        raise ValueError(
            "holds more than an address (a user, a password, or what follows a '?' or '#'); write "
            "https://host only, and give credentials in environment variables"
        )
    if not is_address:
        raise ValueError("is not an address; write it as https://host")
    return value.rstrip("/")


def without_user(place: str) -> str:
    """Check that `scheme://…` names no user or password, as `address` does; a folder may hold @."""
    if "://" in place and "@" in place.partition("://")[2].partition("/")[0]:
        raise ValueError(
            "holds a user or a password; leave it out, and give credentials in environment variables"
        )
    return place


Address = Annotated[str, AfterValidator(address)]
"""The type of a setting that is an address."""

__all__ = [
    "Address",
    "Bill",
    "ChargeProvider",
    "Probe",
    "Provider",
    "Settings",
    "Told",
    "WorkloadProvider",
    "address",
    "without_user",
]

Probe = Callable[[], object]
"""Tries one thing that must work, such as a permission; raises a `FinopsError` when it does not."""


class Provider(Protocol):
    """One configured source of a provider."""

    NAME: ClassVar[str]
    NEEDS: ClassVar[str]
    """What a user must have ready, in one sentence, for `finops providers`."""
    LOOKBACK_DAYS: ClassVar[int]
    """How many days back the provider may still add or restate what it told."""
    settings_model: ClassVar[type[Settings]]

    def __init__(self, source: str, settings: Settings, base: Path) -> None: ...

    def probes(self) -> Mapping[str, Probe]:
        """Name what must be in place, in the order in which to set it up, for `finops doctor`."""
        ...

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Get everything told of `window` and keep it; raises `Transient` or `Terminal`.

        The delivery's scope says which partitions it speaks for. A half-fetched window raises.
        """
        ...


@runtime_checkable
class ChargeProvider(Provider, Protocol):
    """A provider that bills."""

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read the kept objects as FOCUS rows; raises `DataError` for what cannot be read."""
        ...


@runtime_checkable
class WorkloadProvider(Provider, Protocol):
    """A provider that knows who used what. Its deliveries speak for days."""

    def workloads(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Told]:
        """Read the kept objects as workloads; raises `DataError` for what cannot be read."""
        ...
