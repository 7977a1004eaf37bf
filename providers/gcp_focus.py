"""Google's FOCUS export (preview) made whole.

Its columns are FOCUS already and are kept as they are. What it lacks is filled in, and only where
it is missing: Tags, from labels and Resource Manager tags; ServiceCategory, from the service's id;
ChargeFrequency; who invoices; GPU facts, from the SKU and the machine's system labels.
"""

import polars as pl

from finops import money, regions
from providers import gcp_gpus, gcp_labels, gcp_services
from providers.gcp_detailed import readable_time

_GPU_COLUMNS = ("x_GpuModel", "x_GpuCount", "x_GpuMemoryGiB", "x_GpuHours", "x_GpuFraction")
_FREQUENCIES = {"Usage": "Usage-Based", "Purchase": "Recurring"}


def to_focus(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Fill in what the export lacks; every column that it has stays."""
    charges = _Charges(rows)
    # Finding the machine's type is dear, and every GPU fact looks at it: so it comes first.
    first = {**charges.export_time(), gcp_gpus.MACHINE_TYPE: charges.machine_type()}
    return rows.with_columns(**first).with_columns(
        **charges.filled(), **charges.gpus(), x_CostSource=charges.or_else("x_CostSource", "billed")
    )


class _Charges:
    """Expressions over one table; a column that it does not have reads as null."""

    def __init__(self, rows: pl.LazyFrame) -> None:
        self._schema = rows.collect_schema()

    def export_time(self) -> dict[str, pl.Expr]:
        """Write the time of the export readably; FOCUS does not know the column."""
        dtype = self._schema.get("x_ExportTime")
        return {"x_ExportTime": readable_time(pl.col("x_ExportTime"), dtype)} if dtype else {}

    def filled(self) -> dict[str, pl.Expr]:
        """Give the columns that Google leaves out."""
        service_id, service = self._text("x_ServiceId"), self._text("ServiceName")
        frequency = self._text("ChargeCategory").replace_strict(
            _FREQUENCIES, default="One-Time", return_dtype=pl.String
        )
        has_project = self._text("SubAccountId").is_not_null()
        type_of_resource = self._text("ResourceId").str.extract(r"^//.*/([a-zA-Z]+)/[^/]+$")
        return {
            "ServiceCategory": pl.coalesce(
                self._text("ServiceCategory"), gcp_services.category(service_id, service)
            ),
            "ServiceSubcategory": pl.coalesce(
                self._text("ServiceSubcategory"), gcp_services.subcategory(service_id, service)
            ),
            "ChargeFrequency": pl.coalesce(self._text("ChargeFrequency"), frequency),
            "InvoiceIssuerName": self.or_else("InvoiceIssuerName", "Google Cloud"),
            "BillingAccountType": self.or_else("BillingAccountType", "Billing Account"),
            "SubAccountType": pl.coalesce(
                self._text("SubAccountType"), pl.when(has_project).then(pl.lit("Project"))
            ),
            "RegionName": regions.column("gcp", self._text("RegionId"), self._text("RegionName")),
            "ResourceType": pl.coalesce(self._text("ResourceType"), type_of_resource),
            "Tags": pl.coalesce(
                self._text("Tags"),
                gcp_labels.tags(
                    self._text("x_ProjectLabels"), self._text("x_Labels"), self._text("x_Tags")
                ),
            ),
        }

    def machine_type(self) -> pl.Expr:
        """Give the type of the machine that the charge is for; a table may have it already."""
        found = gcp_labels.labelled(self._text("x_SystemLabels"), gcp_gpus.MACHINE_LABEL)
        return pl.coalesce(self._text(gcp_gpus.MACHINE_TYPE), found)

    def gpus(self) -> dict[str, pl.Expr]:
        """Give the GPU columns; a table that has some of its own keeps them."""
        found = gcp_gpus.columns(
            gcp_gpus.Sku(
                description=pl.coalesce(self._text("ChargeDescription"), self._text("SkuMeter")),
                is_usage=self._text("ChargeCategory") == "Usage",
                priced=self._amount("PricingQuantity"),
                pricing_unit=self._text("PricingUnit"),
                used=self._amount("ConsumedQuantity"),
                used_unit=self._text("ConsumedUnit"),
            )
        )
        has_own = any(name in self._schema for name in _GPU_COLUMNS)
        return {
            name: column
            for name, column in found.items()
            if name not in self._schema and not (has_own and name in _GPU_COLUMNS)
        }

    def or_else(self, name: str, value: str) -> pl.Expr:
        """Give a column, or `value` where it is missing."""
        return pl.coalesce(self._text(name), pl.lit(value))

    def _text(self, name: str) -> pl.Expr:
        if name not in self._schema:
            return pl.lit(None, pl.String)
        text = pl.col(name).cast(pl.String)
        return pl.when(text != "").then(text)

    def _amount(self, name: str) -> pl.Expr:
        return self._text(name).cast(money.DTYPE, strict=False)
