"""One line of a bill, and what the demo's author knows about it.

The bills are read by the real providers and attributed by the real rules. What is noted here
beside a line is the expected answer, for the figures in the README: a second way to the same sums.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from northlight import month

Cells = dict[str, object]

SPLIT = "split:"
"""Begins the owner of a shared line: `split:orion`."""

_QUANTA = {"AWS": Decimal("1e-10"), "Microsoft": Decimal("1e-14")}
"""How many decimals each provider delivers; what is written by hand has six."""
_HAND_QUANTUM = Decimal("1e-6")
_NO_CATEGORY = "Usages"
"""A slip of the hand that the demo makes on purpose."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of one instance."""

    model: str
    count: int


@dataclass(frozen=True, slots=True)
class Line:
    """Cells as the provider names them; `owner` is a cost center, a split or, unallocated, None."""

    cells: Cells
    owner: str | None
    provider: str
    currency: str
    billed: Decimal
    effective: Decimal
    gpu_model: str | None = None
    gpu_hours: Decimal = Decimal(0)
    is_quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit costs: on the list, by contract, as it is billed, and as it is amortized."""

    listed: Decimal
    contracted: Decimal
    billed: Decimal
    effective: Decimal

    @classmethod
    def of(cls, amount: str, contracted: str | None = None) -> "Price":
        """Make the price of usage that is billed as it is agreed."""
        agreed = Decimal(contracted or amount)
        return cls(Decimal(amount), agreed, agreed, agreed)

    @classmethod
    def covered(cls, amount: str, effective: str) -> "Price":
        """Make the price of usage that a commitment has paid for."""
        return cls(Decimal(amount), Decimal(amount), Decimal(0), Decimal(effective))

    @classmethod
    def purchase(cls, amount: str) -> "Price":
        """Make the price of a commitment: billed here, effective where it is used."""
        return cls(Decimal(amount), Decimal(amount), Decimal(amount), Decimal(0))

    @classmethod
    def unused(cls, amount: str) -> "Price":
        """Make the price of commitment that nothing used."""
        return cls(Decimal(0), Decimal(0), Decimal(0), Decimal(amount))


def costs(provider: str, price: Price, quantity: Decimal) -> Cells:
    """Multiply, and round to the decimals that the provider delivers."""
    quantum = _QUANTA.get(provider, _HAND_QUANTUM)
    prices = {
        "BilledCost": price.billed,
        "ContractedCost": price.contracted,
        "EffectiveCost": price.effective,
        "ListCost": price.listed,
    }
    return {name: (unit * quantity).quantize(quantum) for name, unit in prices.items()}


def quantities(price: Price, quantity: Decimal, unit: str) -> Cells:
    """Give how much was used and priced, at which prices."""
    return {
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ListUnitPrice": price.listed,
        "ContractedUnitPrice": price.contracted,
    }


def in_pricing_currency(cells: Cells) -> Cells:
    """Give the columns of the pricing currency, which is the one that is billed."""
    return {
        "PricingCurrency": cells["BillingCurrency"],
        "PricingCurrencyContractedUnitPrice": cells.get("ContractedUnitPrice"),
        "PricingCurrencyEffectiveCost": cells["EffectiveCost"],
        "PricingCurrencyListUnitPrice": cells.get("ListUnitPrice"),
    }


def charge_period(start: datetime, end: datetime) -> Cells:
    """Give the charge period and the month it is billed in."""
    return {
        "BillingPeriodStart": month.START,
        "BillingPeriodEnd": month.END,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
    }


def gpu_columns(gpus: Gpus | None, hours: Decimal) -> Cells:
    """Give the `x_Gpu…` columns of a bill whose author knows the machines."""
    if gpus is None:
        return {"x_GpuModel": None, "x_GpuCount": None, "x_GpuHours": None}
    return {
        "x_GpuModel": gpus.model,
        "x_GpuCount": gpus.count,
        "x_GpuHours": hours * gpus.count,
    }


def focus_line(cells: Cells, owner: str | None, gpus: Gpus | None = None) -> Line:
    """Make a line of a FOCUS bill; with `gpus`, its quantity is in instance hours."""
    currency = str(cells["BillingCurrency"])
    is_quarantined = not currency.isalpha() or cells["ChargeCategory"] == _NO_CATEGORY
    return Line(
        cells=cells,
        owner=None if is_quarantined else owner,
        provider=str(cells["ProviderName"]),
        currency=currency,
        billed=_decimal(cells, "BilledCost"),
        effective=_decimal(cells, "EffectiveCost"),
        gpu_model=gpus.model if gpus else None,
        gpu_hours=_decimal(cells, "ConsumedQuantity") * gpus.count if gpus else Decimal(0),
        is_quarantined=is_quarantined,
    )


def _decimal(cells: Cells, name: str) -> Decimal:
    value = cells[name]
    assert isinstance(value, Decimal), f"{name} must be a decimal, not {value!r}"
    return value
