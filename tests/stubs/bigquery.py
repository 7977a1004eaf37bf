"""What BigQuery's REST API answers for a billing table: its description, jobs, pages of rows."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.stubs.rig import Endpoint
from tests.stubs.scripted import Answer

TABLE_NAME = "acme-billing.exports.gcp_billing_export_resource_v1_01A2B3"
PROJECT = "acme-finops"
_API = "/bigquery/v2/projects"

TABLE: Endpoint = (
    "GET",
    f"{_API}/acme-billing/datasets/exports/tables/gcp_billing_export_resource_v1_01A2B3",
)
JOBS: Endpoint = ("POST", f"{_API}/{PROJECT}/jobs")
TOTALS: Endpoint = ("GET", f"{_API}/{PROJECT}/queries/totals")
ROWS: Endpoint = ("GET", f"{_API}/{PROJECT}/queries/rows")

_PAIRS = [{"name": "key", "type": "STRING"}, {"name": "value", "type": "STRING"}]


def _struct(name: str, *fields: str, **more: str) -> dict[str, Any]:
    parts = [{"name": field, "type": more.get(field, "STRING")} for field in fields]
    return {"name": name, "type": "RECORD", "fields": parts}


def _list(name: str, *fields: str, **more: str) -> dict[str, Any]:
    return {**_struct(name, *fields, **more), "mode": "REPEATED"}


def _is_column(field: Mapping[str, Any]) -> bool:
    return field["type"] != "RECORD" or field.get("mode") == "REPEATED"


DETAILED: tuple[dict[str, Any], ...] = (
    {"name": "billing_account_id", "type": "STRING"},
    _struct("service", "id", "description"),
    _struct("sku", "id", "description"),
    {"name": "usage_start_time", "type": "TIMESTAMP"},
    {"name": "usage_end_time", "type": "TIMESTAMP"},
    {
        "name": "project",
        "type": "RECORD",
        "fields": [
            *(
                {"name": name, "type": "STRING"}
                for name in ("id", "number", "name", "ancestry_numbers")
            ),
            {"name": "labels", "type": "RECORD", "mode": "REPEATED", "fields": _PAIRS},
        ],
    },
    _list("labels", "key", "value"),
    _list("system_labels", "key", "value"),
    _struct("location", "location", "country", "region", "zone"),
    _list("tags", "key", "value", "inherited", "namespace", inherited="BOOLEAN"),
    {"name": "transaction_type", "type": "STRING"},
    {"name": "export_time", "type": "TIMESTAMP"},
    {"name": "cost", "type": "FLOAT"},
    {"name": "currency", "type": "STRING"},
    {"name": "currency_conversion_rate", "type": "FLOAT"},
    _struct(
        "usage",
        "amount",
        "unit",
        "amount_in_pricing_units",
        "pricing_unit",
        amount="FLOAT",
        amount_in_pricing_units="FLOAT",
    ),
    _list("credits", "name", "amount", "full_name", "id", "type", amount="FLOAT"),
    _struct("invoice", "month"),
    {"name": "cost_type", "type": "STRING"},
    _struct("adjustment_info", "id", "description", "mode", "type"),
    _struct("resource", "name", "global_name"),
    _struct(
        "price",
        "effective_price",
        "tier_start_amount",
        "unit",
        "pricing_unit_quantity",
        "list_price",
        effective_price="NUMERIC",
        tier_start_amount="NUMERIC",
        pricing_unit_quantity="NUMERIC",
        list_price="NUMERIC",
    ),
    {"name": "cost_at_list", "type": "FLOAT"},
    _struct("subscription", "instance_id"),
    _struct("consumption_model", "id", "description"),
)
"""The schema of Google's detailed export."""

COLUMNS = (
    "finops_day",
    "finops_month",
    *(
        "_".join(filter(None, (field["name"], part)))
        for field in DETAILED
        for part in ([""] if _is_column(field) else [each["name"] for each in field["fields"]])
    ),
)
"""What the query for the rows of the detailed export asks for."""

