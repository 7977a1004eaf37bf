"""Curing what Azure's FOCUS exports get wrong, as Microsoft's own list of gaps says.

BilledCost is never touched. Where a changed value cannot be told from the new one, the delivered
one stays beside it, as text, in `x_Delivered<Column>`: null where nothing was changed.

- A cost or unit price of 0 on a charge that costs something is not free but unknown (Marketplace,
  reservations under a Microsoft Customer Agreement): null.
- The purchase of a commitment has EffectiveCost 0, because what it covers carries the cost. Azure
  leaves the price of a savings plan in both.
- Usage under a commitment is priced as Committed, though Azure calls it Standard.
- SubAccountId and BillingAccountId are ids, not paths; like CommitmentDiscountId they are in lower
  case, as ResourceId is.
- ServiceName, ServiceCategory and PublisherName are filled where Azure leaves them empty or Other
  and the row itself says what they are.
- "-1", "-2" and "Unassigned" mean that there is no value.

https://learn.microsoft.com/cloud-computing/finops/focus/conformance-summary
https://github.com/microsoft/finops-toolkit/issues/1092 (savings plans), /836 (Committed)
"""

from collections.abc import Mapping

import polars as pl

from finops import gpus, money, regions
from finops.errors import DataError
from finops.normalize import CORE

DELIVERED = "x_Delivered"

_KEPT = (
    "BillingAccountId",
    "CommitmentDiscountId",
    "EffectiveCost",
    "PricingCategory",
    "SubAccountId",
)
_MICROSOFT = "Microsoft"
_OTHER = "Other"
_NO_VALUE = ("-1", "-2", "Unassigned")
_MARKETPLACE = ("Vendor", "Marketplace")
_MAY_BE_UNKNOWN = ("ContractedCost", "ContractedUnitPrice", "ListCost", "ListUnitPrice")
_HOURS = ("hour", "hours", "1 hour")
_NOT_RESERVED = r" (?:Spot|Low Priority)$"
_VIRTUAL_MACHINES = "Virtual Machines"
_SERVICES = {
    "AI and Machine Learning": (
        "Azure AI Search",
        "Azure AI services",
        "Azure Machine Learning",
        "Azure OpenAI",
        "Azure OpenAI Service",
        "Cognitive Services",
        "Foundry Models",
        "Microsoft Foundry",
    ),
    "Analytics": (
        "Azure Databricks",
        "Azure Data Explorer",
        "Azure Synapse Analytics",
        "Event Hubs",
        "HDInsight",
        "Microsoft Fabric",
    ),
    "Compute": (
        "Azure App Service",
        "Azure Batch",
        "Azure Container Apps",
        "Azure Kubernetes Service",
        "Container Instances",
        "Container Registry",
        "Functions",
        "Virtual Machine Scale Sets",
        "Virtual Machines",
        "Virtual Machines Licenses",
    ),
    "Databases": (
        "Azure Cosmos DB",
        "Azure Database for MySQL",
        "Azure Database for PostgreSQL",
        "Redis Cache",
        "SQL Database",
        "SQL Managed Instance",
    ),
    "Integration": ("API Management", "Event Grid", "Logic Apps", "Service Bus"),
    "Management and Governance": ("Automation", "Azure Monitor", "Log Analytics"),
    "Networking": (
        "Application Gateway",
        "Azure DNS",
        "Azure Firewall",
        "Azure Front Door",
        "Bandwidth",
        "Content Delivery Network",
        "ExpressRoute",
        "Load Balancer",
        "NAT Gateway",
        "Virtual Network",
        "VPN Gateway",
    ),
    "Security": ("Key Vault", "Microsoft Defender for Cloud", "Microsoft Sentinel"),
    "Storage": (
        "Azure Backup",
        "Azure Data Lake Storage",
        "Azure Managed Lustre",
        "Azure NetApp Files",
        "Managed Disks",
        "Storage",
        "Storage Accounts",
    ),
}
_CATEGORY_OF_SERVICE = {name: category for category, names in _SERVICES.items() for name in names}


