"""Google's detailed export as FOCUS rows.

Every row of the export is one charge. BilledCost is `cost` and all its credits; summed over an
invoice month, with taxes, adjustments and rounding, it is the invoice. EffectiveCost is the same:
Google puts committed use discounts into the credits of the usage they cover (resource-based and
older spend-based ones), or into its price and the fee's own credits (spend-based since July 2025),
so nothing is left to spread. What a commitment paid for in vain stays with its fee.

Corrections are rows of their own. Google's invoice month changes at midnight Pacific time: the
first hours of a UTC month are billed in the month before.
"""

import polars as pl

from finops import money, regions
from providers import gcp_costs, gcp_gpus, gcp_labels, gcp_services

_RESOURCE_BASED = '"COMMITTED_USAGE_DISCOUNT"'
_SPEND_BASED = '"COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE"'
_FEE_OFFSET = '"FEE_UTILIZATION_OFFSET"'
_FEE = r"(?i)^commitment\b"
_SPOT = r"(?i)\b(?:spot|preemptible)\b"
_DEFAULT_MODEL = "Default"
_BILLED = "~billed"
_PRICE_TOLERANCE = 1e-6

_CATEGORIES = {"regular": "Usage", "tax": "Tax"}
"""What other cost types there are (adjustment, rounding_error) are Adjustments."""

_USED = (
    "billing_account_id",
    "consumption_model_description",
    "cost",
    "cost_at_list",
    "cost_type",
    "credits",
    "currency",
    "invoice_month",
    "labels",
    "location_region",
    "location_zone",
    "project_id",
    "project_labels",
    "project_name",
    "resource_global_name",
    "resource_name",
    "service_description",
    "sku_description",
    "sku_id",
    "tags",
    "usage_amount",
    "usage_amount_in_pricing_units",
    "usage_end_time",
    "usage_pricing_unit",
    "usage_start_time",
    "usage_unit",
)
_ALSO_KEPT = ("consumption_model_description", "cost_type", "credits")
"""Columns that are used and are kept as they came, too."""


