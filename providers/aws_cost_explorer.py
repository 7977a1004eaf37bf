"""AWS Cost Explorer: what AWS says a month has cost so far, to hold an export against.

It is asked for totals only. It groups by two dimensions at most and knows no resource, so it can
never say whose a charge is. Every request costs 0.01 USD, and so does every page: a purse with a
daily allowance pays for them, and when it is empty the month goes unreconciled until tomorrow.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from finops.errors import Transient
from finops.partition import Window
from providers.aws_access import FAULTS, Access, fault
from providers.paging import pages

PRICE_OF_A_REQUEST = Decimal("0.01")
_METRIC = "UnblendedCost"
_NEEDS = "ce:GetCostAndUsage (and, in a member account, access to Cost Explorer by the payer)"
_PLACE = "Cost Explorer"


@dataclass(frozen=True, slots=True)
class MonthTotal:
    """What a month cost by currency; `is_estimated` until AWS has closed it."""

    period: str
    amounts: Mapping[str, Decimal]
    is_estimated: bool


class AllowanceSpent(Exception):
    """The day's requests have all been made."""


class CostExplorer:
    """The Cost Explorer of one account.

    `may_ask` is asked before each request, so that a purse can say no.
    """

    def __init__(self, access: Access, may_ask: Callable[[], bool]) -> None:
        self._client = access.client("ce", _PLACE)
        self._may_ask = may_ask

    def replies(self, periods: Window) -> list[dict[str, Any]]:
        """Ask for the months of `periods`, page by page; a month must have begun to be asked for.

        Raises `AllowanceSpent` before the request that would cost too much, `Terminal` for a
        missing permission and `Transient` for a busy service.
        """
        return list(pages(lambda token: self._page(periods, token), _PLACE))

    def first_page(self, periods: Window) -> dict[str, Any]:
        """Ask once only, to see whether one may; raises as `replies` does."""
        return self._page(periods, None)[0]

    def _page(self, periods: Window, token: str | None) -> tuple[dict[str, Any], str | None]:
        if not self._may_ask():
            raise AllowanceSpent
        asked: dict[str, Any] = {
            "TimePeriod": {"Start": periods.start.isoformat(), "End": periods.end.isoformat()},
            "Granularity": "MONTHLY",
            "Metrics": [_METRIC],
        }
        if token:
            asked["NextPageToken"] = token
        # One try: every request costs, and the month can be held against it in the next run.
        try:
            reply = self._client.get_cost_and_usage(**asked)
        except FAULTS as error:
            raise fault(_PLACE, error, _NEEDS) from error
        reply.pop("ResponseMetadata", None)
        return reply, reply.get("NextPageToken")


def asked_months(window: Window, today: date) -> Window | None:
    """Give whole months that `window` touches, until tomorrow; `None` when none has begun.

    Cost Explorer keeps 13 months; older ones are left out.
    """
    oldest = today.replace(day=1)
    for _ in range(12):
        oldest = (oldest - timedelta(days=1)).replace(day=1)
    start = max(window.start.replace(day=1), oldest)
    last = Window.of_period(window.periods()[-1]).end
    end = min(last, today + timedelta(days=1))
    return Window(start, end) if start < end else None


def totals(replies: list[dict[str, Any]]) -> Iterator[MonthTotal]:
    """Read the months of all pages; raises `Transient` for a reply of unknown shape."""
    try:
        for result in (each for reply in replies for each in reply["ResultsByTime"]):
            cost = result["Total"][_METRIC]
            amounts = {str(cost["Unit"]): Decimal(cost["Amount"])}
            period = str(result["TimePeriod"]["Start"])[: len("2026-10")]
            yield MonthTotal(period, amounts, bool(result.get("Estimated")))
    except (KeyError, TypeError, ArithmeticError) as error:
        raise Transient(
            f"{_PLACE}: the reply is not as it is known ({type(error).__name__}: {error}); the "
            f"export was not held against it, try again"
        ) from None


def verbatim(replies: list[dict[str, Any]]) -> bytes:
    """Write the replies as JSON: evidence of what AWS stated."""
    return json.dumps(replies, sort_keys=True, indent=1).encode()