def cured(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Cure a FOCUS export of Azure and add GPU facts; `name` is what messages call it.

    `x_GpuHours` is hours of usage times GPUs, from the machine's size in the SKU details or the
    meter's name. Raises `DataError` for a table without the columns of FOCUS.
    """
    schema = rows.collect_schema()
    missing = [column for column in CORE if column not in schema]
    if missing:
        raise DataError(
            f"{name}: has no {', '.join(missing)}; create an export of type 'Cost and usage "
            f"details (FOCUS)', version 1.0 or later"
        )
    facts = _Facts(schema)
    changed = facts.changed()
    delivered = [
        facts.delivered(column, changed[column]).alias(f"{DELIVERED}{column}")
        for column in _KEPT
        if column in schema
    ]
    values = [value.alias(column) for column, value in changed.items()]
    with_types = rows.with_columns(*delivered, *values, **facts.added())
    hours = pl.when(facts.is_running()).then(facts.hours())
    return with_types.with_columns(gpus.columns("azure", pl.col("x_InstanceType"), hours))


class _Facts:
    """Expressions over one export; a column that it has not reads as null."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self._schema = schema
        category = self.text("ChargeCategory")
        self._is_usage = (category == "Usage").fill_null(value=False)
        self._is_purchase = (category == "Purchase").fill_null(value=False)
        self._has_commitment = pl.any_horizontal(
            self.text(column).is_not_null()
            for column in ("CommitmentDiscountId", "CommitmentDiscountType")
        )

    def text(self, name: str) -> pl.Expr:
        """Read a column as text, empty as null; a double is written as its shortest text."""
        if name not in self._schema:
            return pl.lit(None, pl.String)
        text = pl.col(name).cast(pl.String)
        return pl.when(text.str.strip_chars() != "").then(text)

    def changed(self) -> dict[str, pl.Expr]:
        """Give the columns that may differ from what was delivered; costs keep their type."""
        return {
            **self._costs(),
            **self._ids(),
            **self._names(),
            "PricingCategory": pl.when(self._is_usage & self._has_commitment)
            .then(pl.lit("Committed"))
            .otherwise(self.text("PricingCategory")),
        }

    def added(self) -> dict[str, pl.Expr]:
        """Give the columns that the export has not, or leaves empty for an extension of its own."""
        return {
            "SkuMeter": pl.coalesce(self.text("SkuMeter"), self.text("x_SkuMeterName")),
            "SkuPriceDetails": self._details(),
            "RegionName": regions.column(
                "azure", self._ids()["RegionId"], _present(self.text("RegionName"), _NO_VALUE)
            ),
            "x_CostSource": pl.lit("billed"),
            "x_InstanceType": self._instance_type(),
        }

    def delivered(self, column: str, value: pl.Expr) -> pl.Expr:
        """Give what was delivered where `value` is something else."""
        given = self.text(column)
        return pl.when(given.ne_missing(value.cast(pl.String))).then(given)

    def is_running(self) -> pl.Expr:
        """Tell hours in which a machine ran, not the hours of a commitment that nothing used."""
        unused = (self.text("CommitmentDiscountStatus") == "Unused").fill_null(value=False)
        return self._is_usage & unused.not_()

    def hours(self) -> pl.Expr:
        """Give the hours used, where the quantity counts hours."""
        is_hours = self.text("ConsumedUnit").str.to_lowercase().is_in(_HOURS)
        return pl.when(is_hours).then(self._amount("ConsumedQuantity"))

    def _amount(self, name: str) -> pl.Expr:
        return self.text(name).cast(money.DTYPE, strict=False)

    def _costs(self) -> dict[str, pl.Expr]:
        costs_something = pl.any_horizontal(
            (self._amount(column) != 0).fill_null(value=False)
            for column in ("BilledCost", "EffectiveCost")
        )
        known = {
            column: pl.when((costs_something & self._is_zero(column)).not_()).then(pl.col(column))
            for column in _MAY_BE_UNKNOWN
            if column in self._schema
        }
        return {**known, **self._effective_cost()}

    def _effective_cost(self) -> dict[str, pl.Expr]:
        if "EffectiveCost" not in self._schema:
            return {}
        zero = pl.lit(0).cast(self._schema["EffectiveCost"])
        counts_twice = self._is_purchase & self._has_commitment & ~self._is_zero("EffectiveCost")
        given = pl.col("EffectiveCost")
        return {"EffectiveCost": pl.when(counts_twice).then(zero).otherwise(given)}

    def _is_zero(self, name: str) -> pl.Expr:
        return (self._amount(name) == 0).fill_null(value=False)

    def _ids(self) -> dict[str, pl.Expr]:
        region = self.text("RegionId").str.to_lowercase().str.replace_all(" ", "", literal=True)
        return {
            "SubAccountId": self._last_of_path("SubAccountId"),
            "BillingAccountId": self._last_of_path("BillingAccountId"),
            "CommitmentDiscountId": self.text("CommitmentDiscountId").str.to_lowercase(),
            "RegionId": _present(region, ("unassigned",)),
            **{
                column: _present(self.text(column), _NO_VALUE)
                for column in ("SkuId", "SkuPriceId", "SubAccountName")
                if column in self._schema
            },
        }

    def _last_of_path(self, column: str) -> pl.Expr:
        path = self.text(column).str.to_lowercase().str.strip_chars_end("/")
        return path.str.replace(r"^/.*/", "")

    def _names(self) -> dict[str, pl.Expr]:
        publisher, service = self.text("PublisherName"), self.text("ServiceName")
        is_microsoft = self._has_commitment & (
            self.text("ProviderName").fill_null(_MICROSOFT) == _MICROSOFT
        )
        is_sold_for_others = (
            self.text("x_PublisherCategory").is_in(_MARKETPLACE).fill_null(value=False)
        )
        named = (
            pl.when(service.is_not_null())
            .then(service)
            .when(is_sold_for_others)
            .then(publisher)
            .otherwise(pl.coalesce(self.text("x_SkuMeterSubcategory"), self._meter_category()))
        )
        category = self.text("ServiceCategory").fill_null(_OTHER)
        looked_up = [
            each.replace_strict(_CATEGORY_OF_SERVICE, default=None, return_dtype=pl.String)
            for each in (named, self._meter_category())
        ]
        return {
            "PublisherName": pl.when(publisher.is_null() & is_microsoft)
            .then(pl.lit(_MICROSOFT))
            .otherwise(publisher),
            "ServiceName": named,
            "ServiceCategory": pl.when(category == _OTHER)
            .then(pl.coalesce(*looked_up, self.text("ServiceCategory")))
            .otherwise(category),
        }

    def _meter_category(self) -> pl.Expr:
        return self.text("x_SkuMeterCategory")

    def _details(self) -> pl.Expr:
        return pl.coalesce(self.text("SkuPriceDetails"), self.text("x_SkuDetails"))

    def _instance_type(self) -> pl.Expr:
        """Find the machine's size, such as Standard_ND96isr_H100_v5, on the charges of machines.

        Disks, licenses and addresses of a machine carry its size too: only its own hours count.
        A meter's name is not always its size, so it is only taken for machines with GPUs.
        """
        is_machine = pl.coalesce(self._meter_category(), self.text("ServiceName")).is_in(
            [_VIRTUAL_MACHINES]
        )
        meter = pl.coalesce(self.text("x_SkuMeterName"), self.text("SkuMeter"))
        size = "Standard_" + meter.str.replace(_NOT_RESERVED, "").str.replace_all(" ", "_")
        is_gpu = gpus.is_gpu_name("azure", size) & size.str.contains("/", literal=True).not_()
        found = pl.coalesce(
            self.text("x_SkuInstanceType"),
            self._details().str.extract(r'"ServiceType"\s*:\s*"([^"]+)"'),
            pl.when(is_gpu).then(size),
        )
        return pl.when(self._is_usage & is_machine).then(found)


def _present(column: pl.Expr, absent: tuple[str, ...]) -> pl.Expr:
    return pl.when(column.is_in(absent).not_()).then(column)
