"""BigQuery's answers for a detailed billing export of one GPU machine's hours."""

from datetime import date
from typing import Any

from finops.partition import Window
from tests.stubs import bigquery
from tests.stubs.bigquery import JOBS, ROWS, TABLE, TOTALS
from tests.stubs.rig import Rig
from tests.stubs.scripted import Answer

_DAY, _MONTH = "2026-10-01", "202610"
_EXPORTED = bigquery.micros("2026-10-01T09:00:00")


def _hour(hour: int, **more: Any) -> dict[str, Any]:
    return {
        "finops_day": _DAY,
        "finops_month": _MONTH,
        "billing_account_id": "01A2B3-C4D5E6-F70819",
        "service_id": "6F81-5844-456A",
        "service_description": "Compute Engine",
        "sku_id": "0000-1111-2222",
        "sku_description": "Nvidia H100 80GB GPU running in Americas",
        "usage_start_time": bigquery.micros(f"{_DAY}T{hour:02}:00:00"),
        "usage_end_time": bigquery.micros(f"{_DAY}T{hour + 1:02}:00:00"),
        "project_id": "acme-ml",
        "labels": '[{"key":"team","value":"vision"}]',
        "system_labels": (
            '[{"key":"compute.googleapis.com/machine_spec","value":"a3-highgpu-8g"}]'
        ),
        "cost": "10.5",
        "credits": '[{"name":"SUD","amount":-0.5,"type":"SUSTAINED_USAGE_DISCOUNT"}]',
        "cost_at_list": "12",
        "currency": "USD",
        "invoice_month": _MONTH,
        "cost_type": "regular",
        "export_time": _EXPORTED,
        "usage_amount": "28800",
        "usage_unit": "seconds",
        "usage_amount_in_pricing_units": "8",
        "usage_pricing_unit": "hour",
        **more,
    }


def _rows(
    *rows: dict[str, Any], total: int | None = None, token: str | None = None, more: str = ""
) -> Answer:
    columns = [*bigquery.COLUMNS, *filter(None, [more])]
    return bigquery.page("rows", columns, rows, total, token)


def _totals(rows: int) -> Answer:
    cost, credit = str(rows * 10.5), str(rows * -0.5)
    return bigquery.totals((_DAY, _MONTH, "USD", str(rows), cost, credit, cost, _EXPORTED))


RIG = Rig(
    provider="gcp",
    settings=lambda address: {
        "table": bigquery.TABLE_NAME,
        "project": bigquery.PROJECT,
        "api_url": address,
        "credential_env": "GCP_BILLING_KEY",
        "reuse_unchanged": False,
    },
    environment={"GCP_BILLING_KEY": '{"private_key": "SECRETKEY123"}'},
    secret="SECRETKEY123",
    window=Window(date(2026, 10, 1), date(2026, 10, 3)),
    good={
        TABLE: (bigquery.table(),),
        JOBS: (bigquery.job("totals"), bigquery.job("rows")),
        TOTALS: (_totals(2),),
        ROWS: (_rows(_hour(3), _hour(4)),),
    },
    rows=2,
    empty={JOBS: (bigquery.job("totals"),), TOTALS: (bigquery.totals(),)},
    late={TOTALS: (_totals(3),), ROWS: (_rows(_hour(3), _hour(4), _hour(5)),)},
    late_rows=3,
    unknown_column={
        TABLE: (bigquery.table({"name": "carbon", "type": "STRING"}),),
        ROWS: (_rows(_hour(3, carbon="1.5"), _hour(4), more="carbon"),),
    },
    renamed={ROWS: (_rows(_hour(3, sku_description="Nvidia Z9 unheard of"), _hour(4)),)},
    pages={ROWS: (_rows(_hour(3), total=2, token="more"), _rows(_hour(4), total=2))},
)
