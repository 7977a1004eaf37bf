"""Rate cards: which price holds when, and what is wrong with a card, line by line."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import rate_card
from finops.errors import ConfigError
from finops.rate_card import RateCard, unit_key

HEADER = "sku_id,unit,price,currency,list_price,plan,valid_from,valid_to\n"
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def card(lines: str, header: str = HEADER) -> RateCard:
    return rate_card.parse((header + lines).encode(), "rates.csv")


def complaints(content: str | bytes) -> list[str]:
    raw = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(ConfigError) as caught:
        rate_card.parse(raw, "rates.csv")
    return str(caught.value).splitlines()


def test_a_price_with_everything_it_may_have() -> None:
    found = card("h100,Instance-Hour,29.5,USD,49.24,,2026-01-01,2027-01-01\n")
    rate = found.rate("h100", "instance hours", None, NOON)
    assert rate is not None
    assert rate.cost(Decimal("1.5")) == Decimal("44.25")
    assert rate.list_cost(Decimal(2)) == Decimal("98.48")
    assert (found.currency, found.has_plans) == ("USD", False)
    assert found.units("h100") == ("Instance-Hour",)
    assert found.units("h200") == ()


def test_optional_columns_may_be_absent() -> None:
    found = card("h100,Instance-Hour,29.5,EUR\n", "sku_id,unit,price,currency\n")
    rate = found.rate("h100", "Instance-Hour", "reserved", NOON)
    assert rate is not None
    assert rate.list_cost(Decimal(2)) is None


def test_the_first_day_gone_is_the_first_day_of_the_next_price() -> None:
    found = card(
        "h100,Hour,30,USD,,,,2026-10-01\nh100,Hour,29,USD,,,2026-10-01,2026-10-02\n"
        "h100,Hour,28,USD,,,2026-10-03,\n"
    )

    def price(day: int) -> Decimal | None:
        rate = found.rate("h100", "Hour", None, datetime(2026, 10, day, 23, 59, tzinfo=UTC))
        return rate.price if rate else None

    september = found.rate("h100", "Hour", None, datetime(2026, 9, 30, 23, tzinfo=UTC))
    assert september is not None
    assert september.price == 30
    assert [price(1), price(2), price(3), price(30)] == [29, None, 28, 28]


def test_a_plan_of_its_own_price_wins_over_the_price_of_every_plan() -> None:
    found = card("h100,Hour,49,USD,,,,\nh100,Hour,29,USD,,reserved,,\n")
    prices = [found.rate("h100", "Hour", plan, NOON) for plan in ("reserved", "spot", None)]
    assert [rate.price for rate in prices if rate] == [29, 49, 49]
    assert found.has_plans


def test_what_has_no_price_has_none() -> None:
    found = card("h100,Hour,49,USD,,,,\n")
    assert found.rate("h200", "Hour", None, NOON) is None
    assert found.rate("h100", "GiB-Hour", None, NOON) is None


def test_a_card_in_two_currencies_has_no_currency() -> None:
    assert card("a,Hour,1,USD,,,,\nb,Hour,1,EUR,,,,\n").currency is None


@pytest.mark.parametrize("unit", ["GPU-Hour", "gpu hours", "GPU_HOURS", " Gpu-Hour "])
def test_spellings_of_a_unit(unit: str) -> None:
    assert unit_key(unit) == "gpu hour"


@given(
    st.decimals(0, 10**6, places=9, allow_nan=False),
    st.decimals(0, 10**4, places=9, allow_nan=False),
)
def test_a_cost_is_the_exact_product(quantity: Decimal, price: Decimal) -> None:
    rate = card(f"h100,Hour,{price:f},USD,,,,\n").rate("h100", "Hour", None, NOON)
    assert rate is not None
    numerator, denominator = rate.cost(quantity).as_integer_ratio()
    assert quantity.as_integer_ratio()[0] * price.as_integer_ratio()[0] * denominator == (
        numerator * quantity.as_integer_ratio()[1] * price.as_integer_ratio()[1]
    )


def test_every_mistake_is_named_with_its_line() -> None:
    found = complaints(
        HEADER + "h100,Hour,free,USD,,,,\n"
        "\n"
        ",Hour,1,usd,,,,\n"
        "h200,Hour,-1,USD,,,2026-10-01,2026-09-01\n"
    )
    assert [line.partition(";")[0] for line in found] == [
        "rates.csv: line 2.price: input should be a valid decimal, not 'free'",
        "rates.csv: line 4.sku_id: is missing",
        "rates.csv: line 4.currency: string should match pattern '^[A-Z]{3}$', not 'usd'",
        "rates.csv: line 5.price: input should be greater than or equal to 0, not '-1'",
    ]


def test_validity_that_ends_before_it_begins() -> None:
    (found,) = complaints(HEADER + "h200,Hour,1,USD,,,2026-10-01,2026-10-01\n")
    assert found == "rates.csv: line 2: valid_to is the first day without this price: put it later"


def test_prices_that_hold_at_the_same_time_are_refused() -> None:
    (found,) = complaints(
        HEADER + "h100,Hour,30,USD,,,2026-10-01,\nh100,HOURS,29,USD,,,2026-01-01,2026-10-02\n"
        "h100,Hour,28,USD,,spot,,\n"
    )
    assert found.startswith("rates.csv: line 2: prices h100 per Hour on days that line 3 prices")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: has no column 'sku_id'; add it"),
        ("sku_id;unit;price;currency\n", "unknown column 'sku_id;unit;price;currency'"),
        ("sku_id,unit,prize,currency\n", "unknown column 'prize'; did you mean 'price'?"),
        ("sku_id,unit,price,price,currency\n", "has the column 'price' twice"),
        (HEADER + "h100,Hour,1\n", "line 2: has 3 cells but the header has 8"),
        (HEADER + '"h100,Hour,1,USD\n', "line 2: is no CSV"),
        (HEADER.encode("utf-16"), "is no UTF-8 text"),
    ],
)
def test_files_that_are_no_rate_card(content: str | bytes, said: str) -> None:
    assert any(said in line for line in complaints(content))


def test_a_byte_order_mark_is_no_part_of_the_header() -> None:
    found = card("h100,Hour,1,USD,,,,\n", "\ufeff" + HEADER)
    assert found.rate("h100", "Hour", None, datetime.combine(date.max, NOON.timetz())) is not None
