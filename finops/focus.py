"""FOCUS 1.4 Cost and Usage: every column of a charge, defined once.

Names, types and allowed values follow the FinOps Open Cost and Usage Specification 1.4; columns
that begin with `x_` are ours. Bills of FOCUS 1.0 to 1.3 are lifted to this by `finops.normalize`.
"""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from finops import money

VERSION = "1.4"
TAGS = "Tags"
SOURCE_COLUMNS = "x_SourceColumns"
WORKLOAD = "Workload"
"""Who held what a charge is for: no column of a charge, but rules can look at it."""
WORKLOAD_FACTS = ("kind", "name", "cluster", "node", "source")
"""What rules look into, by `Tags.team`."""

TIME_DTYPE = pl.Datetime("us", "UTC")


class Kind(StrEnum):
    """What a column holds; each kind has one Polars type."""

    TEXT = "text"
    JSON = "json"
    TIME = "time"
    MONEY = "money"
    PRICE = "price"
    QUANTITY = "quantity"
    COUNT = "count"
    FLAG = "flag"

    @property
    def dtype(self) -> pl.DataType:
        match self:
            case Kind.TEXT | Kind.JSON:
                return pl.String()
            case Kind.TIME:
                return TIME_DTYPE
            case Kind.MONEY | Kind.PRICE | Kind.QUANTITY:
                return money.DTYPE
            case Kind.COUNT:
                return pl.Int64()
            case Kind.FLAG:
                return pl.Boolean()


