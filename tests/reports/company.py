"""A small invented company and its ledger entries, for the tests of insight and reports."""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from finops import money, organization
from finops.ledger import ENTRY_SCHEMA, Checkpoint
from finops.organization import Organization
from finops.quarantine import SUMMARY_SCHEMA
from finops.statement import Statement, build

COMPANY = "Northlight Robotics"
PERIOD = "2026-10"

ORGANIZATION = """
[cost_centers.research]
type = "business_unit"
name = "Research"
owners = ["vera@northlight.example"]
budget = { amount = 40000 }

[cost_centers.perception]
type = "team"
name = "Perception"
parent = "research"
owners = ["ada@northlight.example"]
budget = { amount = 11000 }

[cost_centers.planning]
type = "team"
name = "Planning & control"
parent = "research"
owners = ["#planning"]
budget = { amount = 16000.50 }

[cost_centers.foundation]
type = "project"
name = "Foundation model"
parent = "planning"

[cost_centers.product]
type = "business_unit"
name = "Product"
budget = { amount = 30000 }

[cost_centers.web]
type = "team"
name = "Web"
parent = "product"
budget = { amount = 2000, currency = "EUR" }
"""

_SCHEMA = {"index": pl.Int64(), **ENTRY_SCHEMA}
_PLAIN = {
    "index": 1,
    "v": "finops-row/1",
    "kind": "allocation",
    "charge_id": "c",
    "src": "0" * 64,
    "src_row": 0,
    "provider": "focus",
    "source": "all",
    "period": PERIOD,
    "day": date(2026, 10, 1),
    "service_provider": "Amazon Web Services",
    "account": "111122223333",
    "service": "Amazon EC2",
    "share_num": 1,
    "share_den": 1,
    "currency": "USD",
}
_MONEY = [name for name, dtype in ENTRY_SCHEMA.items() if dtype == money.DTYPE]


def entry(billed: str, **changes: object) -> dict[str, object]:
    """Make one entry: `billed` and other money are decimal text, the rest as the ledger has it."""
    given = {**_PLAIN, "billed_cost": billed, **changes}
    for name in _MONEY:
        if given.get(name) is not None:
            given[name] = Decimal(str(given[name]))
    start = datetime.combine(given["day"], datetime.min.time(), UTC)  # type: ignore[arg-type]
    return {"charge_start": start, "charge_end": start + timedelta(days=1), **given}


def ledger(rows: Iterable[Mapping[str, object]]) -> pl.LazyFrame:
    """Lay entries out as `Ledger.entries` gives them, rows numbered within the batch."""
    numbered: dict[object, int] = {}
    laid = []
    for row in rows:
        number = numbered.get(row["index"], 0)
        numbered[row["index"]] = number + 1
        laid.append({"row": number, **row})
    return pl.DataFrame(laid, schema=_SCHEMA, orient="row").lazy()


