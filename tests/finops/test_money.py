from decimal import Decimal, localcontext

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from finops import money

AMOUNTS = st.integers(-(10**33), 10**33).map(money.amount)
SHARES = st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any)


@given(AMOUNTS, SHARES)
def test_parts_equal_the_whole(whole: Decimal, shares: list[int]) -> None:
    parts = money.split(whole, shares)
    assert sum(map(money.atoms, parts)) == money.atoms(whole)
    assert all(part * whole >= 0 for part in parts)


@given(AMOUNTS, SHARES)
def test_no_part_is_an_atom_away_from_its_share(whole: Decimal, shares: list[int]) -> None:
    for part, share in zip(money.split(whole, shares), shares, strict=True):
        exact = money.atoms(whole) * share
        assert abs(money.atoms(part) * sum(shares) - exact) < sum(shares)


@given(AMOUNTS, SHARES)
def test_a_credit_is_split_like_a_charge(whole: Decimal, shares: list[int]) -> None:
    assert money.split(whole.copy_negate(), shares) == [
        part.copy_negate() for part in money.split(whole, shares)
    ]


def test_the_earlier_of_equal_shares_gets_the_odd_atom() -> None:
    parts = money.split(Decimal("1e-18"), [1, 1, 1])
    assert parts == [Decimal("1e-18"), Decimal(0), Decimal(0)]


@pytest.mark.parametrize("shares", [[], [0], [0, 0], [2, -1], [-1]])
def test_shares_that_share_nothing_are_refused(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one must be positive"):
        money.split(Decimal(1), shares)


@pytest.mark.parametrize("amount", ["1e-19", "0.1234567890123456789", "-5e-19"])
def test_an_amount_finer_than_an_atom_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="more than 18 decimals"):
        money.atoms(Decimal(amount))


def test_no_digit_is_lost_beyond_38() -> None:
    with pytest.raises(ValueError, match="more than 18 decimals"):
        money.atoms(Decimal("123456789012345678901.1234567890123456789"))


@given(st.integers(-(10**37), 10**37))
def test_atoms_and_amounts_are_one_to_one(count: int) -> None:
    assert money.atoms(money.amount(count)) == count


@given(st.integers(-(10**37), 10**37))
def test_python_s_own_context_does_not_matter(count: int) -> None:
    with localcontext(prec=3):
        assert money.atoms(money.amount(count)) == count


@given(st.integers(-(10**37), 10**37))
def test_polars_counts_the_same_atoms(count: int) -> None:
    frame = pl.DataFrame({"m": [money.amount(count)]}, schema={"m": money.DTYPE})
    counted = frame.select(money.to_atoms(pl.col("m")))
    assert counted.item() == count
    assert counted.select(money.from_atoms(pl.col("m"))).item() == money.amount(count)


@given(st.integers(-(10**37), 10**37).map(money.amount))
def test_text_says_the_same_number_plainly(value: Decimal) -> None:
    text = money.text(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert not (text.endswith("0") and "." in text)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("-0.000", "0"), ("0E-18", "0"), ("1E+3", "1000"), ("-1.50", "-1.5")],
)
def test_text(value: str, text: str) -> None:
    assert money.text(Decimal(value)) == text


@given(st.lists(AMOUNTS, max_size=20))
def test_total_is_exact(amounts: list[Decimal]) -> None:
    assume(abs(sum(map(money.atoms, amounts))) < 10**37)
    frame = pl.DataFrame({"cost": amounts}, schema={"cost": money.DTYPE})
    assert money.atoms(money.total(frame, "cost")) == sum(map(money.atoms, amounts))
