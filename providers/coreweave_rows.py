"""CoreWeave's usage as charges: FOCUS columns, prices of the rate card, GPU facts."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from finops import focus, gpus, money, regions
from finops.errors import Issue, Severity
from finops.focus import Kind
from finops.normalize import GIVEN_ROW
from finops.rate_card import Rate, RateCard, unit_key
from providers import rows
from providers.coreweave_usage import INSTANCE_HOUR, PLAN, Usage, time

_COMPUTE = "Compute"
_CATEGORIES = {
    "gpu compute": (_COMPUTE, "Other (Compute)"),
    "cpu compute": (_COMPUTE, "Other (Compute)"),
    "compute": (_COMPUTE, "Other (Compute)"),
    "storage": ("Storage", "Other (Storage)"),
    "network": ("Networking", "Other (Networking)"),
}
_OTHER = ("Other", "Other (Other)")
_WHERE_NOT_TOLD = {
    "BillingAccountType": "Organization",
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "ServiceProviderName": "CoreWeave",
    "HostProviderName": "CoreWeave",
    "InvoiceIssuerName": "CoreWeave",
}
_PRICED = (Kind.MONEY, Kind.PRICE)
_STATED = "x_Stated"
_BILLING_PERIOD = ("BillingPeriodStart", "BillingPeriodEnd")
_LONGEST_SHIFT = timedelta(days=2)  # no zone is further from UTC than that


def row(
    usage: Usage, card: RateCard, account: str, settled: datetime | None
) -> Mapping[str, object]:
    """Make the charge of `usage`; one that ends after `settled` is provisional.

    What CoreWeave delivers wins over what is said where it says nothing; prices and costs are
    always those of `card`, and costs that CoreWeave states become `x_Stated…`. So do the times of
    its billing period, which may follow another zone: the month that holds most of it counts.
    """
    told = usage.fields
    family = told.get("x_ProductFamily") or told.get("ServiceName") or ""
    category, subcategory = _CATEGORIES.get(str(family).lower(), _OTHER)
    return {
        **_WHERE_NOT_TOLD,
        **_billing_month(usage),
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "ServiceName": family or "CoreWeave",
        "BillingAccountId": account,
        "BillingAccountName": account,
        "ChargeDescription": " ".join(filter(None, (family, usage.sku_id))) or None,
        "ResourceId": told.get("x_ClusterId"),
        "ResourceName": told.get("x_ClusterName"),
        "ResourceType": "Cluster" if told.get("x_ClusterId") else None,
        "RegionName": regions.names("coreweave").get(str(told.get("RegionId"))),
        **_delivered(told),
        **_costs(usage, card),
        "ChargePeriodStart": usage.start,
        "ChargePeriodEnd": usage.end,
        "PricingQuantity": usage.quantity,
        "PricingUnit": usage.unit,
        "ConsumedQuantity": usage.quantity,
        "ConsumedUnit": usage.unit,
        "SkuId": usage.sku_id,
        "x_InstanceType": usage.sku_id if category == _COMPUTE else None,
        PLAN: usage.plan,
        "x_Provisional": settled is not None and usage.end > settled,
        GIVEN_ROW: usage.place,
    }


def gpu_columns(charges: pl.LazyFrame) -> pl.LazyFrame:
    """Add what is known of a SKU's GPUs; hours only where the unit says what was counted."""
    quantity = pl.col("PricingQuantity").cast(money.DTYPE)
    unit = pl.col("PricingUnit").map_elements(unit_key, return_dtype=pl.String)
    hours = pl.when(unit == unit_key(INSTANCE_HOUR)).then(quantity)
    known = charges.with_columns(gpus.columns("coreweave", pl.col("SkuId"), hours))
    return known.with_columns(
        pl.when(unit == "gpu hour").then(quantity).otherwise("x_GpuHours").alias("x_GpuHours")
    )