def quarantine(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Make the quarantined money of (service provider, currency, amount) in `PERIOD`."""
    reason = "BillingCurrency: is no ISO 4217 code such as USD"
    return pl.DataFrame(
        [(PERIOD, name, currency, reason, 1, Decimal(amount)) for name, currency, amount in rows],
        schema=SUMMARY_SCHEMA,
        orient="row",
    )


def parsed(text: str = ORGANIZATION) -> Organization:
    """Read an organization from its TOML text."""
    return organization.parse(text, tomllib.loads(text, parse_float=Decimal))


def checkpoint() -> Checkpoint:
    """Make the head of a ledger of three batches."""
    root = "qtbFx4kkJcTXYLcMG1YDhYNdQKtB2iCCRoaVNEmXUC0="
    return Checkpoint(
        "northlight.example/finops", 3, root, f"northlight.example/finops\n3\n{root}\n"
    )


def month() -> list[dict[str, object]]:
    """Make October: 24 days of two clouds, a GPU cloud, credits, unallocated rows, a correction."""
    rows = [row for number in range(24) for row in _day(date(2026, 10, 1) + timedelta(days=number))]
    wrong = entry("600.25", charge_id="wrong", day=date(2026, 10, 21), cost_center="perception")
    at = sum(row["index"] == 1 for row in rows)
    undone = {
        **entry("-600.25", charge_id="wrong", day=date(2026, 10, 21), cost_center="perception"),
        "index": 2,
        "kind": "reversal",
        "corrects": f"1/{at}",
        "reason": "the bill was restated",
    }
    right = entry(
        "412.75", charge_id="right", day=date(2026, 10, 21), cost_center="perception", index=2
    )
    return [*rows, wrong, undone, right]


def _day(day: date) -> list[dict[str, object]]:
    """Make one day: weekends are quiet, and the 20th and 21st train a model."""
    busy = Decimal("0.4") if day.weekday() >= 5 else Decimal(1)
    training = Decimal(2) if day.day in {20, 21} else Decimal(1)

    def at(rate: str) -> str:
        return money.text(Decimal(rate) * busy)

    h100 = {"gpu_model": "H100", "unit": "Hours", "day": day}
    hours = Decimal(96) * busy
    runpod = {"service_provider": "RunPod", "account": "runpod-main", "service": "GPU Cloud"}
    core = {"service_provider": "CoreWeave", "account": "cw-7", "service": "GPU compute"}
    return [
        entry(
            at("0"),
            effective_cost=at("560.40"),
            gpu_hours=str(hours),
            cost_center="perception",
            **h100,
        ),
        entry(
            money.text(Decimal("402.13") * busy * training),
            gpu_hours=money.text(hours * training),
            cost_center="foundation",
            **core,
            **h100,
        ),
        entry(at("244.81"), gpu_hours=str(hours), cost_center="planning", **runpod, **h100),
        entry(at("91.07"), service="Amazon S3", cost_center="product", day=day),
        entry(at("120.55"), service="Amazon RDS", cost_center="product", day=day),
        entry(
            at("33.127"),
            day=day,
            resource="pod-x7f2",
            reason="no tag project and no tag team, and no other rule matches",
            gpu_model="RTX 4090",
            gpu_hours=at("48"),
            **runpod,
        ),
        entry(
            at("61.20"),
            day=day,
            service_provider="Microsoft",
            service="Azure Kubernetes Service",
            account="sub-web",
            currency="EUR",
            cost_center="web",
        ),
    ]


def fees() -> list[dict[str, object]]:
    """Make what comes once a month: a commitment bought, a credit, a charge for September."""
    return [
        entry(
            "11500",
            effective_cost="0",
            charge_id="purchase",
            service="Savings Plan",
            cost_center="product",
        ),
        entry("-250", charge_id="credit", service="Credits", cost_center="product"),
        entry(
            "18.5",
            charge_id="late",
            day=date(2026, 9, 30),
            cost_center="product",
            service="Amazon S3",
        ),
        entry(
            "97.36",
            charge_id="typo",
            day=date(2026, 10, 9),
            resource="i-0abc",
            reason="tag team = 'percepton' names no cost center",
        ),
    ]


def september() -> list[dict[str, object]]:
    """Make a September in which everything cost a little less."""
    return [
        {**row, "period": "2026-09", "day": date(2026, 9, row["day"].day), "index": 0}  # type: ignore[attr-defined]
        for row in month()
        if row["index"] == 1 and row["day"].day % 5  # type: ignore[attr-defined]
    ]


def statement(rows: Iterable[Mapping[str, object]] | None = None) -> Statement:
    """Compute October's statement, from `rows` or from the whole sample."""
    chosen = [*month(), *fees()] if rows is None else list(rows)
    return build(
        ledger(chosen),
        parsed(),
        company=COMPANY,
        period=PERIOD,
        quarantined=quarantine(("Amazon Web Services", "USD", "12.34"), ("RunPod", "XXX", "4")),
        checkpoint=checkpoint(),
    )
