"""The AWS organization's bill: a FOCUS 1.2 data export by day, delivered twice.

The second delivery restates 21 October: a stale price is corrected, a doubled line goes, and a
credit comes. Every other line is the same to the last digit.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
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

RESTATED_DAY = month.on(21)
STALE_PRICE = "98.32"
STALE_RESOURCE = "i-0detect"
DOUBLED_RESOURCE = "i-0slam-1"
OUTAGE_CREDIT = Decimal("-312.40")

_PROVIDER = "AWS"
_PAYER = "210987654321"
_PLAN = f"arn:aws:savingsplans::{_PAYER}:savingsplan/5f1c2f0e-8a51-4c8e-9b1a-70c5d2a4e611"
# Per hour. Two machines at 40.1792 use the plan; what is committed beyond them is lost.
_COMMITTED = "82.00"
_UNUSED = "1.6416"
_SUPPORT = Decimal("9412.87")
_TAX = Decimal("3877.41")
_MIGRATION_CREDIT = Decimal("-7500.00")

_EC2 = ("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines")
_PLANS = ("Savings Plans for AWS Compute usage", "Compute", "Other (Compute)")
_SUPPORT_SERVICE = ("AWS Support (Enterprise)", "Management and Governance", "Support")
_SERVICE_CODES = {
    "Amazon DynamoDB": "AmazonDynamoDB",
    "Amazon EMR": "ElasticMapReduce",
    "Amazon Elastic Compute Cloud": "AmazonEC2",
    "Amazon Elastic Kubernetes Service": "AmazonEKS",
    "Amazon GuardDuty": "AmazonGuardDuty",
    "Amazon Relational Database Service": "AmazonRDS",
    "Amazon Simple Storage Service": "AmazonS3",
    "Amazon Virtual Private Cloud": "AmazonVPC",
    "AWS CloudTrail": "AWSCloudTrail",
    "AWS Support (Enterprise)": "AWSSupportEnterprise",
    "Savings Plans for AWS Compute usage": "ComputeSavingsPlans",
}


def lines(*, is_restated: bool = False) -> list[Line]:
    """List the month's lines as first delivered, or as delivered again a day later."""
    usage = [
        _usage(resource, day, is_restated=is_restated)
        for day in month.days()
        for resource in resources.load("aws-main")
        if resource.exists(day)
    ]
    doubled = [] if is_restated else [line for line in usage if _is_doubled(line)]
    outage = [_credit("SLA credit: network of cluster orion", OUTAGE_CREDIT, RESTATED_DAY)]
    return [
        *usage,
        *doubled,
        *_commitment(),
        _for_month(_SUPPORT_SERVICE, "Purchase", "AWS Enterprise Support", _SUPPORT),
        _for_month(_EC2, "Tax", "Sales tax, State of Washington", _TAX),
        _credit("AWS Migration Acceleration Program", _MIGRATION_CREDIT, month.on(15)),
        *(outage if is_restated else []),
    ]


def _is_doubled(line: Line) -> bool:
    return (line.cells["ResourceId"], line.cells["ChargePeriodStart"]) == (
        DOUBLED_RESOURCE,
        RESTATED_DAY,
    )


def _usage(resource: Resource, day: datetime, *, is_restated: bool) -> Line:
    if (resource.id, day, is_restated) == (STALE_RESOURCE, RESTATED_DAY, False):
        resource = replace(resource, price=Price.of(STALE_PRICE))
    quantity = resource.quantity(day)
    used = resource.price.effective * quantity if resource.is_covered else None
    cells = {
        **_common(
            (resource.service, resource.category, resource.subcategory), day, day + month.DAY
        ),
        **costs(_PROVIDER, resource.price, quantity),
        **quantities(resource.price, quantity, resource.unit),
        **_commitment_columns(used, "Used"),
        "AvailabilityZone": "us-west-2b" if resource.gpus else None,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"${resource.price.listed} per {resource.unit} {resource.meter}",
        "PricingCategory": "Committed" if resource.is_covered else "Standard",
        "RegionId": "us-west-2",
        "RegionName": "US West (Oregon)",
        "ResourceId": resource.id,
        "SkuId": _code("sku", resource),
        "SkuMeter": resource.meter,
        "SkuPriceId": f"{_code('sku', resource)}.{_code('price', resource)[:10]}",
        "SubAccountId": resource.account_id,
        "SubAccountName": resource.account,
        "Tags": resources.tags(resource.tags),
        "x_Operation": "RunInstances" if "BoxUsage" in resource.meter else None,
    }
    return focus_line(cells | in_pricing_currency(cells), resource.owner, resource.gpus)


