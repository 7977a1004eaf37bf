"""GitHub's billing usage: one item a day, repository, product and SKU, and the rows made of it.

The usage report and its summary spell SKUs differently (`Actions Linux`, `actions_linux`), and the
price list drops the product from runner names (`linux_4_core`): all are brought to the last.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import Any

from finops import gpus, money
from finops.errors import DataError
from finops.normalize import GIVEN_ROW
from providers import rows

ACTIONS = "actions"
MINUTES = "minutes"
PROVIDER = "github_actions"
_ENTERPRISE, _ORGANIZATION = "Enterprise", "Organization"
_MINUTES_PER_HOUR = Decimal(60)
_PREFIX = f"{ACTIONS}_"
_SIZED = re.compile(r"\d+_core")
_NOT_WORD = re.compile(r"[^a-z0-9]+")

_DEVELOPER_TOOLS, _AI = "Developer Tools", "AI and Machine Learning"
_SERVICES = {
    "actions": ("GitHub Actions", _DEVELOPER_TOOLS, "Continuous Integration and Deployment"),
    "codespaces": ("GitHub Codespaces", _DEVELOPER_TOOLS, "Development Environments"),
    "copilot": ("GitHub Copilot", _AI, "Generative AI"),
    "ghas": ("GitHub Advanced Security", "Security", "Other (Security)"),
    "ghec": ("GitHub Enterprise Cloud", _DEVELOPER_TOOLS, "Developer Platforms"),
    "git_lfs": ("Git LFS", _DEVELOPER_TOOLS, "Source Code Management"),
    "packages": ("GitHub Packages", _DEVELOPER_TOOLS, "Other (Developer Tools)"),
}
_OTHER = ("Other", "Other (Other)")
_UNITS = {
    "minutes": "Minutes",
    "hours": "Hours",
    "gigabytes": "GB",
    "gigabytehours": "GB-Hours",
    "usermonths": "User-Months",
    "requests": "Requests",
}

_EVERY_ROW = {
    "BillingCurrency": "USD",
    "PricingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "ServiceProviderName": "GitHub",
    "HostProviderName": "GitHub",
    "InvoiceIssuerName": "GitHub",
    "x_CostSource": "billed",
}


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed: an organization, or an enterprise with its organizations and cost centers."""

    name: str
    is_enterprise: bool
    cost_center: str | None = None
    cost_center_name: str | None = None

    @classmethod
    def of(cls, receipt: Mapping[str, str]) -> "Account":
        """Read back what `receipt` wrote down."""
        center = receipt.get("cost_center"), receipt.get("cost_center_name")
        return cls(receipt["account"], receipt["account_type"] == _ENTERPRISE, *center)

    @property
    def type(self) -> str:
        return _ENTERPRISE if self.is_enterprise else _ORGANIZATION

    @property
    def usage_path(self) -> str:
        kind = "enterprises" if self.is_enterprise else "organizations"
        return f"/{kind}/{self.name}/settings/billing/usage"

    @property
    def cost_centers_path(self) -> str:
        return f"/enterprises/{self.name}/settings/billing/cost-centers"

    def on(self, day: date) -> dict[str, str]:
        """Make the parameters that ask for one day."""
        asked = {"year": str(day.year), "month": str(day.month), "day": str(day.day)}
        return asked | ({"cost_center_id": self.cost_center} if self.cost_center else {})

    def receipt(self) -> dict[str, str]:
        """Say whose usage it is."""
        facts = {
            "account": self.name,
            "account_type": self.type,
            "cost_center": self.cost_center,
            "cost_center_name": self.cost_center_name,
        }
        return {key: value for key, value in facts.items() if value}


@dataclass(frozen=True, slots=True)
class Item:
    """One usage item; amounts are US dollars, `sku` is normalized and `sku_name` as delivered.

    `repository` is the full name (`acme/train`), also where GitHub leaves its owner out.
    """

    day: date
    product: str
    product_name: str
    sku: str
    sku_name: str
    quantity: Decimal | None
    unit: str
    price: Decimal | None
    gross: Decimal | None
    net: Decimal | None
    organization: str | None
    repository: str | None

    @property
    def is_runner_time(self) -> bool:
        return self.product == ACTIONS and self.unit.lower() == MINUTES


def items(document: Any, name: str) -> list[Item]:
    """Read a usage report; raises `DataError` for any other shape.

    An item without amounts is read: it goes to quarantine with its reason.
    """
    try:
        return [_item(one) for one in document["usageItems"]]
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is not GitHub's billing usage as it is known "
            f"({type(error).__name__}: {error}); nothing of it was taken"
        ) from None