TEXT, JSON, TIME = Kind.TEXT, Kind.JSON, Kind.TIME
MONEY, PRICE, QUANTITY, COUNT, FLAG = (
    Kind.MONEY,
    Kind.PRICE,
    Kind.QUANTITY,
    Kind.COUNT,
    Kind.FLAG,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, kind, the FOCUS version that introduced it, and its meaning.

    `required` columns must not be null by the specification; `allowed` lists the only values.
    """

    name: str
    kind: Kind
    since: str
    meaning: str
    required: bool = False
    allowed: tuple[str, ...] = ()

    @property
    def dtype(self) -> pl.DataType:
        return self.kind.dtype


USED = ("Used", "Unused")
CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
CHARGE_CLASSES = ("Correction",)
CHARGE_FREQUENCIES = ("One-Time", "Recurring", "Usage-Based")
COMMITMENT_CATEGORIES = ("Spend", "Usage")
PRICING_CATEGORIES = ("Standard", "Dynamic", "Committed", "Other")
SERVICE_CATEGORIES = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
)

COST_AND_USAGE = (
    Column("AllocatedMethodDetails", JSON, "1.3", "How the provider split the charge, as JSON"),
    Column("AllocatedMethodId", TEXT, "1.3", "The provider's method of splitting the charge"),
    Column(
        "AllocatedResourceId", TEXT, "1.3", "The resource a provider-split charge was allocated to"
    ),
    Column("AllocatedResourceName", TEXT, "1.3", "Display name of AllocatedResourceId"),
    Column("AllocatedTags", JSON, "1.3", "Tags of the allocated resource, as JSON"),
    Column("AvailabilityZone", TEXT, "0.5", "Isolated zone within the region"),
    Column("BilledCost", MONEY, "0.5", "What the invoice says, in BillingCurrency", required=True),
    Column("BillingAccountId", TEXT, "0.5", "The account that is invoiced", required=True),
    Column("BillingAccountName", TEXT, "0.5", "Display name of the billing account"),
    Column("BillingAccountType", TEXT, "1.2", "Kind of billing account", required=True),
    Column("BillingCurrency", TEXT, "0.5", "ISO 4217 code of every cost column", required=True),
    Column(
        "BillingPeriodEnd",
        TIME,
        "0.5",
        "End of the invoice's period, not part of it",
        required=True,
    ),
    Column("BillingPeriodStart", TIME, "0.5", "Start of the invoice's period", required=True),
    Column("CapacityReservationId", TEXT, "1.1", "The capacity reservation behind the charge"),
    Column(
        "CapacityReservationStatus", TEXT, "1.1", "Whether the reservation was used", allowed=USED
    ),
    Column(
        "ChargeCategory",
        TEXT,
        "0.5",
        "Nature of the charge",
        required=True,
        allowed=CHARGE_CATEGORIES,
    ),
    Column(
        "ChargeClass", TEXT, "1.0", "Correction of a closed period, or null", allowed=CHARGE_CLASSES
    ),
    Column("ChargeDescription", TEXT, "1.0", "What the charge is for, in words"),
    Column(
        "ChargeFrequency",
        TEXT,
        "1.0",
        "How often the charge occurs",
        required=True,
        allowed=CHARGE_FREQUENCIES,
    ),
    Column(
        "ChargePeriodEnd", TIME, "0.5", "End of the time charged for, not part of it", required=True
    ),
    Column("ChargePeriodStart", TIME, "0.5", "Start of the time charged for", required=True),
    Column(
        "CommitmentDiscountCategory",
        TEXT,
        "1.0",
        "Whether the commitment is to spend or to use",
        allowed=COMMITMENT_CATEGORIES,
    ),
    Column("CommitmentDiscountId", TEXT, "1.0", "The commitment that covers or is the charge"),
    Column("CommitmentDiscountName", TEXT, "1.0", "Display name of the commitment"),
    Column(
        "CommitmentDiscountQuantity",
        QUANTITY,
        "1.1",
        "Amount of commitment bought or used, in its unit",
    ),
    Column(
        "CommitmentDiscountStatus", TEXT, "1.0", "Whether the commitment was used", allowed=USED
    ),
    Column("CommitmentDiscountType", TEXT, "1.0", "The provider's kind of commitment"),
    Column("CommitmentDiscountUnit", TEXT, "1.1", "Unit of CommitmentDiscountQuantity"),
    Column(
        "CommitmentProgramEligibilityDetails",
        JSON,
        "1.4",
        "Commitment programs the charge is eligible for",
    ),
    Column("ConsumedQuantity", QUANTITY, "1.0", "How much was consumed, in ConsumedUnit"),
    Column("ConsumedUnit", TEXT, "1.0", "Unit of ConsumedQuantity"),
    Column("ContractApplied", JSON, "1.3", "Contract commitments applied, as JSON"),
    Column(
        "ContractedCost",
        MONEY,
        "1.0",
        "PricingQuantity at the contracted unit price",
        required=True,
    ),
    Column("ContractedUnitPrice", PRICE, "1.0", "Agreed price of one PricingUnit"),
    Column(
        "EffectiveCost",
        MONEY,
        "0.5",
        "Cost with commitments spread over what they cover",
        required=True,
    ),
    Column("HostProviderName", TEXT, "1.3", "Who runs the infrastructure underneath"),
    Column("InvoiceDetailId", TEXT, "1.4", "The invoice line the charge is on"),
    Column("InvoiceId", TEXT, "1.2", "The invoice the charge is on"),
    Column("InvoiceIssuerName", TEXT, "0.5", "Who sends the invoice", required=True),
    Column("ListCost", MONEY, "1.0", "PricingQuantity at the list unit price", required=True),
    Column("ListUnitPrice", PRICE, "1.0", "Public price of one PricingUnit"),
    Column("PricingCategory", TEXT, "1.0", "Pricing model used", allowed=PRICING_CATEGORIES),
    Column(
        "PricingCurrency", TEXT, "1.2", "Currency of the price list, may be virtual", required=True
    ),
    Column(
        "PricingCurrencyContractedUnitPrice", PRICE, "1.2", "ContractedUnitPrice in PricingCurrency"
    ),
    Column(
        "PricingCurrencyEffectiveCost",
        MONEY,
        "1.2",
        "EffectiveCost in PricingCurrency",
        required=True,
    ),
    Column("PricingCurrencyListUnitPrice", PRICE, "1.2", "ListUnitPrice in PricingCurrency"),
    Column("PricingQuantity", QUANTITY, "1.0", "How much was priced, in PricingUnit"),
    Column("PricingUnit", TEXT, "1.0", "Unit of PricingQuantity"),
    Column("RegionId", TEXT, "1.0", "Region of the resource"),
    Column("RegionName", TEXT, "1.0", "Display name of the region"),
    Column("ResourceId", TEXT, "0.5", "The resource charged for"),
    Column("ResourceName", TEXT, "0.5", "Display name of the resource"),
    Column("ResourceType", TEXT, "1.0", "Kind of resource"),
    Column(
        "ServiceCategory",
        TEXT,
        "0.5",
        "Highest-level class of the service",
        required=True,
        allowed=SERVICE_CATEGORIES,
    ),
    Column("ServiceName", TEXT, "0.5", "The service bought", required=True),
    Column("ServiceProviderName", TEXT, "1.3", "Who makes the service available", required=True),
    Column("ServiceSubcategory", TEXT, "1.1", "Second-level class of the service", required=True),
    Column("SkuId", TEXT, "1.0", "What is sold, whatever the price"),
    Column("SkuMeter", TEXT, "1.1", "What the SKU measures"),
    Column("SkuPriceDetails", JSON, "1.1", "Properties of the SKU price, as JSON"),
    Column("SkuPriceId", TEXT, "1.0", "The SKU at one price"),
    Column(
        "SubAccountId", TEXT, "0.5", "Account, subscription or project below the billing account"
    ),
    Column("SubAccountName", TEXT, "0.5", "Display name of the sub account"),
    Column("SubAccountType", TEXT, "1.2", "Kind of sub account"),
    Column("Tags", JSON, "1.0", "Tags of the resource, as a JSON object"),
)

OURS = "x"
EXTENSIONS = (
    Column("x_ProviderName", TEXT, OURS, "ProviderName of FOCUS 1.0 to 1.3, as delivered"),
    Column("x_PublisherName", TEXT, OURS, "PublisherName of FOCUS 1.0 to 1.3, as delivered"),
    Column("x_CostSource", TEXT, OURS, "billed, rate_card or estimate: where the cost is from"),
    Column("x_Provisional", FLAG, OURS, "The provider may still add to this charge"),
    Column("x_GpuModel", TEXT, OURS, "GPU model, such as H100"),
    Column("x_GpuCount", COUNT, OURS, "GPUs of the resource"),
    Column("x_GpuHours", QUANTITY, OURS, "GPU hours charged: hours x count x fraction"),
    Column("x_GpuMemoryGiB", QUANTITY, OURS, "Memory of one whole GPU, GiB"),
    Column("x_GpuFraction", QUANTITY, OURS, "Share of a GPU, 1 for a whole one"),
    Column(SOURCE_COLUMNS, JSON, OURS, "Columns of the bill that FOCUS 1.4 does not know"),
    Column(
        "x_InstanceType", TEXT, OURS, "Instance type as the provider calls it, such as p5.48xlarge"
    ),
)

CONTENT = (*COST_AND_USAGE, *EXTENSIONS)
"""What a charge says. New columns go to the end: a charge's identity reads them in this order.

All of them but `x_Provisional` are part of it.
"""

PROVENANCE = (
    Column("x_ChargeId", TEXT, OURS, "SHA-256 of the row's content and its place among equals"),
    Column("x_RawId", TEXT, OURS, "SHA-256 of the raw object the row was read from"),
    Column("x_RawRow", COUNT, OURS, "0-based row in that raw object"),
)

COLUMNS = (*CONTENT, *PROVENANCE)

ALLOCATED = (
    Column("x_CostCenter", TEXT, OURS, "Id of the cost center that carries the row, or null"),
    Column("x_AllocationStep", TEXT, OURS, "The step of the waterfall that decided"),
    Column("x_AllocationRule", TEXT, OURS, "The rule, or idle policy, that decided"),
    Column("x_AllocationReason", TEXT, OURS, "Who held how much, or why nobody carries the row"),
    Column("x_LedgerEntry", TEXT, OURS, "The ledger entry behind the row, such as 42/17"),
    Column("x_LedgerCheckpoint", TEXT, OURS, "Size and root of the checkpoint it was read at"),
)
"""What an export of allocations says of each row beyond FOCUS; no columns of a charge.

All are ledger facts: `cost_center`, `step`, `rule`, `reason` and place of the entry, and the head.
"""
BY_NAME = {column.name: column for column in COLUMNS}
SCHEMA = pl.Schema({column.name: column.dtype for column in COLUMNS})

COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")

DIMENSIONS = tuple(column.name for column in CONTENT if column.kind is TEXT)
"""Columns that rules can look at, beside tags and the columns FOCUS does not know."""


def is_dimension(name: str) -> bool:
    """Tell whether a rule can look at `name`: a text column, a tag, or a column of the bill's own.

    `Tags.team` is the tag `team`, `SkuPriceDetails.GpuCount` is part of what another JSON column
    says; `x_SourceColumns.Id`, or an `x_` name FOCUS does not know, is a column that only this provider
    delivers; `provider` and `source` are those of the partition; `Workload.kind` is what the workload
    that held the resource is (see `WORKLOAD_FACTS`).
    """
    head, dot, key = name.partition(".")
    if head == WORKLOAD:
        return key in WORKLOAD_FACTS
    if dot:
        return head in BY_NAME and BY_NAME[head].kind is Kind.JSON and bool(key)
    if name in {"provider", "source"} or name in DIMENSIONS:
        return True
    return name.startswith("x_") and name not in BY_NAME
