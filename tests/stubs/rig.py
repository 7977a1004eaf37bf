"""A provider on the scripted server: what every network provider's fault tests need to know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from finops.errors import FinopsError
from finops.partition import Window
from tests.stubs.scripted import Answer

Endpoint = tuple[str, str]
"""Method and path pattern."""

Answers = Mapping[Endpoint, tuple[Answer, ...]]


@dataclass(frozen=True, slots=True)
class Rig:
    """How to configure the provider against the server, and its replies in good and bad times.

    `environment` may say `{address}` for the server's. `good` answers every endpoint that a run asks; the other replies stand in for some of them:
    `empty` for a window without rows, `late` for the same window with `late_rows` rows later on,
    `unknown_column` for good rows with a field nobody knows, `renamed` for good rows of a SKU (or
    type, or label) nobody knows. `pages` is a good reply in two pages, of which the second comes
    again and again when the first repeats; a provider without pages leaves it out.
    """

    provider: str
    settings: Callable[[str], Mapping[str, Any]]
    environment: Mapping[str, str]
    secret: str
    window: Window
    good: Answers
    rows: int
    empty: Answers
    late: Answers
    late_rows: int
    unknown_column: Answers
    renamed: Answers
    pages: Answers = field(default_factory=dict)
    refuses_empty: bool = False
    """Whether rows that vanished are refused at once, since no second reply is asked for."""
    survives: Mapping[Endpoint, frozenset[int]] = field(default_factory=dict)
    """Statuses that an endpoint may answer because the provider then asks elsewhere."""
    cut_raises: Mapping[Endpoint, type[FinopsError]] = field(default_factory=dict)
    """What half a reply raises where the store does not tell how long the whole is."""
    cut_says: Mapping[Endpoint, str] = field(default_factory=dict)
    """What is said of half a reply by an endpoint whose replies are no JSON."""