def unpriced(usages: Sequence[Usage], card: RateCard, where: str) -> Iterator[Issue]:
    """Name every SKU that the card has no price for, with the quantity that waits for one."""
    waiting: dict[tuple[str, str, str], list[Usage]] = defaultdict(list)
    for usage in usages:
        if _rate(usage, card) is None:
            key = (usage.sku_id or "", usage.unit or "", usage.plan or "")
            waiting[key].append(usage)
    for (sku, unit, plan), found in sorted(waiting.items()):
        amount = money.exact_sum(usage.quantity or Decimal(0) for usage in found)
        of_plan = f" of plan {plan}" if plan else ""
        yield Issue(
            f"{where}: {sku or 'usage without SKU'}",
            f"{money.text(amount)} {unit or 'units'}{of_plan} in {len(found)} rows have no price "
            f"and wait in quarantine; {_cure(found[0], card)}, and take the days in again",
            Severity.QUARANTINE,
        )


def stated_costs(usages: Sequence[Usage], card: RateCard, where: str) -> Iterator[Issue]:
    """Say when CoreWeave begins to state costs itself: the card is no longer the only source."""
    stated = sum(1 for usage in usages if usage.fields.get("BilledCost"))
    if stated:
        yield Issue(
            where,
            f"CoreWeave states costs itself in {stated} rows; they are kept as "
            f"{_STATED}BilledCost, and the charges are still priced by {card.name}",
            Severity.WARNING,
        )


def _billing_month(usage: Usage) -> dict[str, datetime]:
    """Give the UTC month that CoreWeave bills `usage` in, else the month of the usage.

    A period that begins on September 30 at 17:00 in New York is October's. One that is no month,
    or is told by half, decides nothing.
    """
    told = [usage.fields.get(name) for name in _BILLING_PERIOD]
    if all(told):
        start, end = (time(str(each)) for each in told)
        month = rows.billing_month(start + (end - start) / 2)
        shifts = zip((start, end), month.values(), strict=True)
        if all(abs(delivered - edge) < _LONGEST_SHIFT for delivered, edge in shifts):
            return month
    return rows.billing_month(usage.start)


def _cure(usage: Usage, card: RateCard) -> str:
    if usage.sku_id is None or usage.unit is None or usage.quantity is None:
        return "CoreWeave left out the SKU, the unit or the quantity: ask its support"
    units = card.units(usage.sku_id)
    if units and unit_key(usage.unit) not in map(unit_key, units):
        return f"{card.name} prices it per {', '.join(units)}: add a price per {usage.unit}"
    return f"add a line for it to {card.name}, valid on {usage.start:%Y-%m-%d}"


def _rate(usage: Usage, card: RateCard) -> Rate | None:
    if usage.sku_id is None or usage.unit is None or usage.quantity is None:
        return None
    return card.rate(usage.sku_id, usage.unit, usage.plan, usage.start)


def _costs(usage: Usage, card: RateCard) -> dict[str, object]:
    """Price `usage`; without a price all costs are null, so that it goes to quarantine."""
    rate = _rate(usage, card)
    source = {"x_CostSource": "rate_card"}
    if rate is None or usage.quantity is None:
        currency = card.currency or usage.fields.get("BillingCurrency")
        return {**source, "BillingCurrency": currency, **rows.all_costs(None)}
    return {
        **source,
        **rows.all_costs(rate.cost(usage.quantity)),
        "ListCost": rate.list_cost(usage.quantity),
        "BillingCurrency": rate.currency,
        "PricingCurrency": rate.currency,
        "ContractedUnitPrice": rate.price,
        "ListUnitPrice": rate.list_price,
    }


def _delivered(told: Mapping[str, Any]) -> dict[str, object]:
    """Take over what was delivered, also columns that nobody knows."""
    given: dict[str, object] = {}
    for name, value in told.items():
        column = focus.BY_NAME.get(name)
        kind = column.kind if column else None
        if value is None or value == "":
            continue
        if kind in _PRICED or name in _BILLING_PERIOD:
            given[f"{_STATED}{name}"] = value
        elif kind is Kind.TIME:
            given[name] = time(value)
        else:
            given[name] = (
                value
                if isinstance(value, str | Decimal | Mapping)
                else json.dumps(value, default=str)
            )
    return given
