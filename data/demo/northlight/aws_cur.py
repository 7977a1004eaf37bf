"""The research lab's own AWS bill: Cost and Usage Report 2.0 by the hour.

In the middle of the month Polaris 70B is trained on four machines for a week: the spike that
takes its team over budget.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from northlight import month
from northlight.line import Cells, Gpus, Line
from northlight.month import DAY, HOUR

TRAINING = (month.on(12, 6), month.on(18, 22))
TRAINING_MACHINES = 4

COLUMNS = (
    "bill_bill_type",
    "bill_billing_entity",
    "bill_billing_period_start_date",
    "bill_billing_period_end_date",
    "bill_invoice_id",
    "bill_invoicing_entity",
    "bill_payer_account_id",
    "bill_payer_account_name",
    "line_item_usage_account_id",
    "line_item_usage_account_name",
    "line_item_usage_start_date",
    "line_item_usage_end_date",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_usage_type",
    "line_item_operation",
    "line_item_availability_zone",
    "line_item_resource_id",
    "line_item_usage_amount",
    "line_item_currency_code",
    "line_item_unblended_rate",
    "line_item_unblended_cost",
    "line_item_line_item_description",
    "pricing_public_on_demand_cost",
    "pricing_public_on_demand_rate",
    "pricing_term",
    "pricing_unit",
    "product",
    "product_instance_type",
    "product_region_code",
    "product_sku",
    "pricing_rate_id",
    "reservation_reservation_a_r_n",
    "reservation_effective_cost",
    "reservation_recurring_fee_for_usage",
    "reservation_unused_quantity",
    "reservation_unused_recurring_fee",
    "resource_tags",
)

_ACCOUNT = "420000000077"
_P5 = Gpus("H100", 8)
_P5_RATE = Decimal("55.04")
_TRAINING_TAGS = {"user_project": "polaris-70b", "user_team": "FM"}
_PROTOTYPE_TAGS = {"user_project": "polaris-7b"}
_RESERVATION = (
    f"arn:aws:ec2:us-east-1:{_ACCOUNT}:reserved-instances/9b1f5d80-21c7-4a7e-a3f0-6f2f0e9c4d55"
)
_RESERVED_RATE = Decimal("1.3335")
_RESERVED_LIST_RATE = Decimal("2.1168")
# The preprocessing machine was down for two days; its reservation was not.
_RESERVED_DOWN = (month.on(24), month.on(26))
_DATASET_GIGABYTES = Decimal(240000)
_STORAGE_RATE = Decimal("0.021")
_TAX = Decimal("612.08")


def lines() -> list[Line]:
    """List the report's lines, by the hour where machines run."""
    return [*_training(), *_prototypes(), *_reserved(), _reservation_fee(), *_datasets(), _tax()]


def _training() -> Iterator[Line]:
    for start in month.hours(*TRAINING):
        for machine in range(1, TRAINING_MACHINES + 1):
            yield _p5(start, f"i-0polaris70b-{machine}", _TRAINING_TAGS, "polaris_70b")


def _prototypes() -> Iterator[Line]:
    for day in month.days():
        if not month.is_weekend(day):
            length = int(month.around(Decimal(11), "prototype", day.day, percent=20))
            for start in month.hours(day + 8 * HOUR, day + (8 + length) * HOUR):
                yield _p5(start, "i-0polaris7b-1", _PROTOTYPE_TAGS, "polaris_7b")


def _p5(start: datetime, machine: str, tags: dict[str, str], owner: str) -> Line:
    cells = {
        **_usage(start, HOUR, "AmazonEC2", "USE1-BoxUsage:p5.48xlarge", Decimal(1), "Hrs"),
        **_priced(_P5_RATE, Decimal(1)),
        "line_item_availability_zone": "us-east-1d",
        "line_item_operation": "RunInstances",
        "line_item_resource_id": machine,
        "product_instance_type": "p5.48xlarge",
        "resource_tags": _json(tags),
    }
    return _line(cells, _P5_RATE, _P5_RATE, owner, _P5)


def _reserved() -> Iterator[Line]:
    """List the hours the reservation covers: nothing is billed, their cost is the fee's share."""
    for start in month.hours():
        if _RESERVED_DOWN[0] <= start < _RESERVED_DOWN[1]:
            continue
        cells = {
            **_usage(start, HOUR, "AmazonEC2", "USE1-BoxUsage:r7i.8xlarge", Decimal(1), "Hrs"),
            "line_item_line_item_type": "DiscountedUsage",
            "line_item_operation": "RunInstances",
            "line_item_resource_id": "i-0preprocess-1",
            "line_item_unblended_cost": Decimal(0),
            "line_item_line_item_description": "r7i.8xlarge reserved instance applied",
            "pricing_public_on_demand_cost": _RESERVED_LIST_RATE,
            "pricing_public_on_demand_rate": _RESERVED_LIST_RATE,
            "pricing_term": "Reserved",
            "product_instance_type": "r7i.8xlarge",
            "reservation_reservation_a_r_n": _RESERVATION,
            "reservation_effective_cost": _RESERVED_RATE,
            "reservation_recurring_fee_for_usage": _RESERVED_RATE,
            "resource_tags": _json({"user_team": "foundation-models"}),
        }
        yield _line(cells, Decimal(0), _RESERVED_RATE, "foundation_models")


