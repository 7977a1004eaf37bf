"""Figures: rounded for reading, never to something that misleads."""

from decimal import Decimal

import pytest

from reports import figures

M = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.00"),
        ("0E-18", "0.00"),
        ("1234567.895", "1,234,567.90"),
        ("1234567.885", "1,234,567.88"),
        ("-1234.5", f"{M}1,234.50"),
        ("0.004", "< 0.01"),
        ("-0.004", f"> {M}0.01"),
        ("12345678901234567890.125", "12,345,678,901,234,567,890.12"),
    ],
)
def test_amounts(value: str, text: str) -> None:
    assert figures.amount(Decimal(value)) == text


@pytest.mark.parametrize(("value", "text"), [("2", "+2.00"), ("-2", f"{M}2.00"), ("0", "0.00")])
def test_changes_carry_their_sign(value: str, text: str) -> None:
    assert figures.change(Decimal(value)) == text


@pytest.mark.parametrize(("value", "text"), [("2092.84", "2,092.8"), ("-1", f"{M}1.0")])
def test_hours(value: str, text: str) -> None:
    assert figures.hours(Decimal(value)) == text


def test_shares_are_percentages() -> None:
    assert figures.share(Decimal("0.9747")) == "97.47 %"
    assert figures.percent(Decimal(-10)) == f"{M}10.00 %"


@pytest.mark.parametrize(
    ("after", "before", "text"),
    [
        ("127", "100", "+27 %"),
        ("50", "100", f"{M}50 %"),
        ("100", "100", "0 %"),
        ("5", "0", "new"),
        ("5", "-1", ""),
        ("0", "0", ""),
    ],
)
def test_relative_change(after: str, before: str, text: str) -> None:
    assert figures.relative(Decimal(after), Decimal(before)) == text
