"""AWS Cost and Usage Report 2.0 as FOCUS rows.

Every line of the report becomes one row whose BilledCost is `line_item_unblended_cost`, untouched.
So the billed total equals the report's to the last digit, and AWS's own netting is kept:

- DiscountedUsage (covered by a reservation) is billed at 0 by AWS; the reservation's Fee and RIFee
  lines carry the money.
- SavingsPlanCoveredUsage is billed at its on-demand price, and a SavingsPlanNegation line of the
  same account takes it back; the plan's fee lines carry the money. Setting both to 0 would read
  better and lose the cents by which AWS's two roundings differ. Charge back by EffectiveCost.

EffectiveCost spreads commitments over what they cover, as AWS amortizes them: usage carries its
share, purchases and negations carry 0. What a commitment paid for in vain is on its fee line in
the report; FOCUS wants it as unused usage, so such a line yields a second row with BilledCost 0,
CommitmentDiscountStatus "Unused" and that cost.
"""

from collections.abc import Mapping

import polars as pl

from finops import money
from finops.errors import DataError
from finops.normalize import GIVEN_ROW

_LINE_TYPE = "line_item_line_item_type"
_UNBLENDED = "line_item_unblended_cost"
_RESERVATION = "reservation_reservation_a_r_n"
_PLAN = "savings_plan_savings_plan_a_r_n"
_REQUIRED = (
    _LINE_TYPE,
    _UNBLENDED,
    "line_item_usage_start_date",
    "line_item_usage_end_date",
    "bill_billing_period_start_date",
)

_COVERED = ("DiscountedUsage", "SavingsPlanCoveredUsage")
_USAGE = ("Usage", *_COVERED)
_RECURRING = ("RIFee", "SavingsPlanRecurringFee")
_PURCHASES = ("Fee", "SavingsPlanUpfrontFee", *_RECURRING)
_NEGATION = "SavingsPlanNegation"
_CATEGORIES = {
    **dict.fromkeys(_USAGE, "Usage"),
    **dict.fromkeys(_PURCHASES, "Purchase"),
    "Tax": "Tax",
    "Credit": "Credit",
    "Refund": "Credit",
}
"""Discounts, negations and line types AWS may add are Adjustments."""

_SERVICES = {
    "Compute": ("AmazonEC2", "AWSLambda", "AmazonECS", "AmazonEKS", "AmazonLightsail", "AWSBatch"),
    "Storage": ("AmazonS3", "AmazonEFS", "AmazonFSx", "AmazonGlacier", "AWSBackup"),
    "Networking": (
        "AmazonVPC",
        "AWSELB",
        "AmazonCloudFront",
        "AmazonRoute53",
        "AWSDataTransfer",
        "AWSDirectConnect",
    ),
    "Databases": ("AmazonRDS", "AmazonDynamoDB", "AmazonElastiCache", "AmazonRedshift"),
    "AI and Machine Learning": ("AmazonSageMaker", "AmazonBedrock", "AmazonBedrockService"),
    "Management and Governance": ("AmazonCloudWatch", "AWSCloudTrail", "AWSConfig"),
    "Analytics": ("AmazonAthena", "AWSGlue", "AmazonKinesis", "ElasticMapReduce"),
    "Security": ("awskms", "AWSSecretsManager", "AmazonGuardDuty", "awswaf"),
    "Integration": ("AWSQueueService", "AmazonSNS", "AWSEvents"),
}
_CATEGORY_OF_SERVICE = {code: name for name, codes in _SERVICES.items() for code in codes}

_INSTANCE = r"BoxUsage|SpotUsage|HeavyUsage|ReservedUsage|DedicatedUsage|UnusedBox|UnusedDed"
_SUBCATEGORIES = {
    "AI Platforms": ("AmazonSageMaker",),
    "Caching": ("AmazonElastiCache",),
    "Containers": ("AmazonECS", "AmazonEKS"),
    "Content Delivery": ("AmazonCloudFront",),
    "Data Processing": ("AWSGlue", "ElasticMapReduce"),
    "Data Warehouses": ("AmazonRedshift",),
    "Generative AI": ("AmazonBedrock", "AmazonBedrockService"),
    "NoSQL Databases": ("AmazonDynamoDB",),
    "Object Storage": ("AmazonS3", "AmazonGlacier"),
    "Observability": ("AmazonCloudWatch",),
    "Relational Databases": ("AmazonRDS",),
    "Serverless Compute": ("AWSLambda",),
}
_SUBCATEGORY_OF_SERVICE = {code: name for name, codes in _SUBCATEGORIES.items() for code in codes}

