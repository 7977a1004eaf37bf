"""How amounts, shares and prices are written for people. The exact value goes beside them."""

import decimal
from decimal import Decimal

from finops import money

CENT = Decimal("0.01")
TENTH = Decimal("0.1")
_MINUS = "\N{MINUS SIGN}"


def amount(value: Decimal) -> str:
    """Write two decimals and thousands separators: `1,234.50`; what rounds to nothing, `< 0.01`."""
    rounded = _rounded(value, CENT)
    if rounded == 0 and value != 0:
        return "< 0.01" if value > 0 else f"> {_MINUS}0.01"
    return _signed(rounded, f"{abs(rounded):,.2f}")


def change(value: Decimal) -> str:
    """Write an amount with its sign, also when it is positive: `+1,234.50`."""
    return f"+{amount(value)}" if value > 0 else amount(value)


def hours(value: Decimal) -> str:
    """Write one decimal and thousands separators: `2,092.8`."""
    rounded = _rounded(value, TENTH)
    return _signed(rounded, f"{abs(rounded):,.1f}")


def percent(value: Decimal) -> str:
    """Write a percentage with two decimals: `97.47 %`."""
    rounded = _rounded(value, CENT)
    return f"{_signed(rounded, str(abs(rounded)))} %"


def share(value: Decimal) -> str:
    """Write a share of one as a percentage."""
    return percent(value * 100)


def relative(after: Decimal, before: Decimal) -> str:
    """Say how much `after` differs from `before`: `+27 %`, or `new` without a before.

    Of a credit there is no part to tell.
    """
    if before <= 0:
        return "new" if before == 0 < after else ""
    part = money.CONTEXT.divide(money.CONTEXT.subtract(after, before), before) * 100
    whole = _rounded(part, Decimal(1))
    return f"+{whole} %" if whole > 0 else f"{_signed(whole, str(abs(whole)))} %"


def _rounded(value: Decimal, quantum: Decimal) -> Decimal:
    return value.quantize(quantum, rounding=decimal.ROUND_HALF_EVEN, context=money.CONTEXT)


def _signed(value: Decimal, digits: str) -> str:
    return f"{_MINUS}{digits}" if value < 0 else digits
