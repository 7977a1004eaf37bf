"""The FOCUS row of a slice of time: hours times price, or GiB times price."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, localcontext

from finops import gpus, money
from finops.normalize import GIVEN_ROW
from providers import rows
from providers.lambda_labs_intervals import Life, Slice
from providers.lambda_labs_replies import Thing

_US_PER_HOUR = Decimal(3_600_000_000)
_CENTS = Decimal(100)
_GIB = Decimal(1 << 30)
_HOURS_PER_MONTH = Decimal(720)  # as in Lambda's own example of a bill

_EVERY_ROW = {
    "BillingAccountType": "Account",
    "BillingCurrency": "USD",
    "PricingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "ServiceProviderName": "Lambda",
    "HostProviderName": "Lambda",
    "InvoiceIssuerName": "Lambda",
    "x_CostSource": "rate_card",
}


@dataclass(frozen=True, slots=True)
class Rates:
    """The account that rows name, and the price of storage in US dollars, where known."""

    account: str
    storage_per_gib_month: Decimal | None


def row(lived: Life, part: Slice, rates: Rates) -> rows.Row:
    """Make the row of one slice; its costs are null when no price is known."""
    thing = part.sight.thing
    hours = _divided(Decimal((part.end - part.start) // timedelta(microseconds=1)), _US_PER_HOUR)
    own = _instance(part, hours) if thing.status else _file_system(part, hours, rates)
    return {
        **_EVERY_ROW,
        **rows.billing_month(part.start),
        **own,
        "BillingAccountId": rates.account,
        "BillingAccountName": rates.account,
        "ChargePeriodStart": part.start,
        "ChargePeriodEnd": part.end,
        "ResourceId": thing.id,
        "ResourceName": thing.name,
        "RegionId": thing.region_id,
        "RegionName": thing.region_name,
        "Tags": thing.tags,
        "x_Provisional": lived.is_open and part.end == lived.end,
        "x_StartEvidence": lived.start_evidence if part.start == lived.start else None,
        "x_EndEvidence": lived.end_evidence if part.end == lived.end else None,
        GIVEN_ROW: part.sight.row,
    }


def _instance(part: Slice, hours: Decimal) -> rows.Row:
    thing, cents = part.sight.thing, part.sight.rate
    price = None if cents is None else _divided(cents, _CENTS)
    return {
        **_priced(price, hours, "Hours"),
        **_gpus(thing, hours),
        "ConsumedQuantity": hours,
        "ConsumedUnit": "Hours",
        "ChargeDescription": f"{thing.type or 'Instance'} {thing.name or thing.id}",
        "ServiceName": "On-Demand Cloud",
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Virtual Machines",
        "ResourceType": "Instance",
        "SkuId": thing.type,
        "SkuPriceId": f"{thing.type}@{money.text(price)}" if price is not None else None,
        "x_InstanceType": thing.type,
        "x_GpuDescription": thing.gpu_description,
    }


def _file_system(part: Slice, hours: Decimal, rates: Rates) -> rows.Row:
    thing = part.sight.thing
    gib_hours = _divided((part.sight.rate or Decimal(0)) * hours, _GIB)
    return {
        **_priced(rates.storage_per_gib_month, _divided(gib_hours, _HOURS_PER_MONTH), "GiB-Months"),
        "ConsumedQuantity": gib_hours,
        "ConsumedUnit": "GiB-Hours",
        "ChargeDescription": f"File system {thing.name or thing.id}",
        "ServiceName": "Filesystems",
        "ServiceCategory": "Storage",
        "ServiceSubcategory": "File Storage",
        "ResourceType": "File System",
        "SkuId": "filesystem",
    }


def _priced(price: Decimal | None, quantity: Decimal, unit: str) -> rows.Row:
    with localcontext(money.CONTEXT):
        cost = None if price is None else (price * quantity).quantize(money.QUANTUM)
    return {
        **rows.all_costs(cost),
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
    }


def _gpus(thing: Thing, hours: Decimal) -> rows.Row:
    known = gpus.known("lambda_labs").get(thing.type or "")
    count = known.count if known else thing.gpu_count
    return {
        "x_GpuModel": known.model if known else None,
        "x_GpuCount": count,
        "x_GpuHours": hours * count if count else None,
        "x_GpuMemoryGiB": known.memory_gib if known else None,
        "x_GpuFraction": Decimal(1) if count else None,
    }


def _divided(dividend: Decimal, divisor: Decimal) -> Decimal:
    with localcontext(money.CONTEXT):
        return (dividend / divisor).quantize(money.QUANTUM)