def _common(service: tuple[str, str, str], start: datetime, end: datetime) -> Cells:
    name, category, subcategory = service
    return {
        **charge_period(start, end),
        "BillingAccountId": _PAYER,
        "BillingAccountName": "Northlight Robotics",
        "BillingAccountType": "Payer Account",
        "BillingCurrency": "USD",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ProviderName": _PROVIDER,
        "PublisherName": _PROVIDER,
        "ResourceId": None,
        "ServiceCategory": category,
        "ServiceName": name,
        "ServiceSubcategory": subcategory,
        "SubAccountId": _PAYER,
        "SubAccountName": "northlight-payer",
        "SubAccountType": "Account",
        "Tags": {},
        "x_ServiceCode": _SERVICE_CODES[name],
    }


def _commitment_columns(used: Decimal | None, status: str | None) -> Cells:
    if used is None:
        return {}
    return {
        "CommitmentDiscountCategory": "Spend",
        "CommitmentDiscountId": _PLAN,
        "CommitmentDiscountQuantity": used,
        "CommitmentDiscountStatus": status,
        "CommitmentDiscountType": "Compute Savings Plan",
        "CommitmentDiscountUnit": "USD",
    }


def _commitment() -> Iterator[Line]:
    """List what the savings plan costs, and what of it nothing used, day by day."""
    hours = Decimal(month.HOURS_A_DAY)
    for day in month.days():
        bought: Cells = {"ChargeCategory": "Purchase", "ChargeFrequency": "Recurring"}
        lost: Cells = {"ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based"}
        for price, nature, status in (
            (Price.purchase(_COMMITTED), bought, None),
            (Price.unused(_UNUSED), lost, "Unused"),
        ):
            amount = hours * max(price.billed, price.effective)
            cells = {
                **_common(_PLANS, day, day + month.DAY),
                **costs(_PROVIDER, price, hours),
                **_commitment_columns(amount, status),
                **nature,
                "ChargeDescription": "Compute Savings Plan, 1 year, no upfront",
                "PricingCategory": "Committed" if status else "Standard",
            }
            yield focus_line(cells | in_pricing_currency(cells), "ml_platform")


def _for_month(service: tuple[str, str, str], category: str, said: str, amount: Decimal) -> Line:
    return _flat(_common(service, month.START, month.END), category, said, amount)


def _credit(said: str, amount: Decimal, day: datetime) -> Line:
    return _flat(_common(_EC2, day, day + month.DAY), "Credit", said, amount)


def _flat(common: Cells, category: str, said: str, amount: Decimal) -> Line:
    """Make a line without a quantity: support, tax, a credit."""
    cells = {
        **common,
        **costs(_PROVIDER, Price(amount, amount, amount, amount), Decimal(1)),
        "ChargeCategory": category,
        "ChargeDescription": said,
        "ChargeFrequency": "Recurring" if category == "Purchase" else "One-Time",
    }
    return focus_line(cells | in_pricing_currency(cells), "split:overhead")


def _code(of: str, resource: Resource) -> str:
    """Make up an id in the shape of AWS's SKUs."""
    text = hashlib.sha256(f"{of}|{resource.service}|{resource.meter}".encode()).digest()
    return base64.b32encode(text).decode()[:16]
