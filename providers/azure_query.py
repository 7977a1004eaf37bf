"""Cost Management's Query: what Azure says a month has cost so far, to hold an export against.

It is asked for totals by day and currency, never for whose they are. Azure computes them anew
every four hours and limits how often a tenant may ask, so a purse allows some requests a day.

The client reads one page only and drops the address of the next; so it is followed here.

https://learn.microsoft.com/rest/api/cost-management/query/usage
"""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.costmanagement import CostManagementClient
from azure.mgmt.costmanagement.models import QueryDefinition

from finops.errors import Terminal, Transient
from finops.partition import Window
from providers import azure_access
from providers.http import parse_json
from providers.paging import pages

AZURE = "https://management.azure.com"
_COST, _DAY, _CURRENCY = "Cost", "UsageDate", "Currency"
_OK, _NOTHING, _REFUSED = 200, 204, 300
_ROLE = (
    "grant the role Cost Management Reader on the scope of query_scope, and check that scope, or "
    "remove query_scope from the source"
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What each month cost by currency, and the replies that say so."""

    months: Mapping[str, Mapping[str, Decimal]]
    replies: tuple[bytes, ...]


class AllowanceSpent(Exception):
    """The day's requests have all been made."""


class Query:
    """The Query of one scope, such as `/subscriptions/GUID` or a billing account's path.

    `may_ask` is asked before each request, so that a purse can say no.
    """

    def __init__(self, scope: str, url: str, may_ask: Callable[[], bool]) -> None:
        self._scope = scope.strip("/")
        self._url = url
        self._may_ask = may_ask
        self._place = f"Cost Management {scope}"

    def totals(self, months: Window) -> Totals:
        """Ask for the actual cost of `months`, to the last page or not at all.

        Raises `AllowanceSpent` before the request that would be one too many, `Terminal` for a
        missing role and `Transient` for a busy service or a reply of unknown shape.
        """
        asked = _definition(months)
        with closing(self._client()) as client:
            replies = [
                body
                for body in pages(lambda link: self._page(client, asked, link), self._place)
                if body
            ]
        return Totals(_added_up(replies, self._place), tuple(replies))

    def _client(self) -> CostManagementClient:
        return CostManagementClient(
            azure_access.identity(),
            self._url,
            credential_scopes=[f"{AZURE if self._is_local else self._url}/.default"],
            enforce_https=self._is_tls,
            **azure_access.clients(self._place),
        )

    def _page(
        self, client: CostManagementClient, asked: dict[str, Any], link: str | None
    ) -> tuple[bytes, str | None]:
        if not self._may_ask():
            raise AllowanceSpent
        if link is None:
            reply = self._asked(lambda: self._first(client, asked))
        else:
            self._demand_same_host(link)
            request = HttpRequest("POST", link, json=asked)
            reply = self._asked(lambda: client.send_request(request, enforce_https=self._is_tls))
        if reply.status_code == _NOTHING:
            return b"", None
        body = reply.read()
        return body, _properties(body, self._place).get("nextLink") or None

    def _first(self, client: CostManagementClient, asked: dict[str, Any]) -> Any:
        """Ask through the client's own operation, for the reply as it came."""
        return client.query.usage(
            self._scope,
            QueryDefinition(asked),
            cls=lambda answer, *_: answer.http_response,
            enforce_https=self._is_tls,
        )

    def _asked(self, ask: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            reply = ask()
            if reply.status_code >= _REFUSED:
                reply.raise_for_status()
        except (AzureError, ValueError) as error:
            raise azure_access.fault(self._place, error, _ROLE) from None
        return reply

    def _demand_same_host(self, link: str) -> None:
        """Never send the identity's token to where only a reply points."""
        if urlsplit(link)[:2] != urlsplit(self._url)[:2]:
            raise Terminal(
                f"{self._place}: the next page is said to be at {urlsplit(link).hostname}, which "
                f"is not where the first one was; nothing was asked there"
            )

    @property
    def _is_local(self) -> bool:
        return azure_access.is_loopback(self._url)

    @property
    def _is_tls(self) -> bool:
        return not self._is_local


def _definition(months: Window) -> dict[str, Any]:
    last = months.end - timedelta(days=1)
    return {
        "type": "ActualCost",
        "timeframe": "Custom",
        "timePeriod": {
            "from": f"{months.start.isoformat()}T00:00:00Z",
            "to": f"{last.isoformat()}T23:59:59Z",
        },
        "dataset": {
            "granularity": "Daily",
            "aggregation": {"totalCost": {"name": _COST, "function": "Sum"}},
        },
    }


def _properties(body: bytes, place: str) -> Mapping[str, Any]:
    document = parse_json(body, place)
    found = document.get("properties") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise Transient(f"{place}: the reply has no properties, so it is none of Query; try again")
    return found


def _added_up(replies: list[bytes], place: str) -> dict[str, dict[str, Decimal]]:
    """Add up the days of each month; columns are found by name, since their order is not fixed."""
    months: dict[str, dict[str, Decimal]] = {}
    try:
        for properties in (_properties(body, place) for body in replies):
            at = {column["name"]: index for index, column in enumerate(properties["columns"])}
            cost = next(at[name] for name in (_COST, "totalCost") if name in at)
            for row in properties["rows"]:
                day = str(int(row[at[_DAY]]))
                of_month = months.setdefault(f"{day[:4]}-{day[4:6]}", {})
                currency = str(row[at[_CURRENCY]])
                of_month[currency] = of_month.get(currency, Decimal(0)) + Decimal(row[cost])
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, StopIteration) as error:
        raise Transient(
            f"{place}: the reply is not as it is known ({type(error).__name__}: {error}); the "
            f"export was not held against it, try again"
        ) from None
    return months


def verbatim(totals: Totals) -> bytes:
    """Write the replies as one JSON list: evidence of what Azure stated."""
    return json.dumps([reply.decode() for reply in totals.replies], indent=1).encode()