def _reservation_fee() -> Line:
    """Give the reservation's monthly fee; what of it covered nothing is effective here."""
    hours = Decimal(len(month.hours()))
    unused_hours = Decimal((_RESERVED_DOWN[1] - _RESERVED_DOWN[0]) // HOUR)
    fee, unused = hours * _RESERVED_RATE, unused_hours * _RESERVED_RATE
    cells = {
        **_common(month.START, month.END),
        "line_item_line_item_type": "RIFee",
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": "USE1-HeavyUsage:r7i.8xlarge",
        "product_sku": _sku("USE1-BoxUsage:r7i.8xlarge"),
        "line_item_usage_amount": hours,
        "line_item_unblended_rate": _RESERVED_RATE,
        "line_item_unblended_cost": fee,
        "line_item_line_item_description": "r7i.8xlarge reservation, 1 year, no upfront",
        "pricing_unit": "Hrs",
        "product": _json({"product_name": "Amazon Elastic Compute Cloud"}),
        "reservation_reservation_a_r_n": _RESERVATION,
        "reservation_unused_quantity": unused_hours,
        "reservation_unused_recurring_fee": unused,
    }
    return _line(cells, fee, unused, "research")


def _datasets() -> Iterator[Line]:
    for day in month.days():
        grown = _DATASET_GIGABYTES * (1 + Decimal(day.day) / 500)
        share = (grown / len(month.days())).quantize(Decimal("1e-6"))
        cells = {
            **_usage(day, DAY, "AmazonS3", "USE1-TimedStorage-ByteHrs", share, "GB-Mo"),
            **_priced(_STORAGE_RATE, share),
            "line_item_operation": "StandardStorage",
            "line_item_resource_id": "northlight-research-corpora",
        }
        cost = _decimal(cells["line_item_unblended_cost"])
        yield _line(cells, cost, cost, "research")


def _tax() -> Line:
    cells = {
        **_common(month.START, month.END),
        "line_item_line_item_type": "Tax",
        "line_item_product_code": "AmazonEC2",
        "line_item_unblended_cost": _TAX,
        "line_item_line_item_description": "Tax for product code AmazonEC2",
        "product": _json({"product_name": "Amazon Elastic Compute Cloud"}),
    }
    return _line(cells, _TAX, _TAX, "research")


def _common(start: datetime, end: datetime) -> Cells:
    return {
        "bill_bill_type": "Anniversary",
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": month.START,
        "bill_billing_period_end_date": month.END,
        "bill_invoicing_entity": "Amazon Web Services, Inc.",
        "bill_payer_account_id": _ACCOUNT,
        "bill_payer_account_name": "Northlight Research Lab",
        "line_item_currency_code": "USD",
        "line_item_usage_account_id": _ACCOUNT,
        "line_item_usage_account_name": "northlight-research",
        "line_item_usage_start_date": start,
        "line_item_usage_end_date": end,
        "product_region_code": "us-east-1",
    }


def _usage(
    start: datetime, length: timedelta, code: str, usage_type: str, amount: Decimal, unit: str
) -> Cells:
    names = {
        "AmazonEC2": "Amazon Elastic Compute Cloud",
        "AmazonS3": "Amazon Simple Storage Service",
    }
    return {
        **_common(start, start + length),
        "line_item_line_item_type": "Usage",
        "line_item_product_code": code,
        "line_item_usage_type": usage_type,
        "line_item_usage_amount": amount,
        "pricing_unit": unit,
        "product": _json({"product_name": names[code]}),
        "product_sku": _sku(usage_type),
        "pricing_rate_id": str(int(hashlib.sha256(usage_type.encode()).hexdigest()[:9], 16)),
    }


def _priced(rate: Decimal, amount: Decimal) -> Cells:
    cost = (rate * amount).quantize(Decimal("1e-10"))
    return {
        "line_item_unblended_rate": rate,
        "line_item_unblended_cost": cost,
        "line_item_line_item_description": f"${rate} per unit, on demand",
        "pricing_public_on_demand_cost": cost,
        "pricing_public_on_demand_rate": rate,
        "pricing_term": "OnDemand",
    }


def _line(
    cells: Cells, billed: Decimal, effective: Decimal, owner: str, gpus: Gpus | None = None
) -> Line:
    model, hours = (gpus.model, Decimal(gpus.count)) if gpus else (None, Decimal(0))
    return Line(cells, owner, "AWS", "USD", billed, effective, model, hours)


def _json(pairs: dict[str, str]) -> str:
    return json.dumps(pairs, separators=(",", ":"))


def _decimal(value: object) -> Decimal:
    assert isinstance(value, Decimal), "a cost is a decimal"
    return value


def _sku(meter: str) -> str:
    """Make up an id in the shape of AWS's SKUs."""
    text = hashlib.sha256(meter.encode()).digest()
    return base64.b32encode(text).decode()[:16]