# One entry of a map as JSON; AWS prefixes the tags that users made, FOCUS wants them bare.
_ENTRY = r'^\{"key":"(?:user[_:])?((?:[^"\\]|\\.)*)","value":(.*)\}$'
_USER = '"user'
_USER_PREFIX = r'([{,]\s*)"user[_:]'


def is_cur(names: list[str]) -> bool:
    """Tell a CUR 2.0 table from a FOCUS one by its columns."""
    return _LINE_TYPE in names or _UNBLENDED in names


def to_focus(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Map a CUR 2.0 table to FOCUS columns, costs as text; `x_RawRow` is the line in the report.

    `name` is what messages call the table. Raises `DataError` when columns are missing without
    which a line cannot be placed.
    """
    schema = rows.collect_schema()
    missing = [column for column in _REQUIRED if column not in schema]
    if missing:
        raise DataError(
            f"{name}: has no {', '.join(missing)}; select these columns in the export's query"
        )
    lines = _Lines(schema)
    numbered = rows.with_row_index(GIVEN_ROW)
    charged = numbered.select(GIVEN_ROW, **lines.columns())
    unused = numbered.filter(lines.unused_cost() != 0).select(GIVEN_ROW, **lines.unused_columns())
    return pl.concat([charged, unused])


def json_object(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Write a MAP column as the text of a JSON object, without AWS's `user:` prefix on keys."""
    if dtype == pl.String:
        return column.map_batches(_without_user, pl.String(), is_elementwise=True)
    entry = pl.element().struct.json_encode().str.replace(_ENTRY, '"${1}":${2}')
    joined = entries(column, dtype).list.eval(entry).list.join(",")
    return pl.when(column.is_not_null()).then("{" + joined + "}")


def _without_user(texts: pl.Series) -> pl.Series:
    if not texts.str.contains(_USER, literal=True).any():
        return texts
    return texts.str.replace_all(_USER_PREFIX, '${1}"')


def entries(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Give a MAP column as a list of key and value pairs, however the file's schema spelled it."""
    return column if isinstance(dtype, pl.List) else column.map.entries()


def _entry(column: pl.Expr, dtype: pl.DataType, key: str) -> pl.Expr:
    """Look up one key of a MAP column, without writing all of it as text."""
    if dtype == pl.String:
        return column.str.json_path_match(f"$.{key}")
    pair = pl.element().struct
    found = pair.field("value").filter(pair.field("key") == key)
    return entries(column, dtype).list.eval(found).list.first()


class _Lines:
    """Expressions over the lines of one report; a column the export left out reads as null."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self._schema = schema
        self._type = pl.col(_LINE_TYPE)
        self._is_usage = self._type.is_in(_USAGE)
        self._is_negation = self._type == _NEGATION

    def columns(self) -> dict[str, pl.Expr]:
        """Give the FOCUS columns of a line's own charge."""
        hours = pl.when(self._is_usage).then(self._text("line_item_usage_amount"))
        unit = pl.when(self._is_usage).then(self._text("pricing_unit"))
        return {
            **self._identity(),
            **self._costs(),
            **self._commitment(),
            "ChargeCategory": self._type.replace_strict(_CATEGORIES, default="Adjustment"),
            "ChargeClass": pl.lit(None, pl.String),  # the report does not tell corrections apart
            "ChargeFrequency": self._frequency(),
            "PricingCategory": self._pricing_category(),
            "PricingQuantity": hours,
            "PricingUnit": unit,
            "ConsumedQuantity": hours,
            "ConsumedUnit": unit,
        }

    def unused_cost(self) -> pl.Expr:
        """Tell what a fee line's commitment cost without being used, as `Decimal(38, 18)`."""
        reservation = self._amount("reservation_unused_amortized_upfront_fee_for_billing_period")
        reservation += self._amount("reservation_unused_recurring_fee")
        plan = self._amount("savings_plan_total_commitment_to_date")
        plan -= self._amount("savings_plan_used_commitment")
        return (
            pl.when(self._type == "RIFee")
            .then(reservation)
            .when(self._type == "SavingsPlanRecurringFee")
            .then(plan)
            .otherwise(pl.lit(0, money.DTYPE))
        )

    def unused_columns(self) -> dict[str, pl.Expr]:
        """Give the FOCUS columns of the unused part of a commitment."""
        zero, nothing = pl.lit("0"), pl.lit(None, pl.String)
        return {
            **self.columns(),
            "BilledCost": zero,
            "EffectiveCost": self.unused_cost()
            .cast(pl.String)
            .str.strip_chars_end("0")
            .str.strip_chars_end("."),
            "ListCost": zero,
            "ContractedCost": zero,
            "ChargeCategory": pl.lit("Usage"),
            "ChargeFrequency": pl.lit("Usage-Based"),
            "PricingCategory": pl.lit("Committed"),
            "PricingQuantity": nothing,
            "PricingUnit": nothing,
            "CommitmentDiscountStatus": pl.lit("Unused"),
        }

    def _identity(self) -> dict[str, pl.Expr]:
        currency = pl.coalesce(self._text("line_item_currency_code"), pl.lit("USD"))
        code = self._text("line_item_product_code")
        service = pl.lit(None, pl.String)
        if "product" in self._schema:
            service = _entry(pl.col("product"), self._schema["product"], "product_name")
        usage_type = self._text("line_item_usage_type")
        tags = pl.lit(None, pl.String)
        if "resource_tags" in self._schema:
            tags = json_object(pl.col("resource_tags"), self._schema["resource_tags"])
        return {
            "BillingAccountId": self._text("bill_payer_account_id"),
            "BillingAccountName": self._text("bill_payer_account_name"),
            "BillingAccountType": pl.lit("Payer Account"),
            "SubAccountId": self._text("line_item_usage_account_id"),
            "SubAccountName": self._text("line_item_usage_account_name"),
            "SubAccountType": pl.lit("Account"),
            "BillingCurrency": currency,
            "PricingCurrency": currency,
            "BillingPeriodStart": self._raw("bill_billing_period_start_date"),
            "BillingPeriodEnd": self._raw("bill_billing_period_end_date"),
            "ChargePeriodStart": self._raw("line_item_usage_start_date"),
            "ChargePeriodEnd": self._raw("line_item_usage_end_date"),
            "ChargeDescription": self._text("line_item_line_item_description"),
            "InvoiceId": self._text("bill_invoice_id"),
            "InvoiceIssuerName": pl.coalesce(
                self._text("bill_invoicing_entity"), pl.lit("Amazon Web Services, Inc.")
            ),
            "ServiceProviderName": pl.lit("AWS"),
            "HostProviderName": pl.lit("AWS"),
            "ServiceName": pl.coalesce(service, self._text("product_product_name"), code),
            "ServiceCategory": _service_category(code, usage_type),
            "ServiceSubcategory": _service_subcategory(code, usage_type),
            "RegionId": self._text("product_region_code"),
            "AvailabilityZone": self._text("line_item_availability_zone"),
            "ResourceId": self._text("line_item_resource_id"),
            "SkuId": self._text("product_sku"),
            "SkuMeter": usage_type,
            "SkuPriceId": self._text("pricing_rate_id"),
            "Tags": tags,
            "x_CostSource": pl.lit("billed"),
            "x_LineItemType": self._type,
            "x_Operation": self._text("line_item_operation"),
            "x_ServiceCode": code,
            "x_UsageType": usage_type,
        }

    def _costs(self) -> dict[str, pl.Expr]:
        billed, zero = self._text(_UNBLENDED), pl.lit("0")
        public = pl.coalesce(self._text("pricing_public_on_demand_cost"), billed)
        is_commitment = self._type.is_in(_PURCHASES) & (
            (self._type != "Fee") | self._text(_RESERVATION).is_not_null()
        )
        effective = (
            pl.when(self._type == "DiscountedUsage")
            .then(self._text("reservation_effective_cost"))
            .when(self._type == "SavingsPlanCoveredUsage")
            .then(self._text("savings_plan_savings_plan_effective_cost"))
            .when(self._is_negation | is_commitment)
            .then(zero)
            .otherwise(billed)
        )
        # AWS does not bill reserved usage, so its unblended cost says nothing of a price.
        contracted = pl.when(self._type == "DiscountedUsage").then(public).otherwise(billed)
        return {
            "BilledCost": billed,
            "EffectiveCost": effective,
            "ListCost": pl.when(self._is_negation)
            .then(zero)
            .when(self._is_usage)
            .then(public)
            .otherwise(billed),
            "ContractedCost": pl.when(self._is_negation).then(zero).otherwise(contracted),
        }

    def _commitment(self) -> dict[str, pl.Expr]:
        reservation, plan = self._text(_RESERVATION), self._text(_PLAN)
        is_covered = self._type.is_in(_COVERED)
        by_kind = pl.when(reservation.is_not_null())
        used = (
            pl.when(self._type == "DiscountedUsage")
            .then(self._text("line_item_usage_amount"))
            .when(self._type == "SavingsPlanCoveredUsage")
            .then(self._text("savings_plan_savings_plan_effective_cost"))
        )
        has_plan = plan.is_not_null()
        return {
            "CommitmentDiscountId": pl.coalesce(reservation, plan),
            "CommitmentDiscountCategory": by_kind.then(pl.lit("Usage"))
            .when(has_plan)
            .then(pl.lit("Spend")),
            "CommitmentDiscountType": by_kind.then(pl.lit("Reserved Instance"))
            .when(has_plan)
            .then(pl.lit("Savings Plan")),
            "CommitmentDiscountStatus": pl.when(is_covered).then(pl.lit("Used")),
            "CommitmentDiscountQuantity": used,
            "CommitmentDiscountUnit": pl.when(self._type == "DiscountedUsage")
            .then(self._text("pricing_unit"))
            .when(self._type == "SavingsPlanCoveredUsage")
            .then(self._text("line_item_currency_code")),
        }

    def _frequency(self) -> pl.Expr:
        return (
            pl.when(self._is_usage | self._is_negation)
            .then(pl.lit("Usage-Based"))
            .when(self._type.is_in(_RECURRING))
            .then(pl.lit("Recurring"))
            .otherwise(pl.lit("One-Time"))
        )

    def _pricing_category(self) -> pl.Expr:
        is_spot = self._text("line_item_usage_type").str.contains("SpotUsage", literal=True)
        return (
            pl.when(self._type.is_in(_COVERED))
            .then(pl.lit("Committed"))
            .when(self._is_usage & is_spot.fill_null(value=False))
            .then(pl.lit("Dynamic"))
            .when(self._is_usage | self._type.is_in(_PURCHASES))
            .then(pl.lit("Standard"))
        )

    def _raw(self, name: str) -> pl.Expr:
        return pl.col(name) if name in self._schema else pl.lit(None, pl.String)

    def _text(self, name: str) -> pl.Expr:
        """Read a column as text, empty as null; a double is written as its shortest text."""
        text = self._raw(name).cast(pl.String)
        return pl.when(text != "").then(text)

    def _amount(self, name: str) -> pl.Expr:
        return self._text(name).cast(money.DTYPE, strict=False).fill_null(0)


def _service_category(code: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """Class a service by its product code; EC2's own code also covers disks and traffic."""
    is_ec2 = code == "AmazonEC2"
    return (
        pl.when(is_ec2 & usage_type.str.contains(r"EBS:"))
        .then(pl.lit("Storage"))
        .when(is_ec2 & usage_type.str.contains(r"DataTransfer|NatGateway|LoadBalancer"))
        .then(pl.lit("Networking"))
        .otherwise(code.replace_strict(_CATEGORY_OF_SERVICE, default="Other"))
    )


def _service_subcategory(code: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """Class a service more finely; what cannot be told is the category's Other."""
    is_ec2 = code == "AmazonEC2"
    other = pl.format("Other ({})", _service_category(code, usage_type))
    return (
        pl.when(is_ec2 & usage_type.str.contains(r"EBS:"))
        .then(pl.lit("Block Storage"))
        .when(is_ec2 & usage_type.str.contains(_INSTANCE))
        .then(pl.lit("Virtual Machines"))
        .otherwise(
            pl.coalesce(
                code.replace_strict(_SUBCATEGORY_OF_SERVICE, default=None, return_dtype=pl.String),
                other,
            )
        )
    )
