"""Fleet's Azure bill in euro: FOCUS 1.2-preview by day, as Azure exports it.

Tags come without their outer braces, ids in lower case, costs with as many decimals as they have.
What GPUs a machine has is not told but in its size.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from northlight import month, resources
from northlight.line import (
    Cells,
    Line,
    Price,
    charge_period,
    costs,
    focus_line,
    in_pricing_currency,
    quantities,
)
from northlight.resources import Resource

AZURE_COLUMNS = (
    "x_BillingExchangeRate",
    "x_PricingCurrency",
    "x_ResourceGroupName",
    "x_ResourceType",
    "x_SkuDetails",
    "x_SkuMeterCategory",
    "x_SkuMeterName",
)

_PROVIDER = "Microsoft"
_ACCOUNT = "/providers/Microsoft.Billing/billingAccounts/8a4d2c1e-70f3-4f0e-9d35-1f6b2e7c9a04"
_RESERVATION = (
    "/providers/Microsoft.Capacity/reservationOrders/1d2f7b90-3c55-4a6e-8f1b-0e9d6c7a5b21"
    "/reservations/60c7e1f4-92ab-4d3e-b5a8-7f1c2d3e4a59"
)
_PLAN = "JTC6"
_RESERVED_PRICE = Decimal("0.4985")
_RESERVED_MACHINES = 3
_CREDIT = Decimal("-1840.55")
_TYPES = {
    "Azure App Service": "microsoft.web/sites",
    "Azure Database for PostgreSQL": "microsoft.dbforpostgresql/flexibleservers",
    "Azure Front Door": "microsoft.cdn/profiles",
    "Azure Synapse Analytics": "microsoft.synapse/workspaces",
    "Event Hubs": "microsoft.eventhub/namespaces",
    "Log Analytics": "microsoft.operationalinsights/workspaces",
    "Storage Accounts": "microsoft.storage/storageaccounts",
    "Virtual Machines": "microsoft.compute/virtualmachines",
}


def lines() -> list[Line]:
    """List the month's lines."""
    fleet = resources.load("azure")
    usage = [_usage(each, day) for day in month.days() for each in fleet if each.exists(day)]
    return [*usage, *_once(fleet[0])]


def _usage(resource: Resource, day: datetime) -> Line:
    quantity = resource.quantity(day)
    cells = {
        **_common(resource, day, day + month.DAY),
        **costs(_PROVIDER, resource.price, quantity),
        **quantities(resource.price, quantity, resource.unit),
        **(_reserved(quantity) if resource.is_covered else {}),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{resource.service} - {resource.meter} - EU West",
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Committed" if resource.is_covered else "Standard",
        "Tags": resource.tags or None,
    }
    return focus_line(cells | in_pricing_currency(cells), resource.owner, resource.gpus)


def _once(reserved: Resource) -> Iterator[Line]:
    """List what is charged once a month: the reservation, and a negative credit."""
    hours = Decimal(len(month.hours()) * _RESERVED_MACHINES)
    price = Price.purchase(str(_RESERVED_PRICE))
    bought = {
        **_common(reserved, month.START, month.on(2)),
        **costs(_PROVIDER, price, hours),
        **quantities(price, hours, reserved.unit),
        **_reserved(hours),
        "ConsumedQuantity": None,
        "ConsumedUnit": None,
        "ChargeCategory": "Purchase",
        "ChargeDescription": "Reserved VM Instance, D16s v5, EU West, 1 Year",
        "ChargeFrequency": "Recurring",
        "CommitmentDiscountStatus": None,
        "PricingCategory": "Standard",
        "ResourceId": _RESERVATION.lower(),
    }
    yield focus_line(bought | in_pricing_currency(bought), "fleet")
    amount = Price(_CREDIT, _CREDIT, _CREDIT, _CREDIT)
    credit = {
        **_common(reserved, month.on(20), month.on(21)),
        **costs(_PROVIDER, amount, Decimal(1)),
        "ChargeCategory": "Credit",
        "ChargeDescription": "Azure credit: service issue in EU West",
        "ChargeFrequency": "One-Time",
        "ResourceId": None,
        "ResourceName": None,
        "ResourceType": None,
        "x_SkuDetails": None,
    }
    yield focus_line(credit | in_pricing_currency(credit), "fleet")


def _reserved(hours: Decimal) -> Cells:
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": _RESERVATION,
        "CommitmentDiscountName": "fleet-gateway-d16s-v5",
        "CommitmentDiscountQuantity": hours,
        "CommitmentDiscountStatus": "Used",
        "CommitmentDiscountType": "Reservation",
        "CommitmentDiscountUnit": "1 Hour",
    }


def _common(resource: Resource, start: datetime, end: datetime) -> Cells:
    group = "rg-ml" if resource.account.endswith("Learning") else "rg-fleet"
    kind = _TYPES[resource.service]
    subscription = f"/subscriptions/{resource.account_id}"
    sku = _sku(resource)
    return {
        **charge_period(start, end),
        "BillingAccountId": _ACCOUNT,
        "BillingAccountName": "Northlight Robotics GmbH",
        "BillingAccountType": "Billing Profile",
        "BillingCurrency": "EUR",
        "InvoiceIssuerName": "Microsoft",
        "ProviderName": _PROVIDER,
        "PublisherName": _PROVIDER,
        "RegionId": "westeurope",
        "RegionName": "West Europe",
        "ResourceId": f"{subscription}/resourcegroups/{group}/providers/{kind}/{resource.id}",
        "ResourceName": resource.id,
        "ResourceType": kind,
        "ServiceCategory": resource.category,
        "ServiceName": resource.service,
        "ServiceSubcategory": resource.subcategory,
        "SkuId": sku,
        "SkuMeter": resource.meter,
        "SkuPriceId": f"{sku}_{_PLAN}",
        "SubAccountId": subscription,
        "SubAccountName": resource.account,
        "SubAccountType": "Subscription",
        "x_BillingExchangeRate": Decimal(1),
        "x_PricingCurrency": "EUR",
        "x_ResourceGroupName": group,
        "x_ResourceType": kind,
        "x_SkuDetails": _details(resource),
        "x_SkuMeterCategory": resource.service,
        "x_SkuMeterName": resource.meter,
    }


def _sku(resource: Resource) -> str:
    """Make up an id in the shape of Azure's product and SKU."""
    text = hashlib.sha256(f"{resource.service}|{resource.meter}".encode()).hexdigest().upper()
    return f"DZH318Z{text[:5]}_{text[5:9]}"


def _details(resource: Resource) -> str | None:
    if resource.service != "Virtual Machines":
        return None
    return json.dumps({"ServiceType": f"Standard_{resource.meter.replace(' ', '_')}"})
