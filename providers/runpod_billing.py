"""Asking RunPod what it billed: product by product, and for the whole account.

The account's total is asked for before and after the products: hours in progress grow meanwhile,
and what was read must lie between the two. Hours that are the same before and after did not grow, so
there every cent counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from finops import money
from finops.errors import DataError, Issue, Severity, Terminal, Transient
from finops.partition import Window
from finops.reconciliation import Stated
from providers import rows, runpod_replies
from providers.http import Reply
from providers.recorded import Replies
from providers.runpod_replies import PRODUCTS, Product, Usage

UNAVAILABLE = frozenset({403, 404})
_ACCOUNT = "/v2/billing"
_ACCOUNT_RECORDS = PRODUCTS["public_endpoints"]  # amounts by time, without a resource, as well
_HOUR = timedelta(hours=1)
_NOTHING = Decimal(0)
# Amounts and their total travel as doubles, so their last digits need not add up.
_TOTAL_TOLERANCE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class AccountTotal:
    """What RunPod billed for everything, in US dollars; by hour where its records add up to it."""

    amount: Decimal
    hours: Mapping[datetime, Decimal] | None


def read(name: str, window: Window, api: Replies, older: Replies, *, must: bool) -> Reply | None:
    """Ask for the hours of a product, twice when there are none.

    A service that has just lost its rows looks like one without charges. Gives `None` when neither
    generation of the API offers the product to this key, unless it `must`: raises `Terminal` then.
    """
    product = PRODUCTS[name]
    reply = asked(product, window, api, older, must=must)
    if reply is None:
        return None
    found = runpod_replies.usages(reply.json(), reply.name, product)
    if any(within(usage, window) for usage in found):
        return reply
    return asked(product, window, api, older, must=must)


def asked(
    product: Product, window: Window, api: Replies, older: Replies, *, must: bool
) -> Reply | None:
    """Ask v2 once, or v1 where the key or the account has no v2."""
    at_last = frozenset() if must else UNAVAILABLE
    parameters = _hours_of(window)
    reply = api.get(
        product.v2_path, parameters, at_last if product.v1_path is None else UNAVAILABLE
    )
    if reply.status not in UNAVAILABLE:
        _check_total(reply, product)
        return reply
    if product.v1_path is None or product.v1_id_key is None:
        return None
    reply = older.get(product.v1_path, {**parameters, "grouping": product.v1_id_key}, at_last)
    return None if reply.status in UNAVAILABLE else reply


def account_total(window: Window, api: Replies) -> AccountTotal | None:
    """Read what RunPod billed for everything; `None` when it does not say."""
    reply = api.get(_ACCOUNT, _hours_of(window), UNAVAILABLE)
    if reply.status in UNAVAILABLE:
        return None
    amount = _stated_total(reply)
    return AccountTotal(amount, _hours_told(reply, amount, window))


def stated(
    before: AccountTotal | None, after: AccountTotal | None, raw_ids: frozenset[str]
) -> tuple[Stated, ...]:
    """Make the account's total a figure to reconcile with."""
    if before is None or after is None:
        return ()
    tolerance = abs(after.amount - before.amount) + _TOTAL_TOLERANCE
    return (Stated("RunPod's account total", raw_ids, None, {"USD": after.amount}, tolerance),)


def steady_differences(
    before: AccountTotal | None,
    after: AccountTotal | None,
    replies: Mapping[str, Reply],
    window: Window,
) -> dict[datetime, Decimal]:
    """Tell by how much more was read than stated in each hour that did not change meanwhile.

    What is hidden may be less than what the hours in progress grow by: their sum would not tell.
    """
    if before is None or after is None or before.hours is None or after.hours is None:
        return {}
    found = _by_hour(_usages(replies), window)
    differences = {
        hour: found.get(hour, _NOTHING) - after.hours.get(hour, _NOTHING)
        for hour in sorted({*found, *before.hours, *after.hours})
        if before.hours.get(hour, _NOTHING) == after.hours.get(hour, _NOTHING)
    }
    return {hour: by for hour, by in differences.items() if abs(by) > _TOTAL_TOLERANCE}


def demand_no_hour_hidden(differences: Mapping[datetime, Decimal], missing: list[str]) -> None:
    """Refuse a delivery without a product when an hour has charges that were not to be seen."""
    short = {hour: by for hour, by in differences.items() if by < 0}
    if missing and short:
        first = min(short)
        raise Terminal(
            f"RunPod billed {money.text(-money.exact_sum(short.values()))} USD in these days that "
            f"may not be read with this key (the first at {first:%Y-%m-%d %H:%M} UTC); give it read "
            f"access to the billing of {', '.join(missing)}, or name in 'products' what you want"
        )