def to_focus(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Map flat rows of the detailed export to FOCUS columns; every other column stays, as `x_…`."""
    charges = _Charges(rows)
    names = rows.collect_schema().names()
    extra = [name for name in names if name not in _USED or name in _ALSO_KEPT]
    # Dear to find, and looked at by several columns: so they come first.
    found = [charges.machine_type().alias(gcp_gpus.MACHINE_TYPE), charges.billed().alias(_BILLED)]
    return rows.with_columns(found).select(
        **charges.columns(),
        **{_extension(name): charges.as_it_came(name) for name in extra},
    )


def _extension(name: str) -> str:
    """Name a column of Google's in the house's way: `sku_id` is `x_SkuId`."""
    return "x_" + "".join(part[:1].upper() + part[1:] for part in name.split("_"))


class _Charges:
    """Expressions over one table; a column that it does not have reads as null."""

    def __init__(self, rows: pl.LazyFrame) -> None:
        self._schema = rows.collect_schema()
        self._description = self._text("sku_description")
        self._cost_type = pl.coalesce(self._text("cost_type"), pl.lit("regular"))
        self._credits = self._text("credits")
        self._is_fee = (self._cost_type == "regular") & self._description.str.contains(
            _FEE
        ).fill_null(value=False)
        self._is_usage = (self._cost_type == "regular") & self._is_fee.not_()

    def columns(self) -> dict[str, pl.Expr]:
        """Give the FOCUS columns and ours."""
        return {
            **self._costs(),
            **self._identity(),
            **self._kind_of_charge(),
            **self._commitment(),
            **self._quantities(),
            **self._gpus(),
        }

    def as_it_came(self, name: str) -> pl.Expr:
        """Give a column that FOCUS does not know as it came, times readably."""
        if name == "export_time":
            return readable_time(self._raw(name), self._schema.get(name))
        return self._raw(name)

    def _costs(self) -> dict[str, pl.Expr]:
        """Give amounts as text: what is finer than 18 decimals, or no amount, is told of later."""
        cost, list_cost = self._text("cost"), self._text("cost_at_list")
        billed = pl.col(_BILLED)
        contracted = pl.coalesce(self._text("cost_at_effective_price_default"), cost)
        return {
            "BilledCost": billed,
            "EffectiveCost": billed,
            "ListCost": pl.when(self._is_usage)
            .then(list_cost)
            .otherwise(pl.coalesce(list_cost, billed)),
            "ContractedCost": pl.when(self._is_usage).then(contracted).otherwise(billed),
            "PricingCurrencyEffectiveCost": billed,
        }

    def billed(self) -> pl.Expr:
        """Give what is billed, as text: the cost and all its credits."""
        return gcp_costs.billed(self._text("cost"), self._credits)

    def _identity(self) -> dict[str, pl.Expr]:
        service_id, service = self._text("service_id"), self._text("service_description")
        first = pl.concat_str(self._text("invoice_month"), pl.lit("01")).str.to_datetime(
            "%Y%m%d", time_unit="us", time_zone="UTC", strict=False
        )
        resource = pl.coalesce(self._text("resource_global_name"), self._text("resource_name"))
        account, currency = self._text("billing_account_id"), self._text("currency")
        return {
            "BillingAccountId": account,
            "BillingAccountType": pl.lit("Billing Account"),
            "BillingCurrency": currency,
            "PricingCurrency": currency,
            "BillingPeriodStart": first,
            "BillingPeriodEnd": first.dt.offset_by("1mo"),
            "ChargePeriodStart": self._raw("usage_start_time"),
            "ChargePeriodEnd": self._raw("usage_end_time"),
            "InvoiceIssuerName": pl.lit("Google Cloud"),
            "ServiceProviderName": pl.lit("Google Cloud"),
            "HostProviderName": pl.lit("Google Cloud"),
            "ServiceName": service,
            "ServiceCategory": gcp_services.category(service_id, service),
            "ServiceSubcategory": gcp_services.subcategory(service_id, service),
            "SubAccountId": self._text("project_id"),
            "SubAccountName": self._text("project_name"),
            "SubAccountType": pl.when(self._text("project_id").is_not_null()).then(
                pl.lit("Project")
            ),
            "RegionId": self._text("location_region"),
            "RegionName": regions.column("gcp", self._text("location_region")),
            "AvailabilityZone": self._text("location_zone"),
            "ResourceId": resource,
            "ResourceName": pl.coalesce(self._text("resource_name"), resource),
            "ResourceType": self._text("resource_global_name").str.extract(r"/([a-zA-Z]+)/[^/]+$"),
            "SkuId": self._text("sku_id"),
            "SkuMeter": self._description,
            "Tags": gcp_labels.tags(
                self._text("project_labels"), self._text("labels"), self._text("tags")
            ),
            "x_CostSource": pl.lit("billed"),
        }

    def _kind_of_charge(self) -> dict[str, pl.Expr]:
        category = (
            pl.when(self._is_fee)
            .then(pl.lit("Purchase"))
            .otherwise(self._cost_type.replace_strict(_CATEGORIES, default="Adjustment"))
        )
        is_late = (self._cost_type == "adjustment") & (
            self._month_of_use() < self._text("invoice_month").cast(pl.Int32, strict=False)
        )
        return {
            "ChargeCategory": category,
            "ChargeClass": pl.when(is_late).then(pl.lit("Correction")),
            "ChargeDescription": self._description,
            "ChargeFrequency": pl.when(self._is_usage)
            .then(pl.lit("Usage-Based"))
            .when(self._is_fee)
            .then(pl.lit("Recurring"))
            .otherwise(pl.lit("One-Time")),
            "PricingCategory": pl.when(self._is_usage & self._is_committed())
            .then(pl.lit("Committed"))
            .when(self._is_usage & self._description.str.contains(_SPOT).fill_null(value=False))
            .then(pl.lit("Dynamic"))
            .when(self._is_usage | self._is_fee)
            .then(pl.lit("Standard")),
        }

    def _month_of_use(self) -> pl.Expr:
        """Give the month of use as a number, such as 202610."""
        start = self._raw("usage_start_time")
        if self._schema["usage_start_time"].is_temporal():
            return start.dt.year() * 100 + start.dt.month()
        return start.str.slice(0, 7).str.replace("-", "", literal=True).cast(pl.Int32, strict=False)

    def _commitment(self) -> dict[str, pl.Expr]:
        """Name the commitment of usage that one covers, and of the fees for one."""
        is_resource_based = self._has_credit(_RESOURCE_BASED)
        model = pl.when(self._has_model()).then(self._text("consumption_model_id"))
        commitment = pl.coalesce(self._text("subscription_instance_id"), model)
        concerned = self._is_committed() | self._is_fee
        is_named = concerned & commitment.is_not_null()
        kind = pl.when(is_resource_based).then(pl.lit("Usage")).otherwise(pl.lit("Spend"))
        return {
            "CommitmentDiscountId": pl.when(is_named).then(commitment),
            "CommitmentDiscountName": pl.when(is_named).then(
                self._text("consumption_model_description")
            ),
            "CommitmentDiscountCategory": pl.when(is_named).then(kind),
            "CommitmentDiscountType": pl.when(is_named).then(pl.lit("Committed Use Discount")),
            "CommitmentDiscountStatus": pl.when(is_named & self._is_usage).then(pl.lit("Used")),
        }

    def _is_committed(self) -> pl.Expr:
        credited = (_RESOURCE_BASED, _SPEND_BASED, _FEE_OFFSET)
        return pl.any_horizontal(self._has_model(), *(self._has_credit(kind) for kind in credited))

    def _has_model(self) -> pl.Expr:
        """Tell whether a commitment's price applied: every SKU has a model named Default, too."""
        model = self._text("consumption_model_description")
        return (model != _DEFAULT_MODEL).fill_null(value=False)

    def _has_credit(self, kind: str) -> pl.Expr:
        return self._credits.str.contains(kind, literal=True).fill_null(value=False)

    def _quantities(self) -> dict[str, pl.Expr]:
        priced = self._amount("usage_amount_in_pricing_units")
        contracted = pl.coalesce(
            self._amount("price_effective_price_default"), self._amount("price_effective_price")
        )
        return {
            "PricingQuantity": self._text("usage_amount_in_pricing_units"),
            "PricingUnit": self._text("usage_pricing_unit"),
            "ConsumedQuantity": pl.when(self._is_usage).then(self._text("usage_amount")),
            "ConsumedUnit": pl.when(self._is_usage).then(self._text("usage_unit")),
            "ListUnitPrice": self._explaining(
                self._amount("price_list_price"), priced, self._amount("cost_at_list")
            ),
            "ContractedUnitPrice": self._explaining(
                contracted,
                priced,
                pl.coalesce(self._amount("cost_at_effective_price_default"), self._amount("cost")),
            ),
        }

    def _explaining(self, price: pl.Expr, quantity: pl.Expr, cost: pl.Expr) -> pl.Expr:
        """Take a price only where it explains the cost: not so with tiers, or prices per thousand."""
        expected = price.cast(pl.Float64) * quantity.cast(pl.Float64)
        allowed = cost.cast(pl.Float64).abs() * _PRICE_TOLERANCE
        off = (expected - cost.cast(pl.Float64)).abs()
        return pl.when(self._is_usage & (off <= allowed)).then(price)

    def machine_type(self) -> pl.Expr:
        """Give the type of the machine that the charge is for, such as `a3-highgpu-8g`."""
        return gcp_labels.labelled(self._text("system_labels"), gcp_gpus.MACHINE_LABEL)

    def _gpus(self) -> dict[str, pl.Expr]:
        return gcp_gpus.columns(
            gcp_gpus.Sku(
                description=self._description,
                is_usage=self._is_usage,
                priced=self._amount("usage_amount_in_pricing_units"),
                pricing_unit=self._text("usage_pricing_unit"),
                used=self._amount("usage_amount"),
                used_unit=self._text("usage_unit"),
            )
        )

    def _raw(self, name: str) -> pl.Expr:
        return pl.col(name) if name in self._schema else pl.lit(None, pl.String)

    def _text(self, name: str) -> pl.Expr:
        """Read a column as text, empty as null; a double is written as its shortest text."""
        text = self._raw(name).cast(pl.String)
        return pl.when(text != "").then(text)

    def _amount(self, name: str) -> pl.Expr:
        return self._text(name).cast(money.DTYPE, strict=False)


def readable_time(column: pl.Expr, dtype: pl.DataType | None) -> pl.Expr:
    """Write a time as text, for a column that FOCUS does not know."""
    is_time = dtype is not None and dtype.is_temporal()
    return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ") if is_time else column.cast(pl.String)