def cost_centers(document: Any, name: str, whole: Account) -> list[Account]:
    """Read the enterprise's list of cost centers; raises `DataError` for any other shape."""
    try:
        centers = sorted((str(one["id"]), str(one["name"])) for one in document["costCenters"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{name}: is not GitHub's list of cost centers as it is known "
            f"({type(error).__name__}: {error}); nothing was taken"
        ) from None
    return [replace(whole, cost_center=each, cost_center_name=called) for each, called in centers]


def net_total(document: Any, name: str, products: Collection[str]) -> Decimal:
    """Add up the net amounts of a usage summary; raises `DataError` for any other shape.

    `products` restricts it to these; none means all.
    """
    try:
        return money.exact_sum(
            rows.number(one["netAmount"])
            for one in document["usageItems"]
            if not products or slug(one["product"]) in products
        )
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is not GitHub's usage summary as it is known "
            f"({type(error).__name__}: {error}); nothing was taken"
        ) from None


def slug(name: str) -> str:
    """Write a product's or SKU's name in the one spelling: `Actions Linux` is `actions_linux`."""
    return _NOT_WORD.sub("_", name.lower()).strip("_")


def row(item: Item, place: int, account: Account, fetched_at: datetime | None) -> dict[str, object]:
    """Make the FOCUS row of an item, which is the `place`-th of its reply.

    GitHub states list and net amounts but no negotiated prices: included minutes and discounts lie
    between the two, so the contracted cost is what was billed.
    """
    start = datetime.combine(item.day, time(), UTC)
    return {
        **_EVERY_ROW,
        **_account_columns(account, item),
        **_service_columns(item),
        **_runner_columns(item),
        **rows.billing_month(start),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(days=1),
        "ChargeDescription": " ".join(filter(None, (item.sku_name, item.repository))),
        "ListCost": item.gross,
        "ContractedCost": item.net,
        "BilledCost": item.net,
        "EffectiveCost": item.net,
        "ListUnitPrice": item.price,
        "ResourceId": item.repository,
        "ResourceName": item.repository and item.repository.partition("/")[2],
        "ResourceType": "Repository" if item.repository else None,
        "x_Provisional": fetched_at is not None and item.day >= fetched_at.date(),
        GIVEN_ROW: place,
    }


def _item(one: Mapping[str, Any]) -> Item:
    organization, repository = (
        rows.text(one.get("organizationName")),
        rows.text(one.get("repositoryName")),
    )
    if repository and "/" not in repository and organization:
        repository = f"{organization}/{repository}"
    return Item(
        day=date.fromisoformat(one["date"][:10]),
        product=slug(one["product"]),
        product_name=rows.text(one["product"]) or "",
        sku=_sku(one["sku"]),
        sku_name=rows.text(one["sku"]) or "",
        quantity=_decimal(one.get("quantity")),
        unit=rows.text(one.get("unitType")) or "",
        price=_decimal(one.get("pricePerUnit")),
        gross=_decimal(one.get("grossAmount")),
        net=_decimal(one.get("netAmount")),
        organization=organization or None,
        repository=repository or None,
    )


def _sku(name: str) -> str:
    spelled = slug(name)
    return spelled.removeprefix(_PREFIX) if _SIZED.search(spelled) else spelled


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else rows.number(value)


def _account_columns(account: Account, item: Item) -> dict[str, object]:
    within = item.organization if account.is_enterprise else None
    return {
        "BillingAccountId": account.name,
        "BillingAccountName": account.name,
        "BillingAccountType": account.type,
        "SubAccountId": within,
        "SubAccountName": within,
        "SubAccountType": _ORGANIZATION if within else None,
        "x_GitHubCostCenterId": account.cost_center,
        "x_GitHubCostCenterName": account.cost_center_name,
    }


def _service_columns(item: Item) -> dict[str, object]:
    name, category, subcategory = _SERVICES.get(item.product, (item.product_name, *_OTHER))
    has_quantity = item.quantity is not None
    unit = _UNITS.get(_NOT_WORD.sub("", item.unit.lower()), item.unit) if has_quantity else None
    return {
        "ServiceName": name,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "SkuId": item.sku,
        "SkuMeter": item.unit or None,
        "x_SkuName": item.sku_name,
        "PricingQuantity": item.quantity,
        "PricingUnit": unit or None,
        "ConsumedQuantity": item.quantity,
        "ConsumedUnit": unit or None,
    }


def _runner_columns(item: Item) -> dict[str, object]:
    """Give the machine and its GPUs, where runner time was billed."""
    known = gpus.known(PROVIDER).get(item.sku) if item.is_runner_time else None
    if known is None:
        return {"x_InstanceType": item.sku if item.is_runner_time else None}
    with localcontext(money.CONTEXT):
        hours = (item.quantity or Decimal(0)) * known.count / _MINUTES_PER_HOUR
    # A quantity beyond what a column holds sends the row to quarantine.
    is_told = item.quantity is not None and hours.adjusted() < money.PRECISION - money.SCALE
    return {
        "x_InstanceType": item.sku,
        "x_GpuModel": known.model,
        "x_GpuCount": known.count,
        "x_GpuHours": hours.quantize(money.QUANTUM) if is_told else None,
        "x_GpuMemoryGiB": known.memory_gib,
        "x_GpuFraction": Decimal(1),
    }
