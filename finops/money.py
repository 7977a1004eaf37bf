"""Money: exact decimals with 18 places, and splits whose parts equal the whole.

In Python money is `Decimal`; in Polars it is `Decimal(38, 18)`; in the ledger it is an
integer count of 10⁻¹⁸ of the currency (an *atom*). Binary floats never hold money.
"""

import decimal
import functools
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import polars as pl

PRECISION = 38
SCALE = 18
DTYPE = pl.Decimal(PRECISION, SCALE)
QUANTUM = Decimal(1).scaleb(-SCALE)

# Python's default context has 28 digits and rounds silently beyond them. This sets it for the
# importing thread and, through DefaultContext, for every thread that starts later.
CONTEXT = decimal.Context(prec=PRECISION, rounding=decimal.ROUND_HALF_EVEN)
decimal.DefaultContext.prec = PRECISION
decimal.setcontext(CONTEXT.copy())


def atoms(amount: Decimal) -> int:
    """Count the 10⁻¹⁸ units in `amount`; raises `ValueError` when it holds a smaller part."""
    numerator, denominator = amount.as_integer_ratio()
    count, rest = divmod(numerator * 10**SCALE, denominator)
    if rest:
        raise ValueError(f"{amount} has more than {SCALE} decimals")
    return int(count)


def amount(count: int) -> Decimal:
    """Turn a count of 10⁻¹⁸ units back into a `Decimal`."""
    return Decimal(count).scaleb(-SCALE, CONTEXT)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Add up to 38 digits, whatever the context of the thread that asks."""
    return functools.reduce(CONTEXT.add, amounts, Decimal(0))


def text(value: Decimal) -> str:
    """Write `value` plainly: no exponent, no trailing zeros, `0` for any zero."""
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in {"-0", ""} else plain


def by_currency(amounts: Mapping[str, Decimal]) -> str:
    """Write amounts in a sentence: `12.5 EUR, 3 USD`."""
    return ", ".join(f"{text(amount)} {currency}" for currency, amount in sorted(amounts.items()))


def split(whole: Decimal, shares: Sequence[int]) -> list[Decimal]:
    """Split `whole` in proportion to integer `shares`, by largest remainder at 10⁻¹⁸.

    The parts add up to `whole` exactly, also for negative amounts and zero. Among equal
    remainders the earlier share gets the extra unit, so the result does not depend on
    anything but the order of `shares`. Raises `ValueError` when no share is positive.
    """
    total = sum(shares)
    if total <= 0 or any(share < 0 for share in shares):
        raise ValueError("shares must be non-negative and at least one must be positive")
    count = atoms(whole)
    sign, magnitude = (-1, -count) if count < 0 else (1, count)
    floors = [magnitude * share // total for share in shares]
    remainders = [magnitude * share % total for share in shares]
    left_over = magnitude - sum(floors)
    favoured = sorted(range(len(shares)), key=lambda i: (-remainders[i], i))[:left_over]
    parts = [floor + (i in favoured) for i, floor in enumerate(floors)]
    assert sum(parts) == magnitude, "parts must equal the whole"
    return [amount(sign * part) for part in parts]


def to_atoms(column: pl.Expr) -> pl.Expr:
    """Read a money column as its integer count of 10⁻¹⁸ (Int128)."""
    return column.to_physical()


def from_atoms(column: pl.Expr) -> pl.Expr:
    """Turn an Int128 count of 10⁻¹⁸ into a money column; exact, since Polars multiplies in 256 bits."""
    return (column.cast(pl.Decimal(PRECISION, 0)) * pl.lit(QUANTUM, DTYPE)).cast(DTYPE)


def total(frame: pl.DataFrame, column: str) -> Decimal:
    """Add up a money column; the sum of no rows is zero."""
    value = frame.get_column(column).sum()
    return Decimal(0) if value is None else Decimal(value)