_FOCUS_NUMBERS = (
    "BilledCost",
    "ConsumedQuantity",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "ListCost",
    "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
)
_FOCUS_TIMES = (
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "x_ExportTime",
)
_FOCUS_TEXTS = (
    "AvailabilityZone",
    "BillingAccountId",
    "BillingAccountType",
    "BillingCurrency",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ConsumedUnit",
    "PricingCategory",
    "PricingCurrency",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "x_ConsumptionModelDescription",
    "x_ConsumptionModelId",
    "x_CostType",
    "x_Location",
    "x_ServiceId",
    "x_SubscriptionInstanceId",
)
FOCUS: tuple[dict[str, Any], ...] = (
    *({"name": name, "type": "NUMERIC"} for name in _FOCUS_NUMBERS),
    *({"name": name, "type": "TIMESTAMP"} for name in _FOCUS_TIMES),
    *({"name": name, "type": "STRING"} for name in _FOCUS_TEXTS),
    {"name": "x_CurrencyConversionRate", "type": "FLOAT"},
    _list("x_Credits", "Name", "Amount", "Id", "Type", Amount="NUMERIC"),
    _list("x_Labels", "Key", "Value"),
    _list("x_ProjectLabels", "Key", "Value"),
    _list("x_SystemLabels", "Key", "Value"),
    _list("x_Tags", "Key", "Value", "x_Inherited", "x_Namespace", x_Inherited="BOOLEAN"),
    _struct("x_Project", "Id", "Number"),
)
"""The schema of Google's FOCUS export, as a reader of a live one listed it in July 2026."""


def micros(text: str) -> str:
    """Write a UTC time as BigQuery sends it."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return str(int(moment.timestamp()) * 1_000_000)


def _answer(document: Mapping[str, Any]) -> Answer:
    return Answer(json.dumps(document).encode())


def table(*more: dict[str, Any], by_export_day: bool = True) -> Answer:
    """Describe the detailed export, perhaps with a column nobody knows."""
    partitioning = {"timePartitioning": {"type": "DAY"}} if by_export_day else {}
    return _answer(
        {
            "tableReference": dict(
                zip(("projectId", "datasetId", "tableId"), TABLE_NAME.split("."), strict=True)
            ),
            "location": "EU",
            "schema": {"fields": [*DETAILED, *more]},
            **partitioning,
        }
    )


def job(name: str, error: Mapping[str, str] | None = None) -> Answer:
    """Say that a query has ended."""
    status: dict[str, Any] = {"state": "DONE", **({"errorResult": error} if error else {})}
    return _answer(
        {
            "jobReference": {"projectId": PROJECT, "jobId": name, "location": "EU"},
            "configuration": {"query": {}},
            "status": status,
        }
    )


def refusal(status: int, reason: str, message: str = "no") -> Answer:
    """Refuse as Google does."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Answer(json.dumps({"error": error}).encode(), status)


def page(
    name: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str | None]],
    total: int | None = None,
    token: str | None = None,
) -> Answer:
    """Send a page of a query's rows; absent cells are null."""
    return _answer(
        {
            "jobReference": {"projectId": PROJECT, "jobId": name, "location": "EU"},
            "jobComplete": True,
            "schema": {"fields": [{"name": each, "type": "STRING"} for each in columns]},
            "totalRows": str(len(rows) if total is None else total),
            "rows": [{"f": [{"v": row.get(each)} for each in columns]} for row in rows],
            **({"pageToken": token} if token else {}),
        }
    )


_TOTALS_COLUMNS = (
    "finops_day",
    "finops_month",
    "currency",
    "row_count",
    "cost",
    "credits",
    "turnover",
    "exported_until",
)


def totals(*rows: Sequence[str | None]) -> Answer:
    """Answer what there is: day, month, currency, rows, cost, credits, turnover, last export."""
    named = [dict(zip(_TOTALS_COLUMNS, row, strict=True)) for row in rows]
    return page("totals", _TOTALS_COLUMNS, named)