def told_differences(differences: Mapping[datetime, Decimal], source: str) -> Iterator[Issue]:
    """Say in one sentence which hours do not add up to what RunPod states of them."""
    if differences:
        by = money.exact_sum(abs(each) for each in differences.values())
        yield Issue(
            source,
            f"RunPod's account total differs from its products by {money.text(by)} USD in hours that "
            f"did not change while they were read ({len(differences)}, the first at "
            f"{min(differences):%Y-%m-%d %H:%M} UTC); take the days in again, and ask RunPod if the "
            f"difference stays",
            Severity.WARNING,
        )


def demand_nothing_hidden(
    before: AccountTotal | None, replies: Mapping[str, Reply], missing: list[str]
) -> None:
    """Refuse a delivery without a product that has or may have charges: it would take them back."""
    if not missing:
        return
    if before is None:
        named = ", ".join(f'"{name}"' for name in replies)
        raise Terminal(
            f"RunPod answered 403 or 404 for the billing of {', '.join(missing)} and for the "
            f"account's total ({_ACCOUNT}), so these days may have charges that were not to be "
            f"seen; nothing was taken: give the key read access to billing, or write "
            f"products = [{named}] in the settings to leave the rest out on purpose"
        )
    read_so_far = money.exact_sum(usage.amount for usage in _usages(replies))
    if read_so_far + _TOTAL_TOLERANCE < before.amount:
        raise Terminal(
            f"RunPod billed {money.text(before.amount)} USD in these days, but only "
            f"{money.text(read_so_far)} USD of it may be read with this key; give it read access to "
            f"the billing of {', '.join(missing)}, or name in 'products' what you want"
        )


def within(usage: Usage, window: Window) -> bool:
    """Leave out the hours RunPod adds when it snaps a window outward to its buckets."""
    return window.start_at <= usage.start < window.end_at


def _usages(replies: Mapping[str, Reply]) -> Iterator[Usage]:
    for name, reply in replies.items():
        yield from runpod_replies.usages(reply.json(), reply.name, PRODUCTS[name])


def _hours_told(reply: Reply, amount: Decimal, window: Window) -> dict[datetime, Decimal] | None:
    """Read the total's own records; `None` when they are not hours that add up to it."""
    try:
        records = runpod_replies.usages(reply.json(), reply.name, _ACCOUNT_RECORDS)
    except DataError:
        return None
    is_whole = abs(money.exact_sum(each.amount for each in records) - amount) <= _TOTAL_TOLERANCE
    if not is_whole or any(each.end - each.start != _HOUR for each in records):
        return None
    return _by_hour(records, window)


def _by_hour(usages: Iterable[Usage], window: Window) -> dict[datetime, Decimal]:
    hours: dict[datetime, list[Decimal]] = defaultdict(list)
    for usage in usages:
        if within(usage, window):
            hours[usage.start].append(usage.amount)
    return {hour: money.exact_sum(amounts) for hour, amounts in hours.items()}


def _hours_of(window: Window) -> dict[str, str]:
    return {
        "bucketSize": "hour",
        "startTime": f"{window.start_at:%Y-%m-%dT%H:%M:%SZ}",
        "endTime": f"{window.end_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def _check_total(reply: Reply, product: Product) -> None:
    """Refuse rows that do not add up to the total RunPod states: some are missing."""
    total = _stated_total(reply)
    usages = runpod_replies.usages(reply.json(), reply.name, product)
    found = money.exact_sum(usage.amount for usage in usages)
    if abs(found - total) > _TOTAL_TOLERANCE:
        raise Transient(
            f"{reply.name}: the rows add up to {found} but RunPod states {total}; the reply is "
            f"incomplete, so nothing of it was taken: try again"
        )


def _stated_total(reply: Reply) -> Decimal:
    try:
        return rows.number(reply.json()["metadata"]["totals"]["totalAmount"])
    except (KeyError, TypeError):
        raise Transient(
            f"{reply.name}: has no metadata.totals.totalAmount, so its rows cannot be checked; "
            f"try again, and report this if it stays so"
        ) from None
    except (ValueError, ArithmeticError):
        raise DataError(
            f"{reply.name}: its metadata.totals.totalAmount is no amount; report this"
        ) from None
