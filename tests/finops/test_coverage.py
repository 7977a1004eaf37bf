"""Coverage: billed = allocated + unallocated + quarantined, per currency and provider."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import money
from finops.coverage import UNKNOWN_PROVIDER, Share, coverage
from tests.reports.company import entry, ledger, quarantine

AMOUNT = st.decimals("-99999", "99999", places=18).map(money.text)
CENTER = st.sampled_from([None, "research", "web"])
PROVIDER = st.sampled_from([None, "AWS", "RunPod"])
CURRENCY = st.sampled_from(["USD", "EUR"])
ROWS = st.lists(st.tuples(AMOUNT, CENTER, PROVIDER, CURRENCY), max_size=12)


def test_nothing_billed_has_no_coverage() -> None:
    assert coverage(ledger([]), quarantine()) == []


def test_numbers_are_decimal_text_under_fixed_names() -> None:
    rows = [
        entry("70.10", cost_center="web"),
        entry("19.90", service_provider="RunPod"),
        entry("8", service_provider="Microsoft", currency="EUR", cost_center="web"),
    ]
    euro, dollar = coverage(ledger(rows), quarantine(("RunPod", "USD", "10")))

    assert dollar.as_json() == {
        "currency": "USD",
        "billed": "100",
        "allocated": "70.1",
        "unallocated": "19.9",
        "quarantined": "10",
        "coverage": "0.701",
        "by_provider": [
            {
                "provider": "Amazon Web Services",
                "billed": "70.1",
                "allocated": "70.1",
                "unallocated": "0",
                "quarantined": "0",
                "coverage": "1",
            },
            {
                "provider": "RunPod",
                "billed": "29.9",
                "allocated": "0",
                "unallocated": "19.9",
                "quarantined": "10",
                "coverage": "0",
            },
        ],
    }
    assert euro.currency == "EUR"
    assert euro.as_json()["billed"] == "8"


def test_a_reversal_takes_back_what_it_reverses() -> None:
    rows = [
        entry("5", cost_center="web"),
        entry("-5", cost_center="web", kind="reversal", corrects="1/0", index=2),
        entry("3", index=2),
    ]
    (dollar,) = coverage(ledger(rows), quarantine())
    assert (dollar.allocated, dollar.unallocated) == (Decimal(), Decimal(3))


def test_a_currency_that_is_only_quarantined_is_shown() -> None:
    (unknown,) = coverage(ledger([]), quarantine(("RunPod", "XXX", "4")))
    assert (unknown.billed, unknown.coverage) == (Decimal(4), Decimal())


def test_a_charge_without_provider_is_not_lost() -> None:
    (dollar,) = coverage(ledger([entry("2", service_provider=None)]), quarantine())
    assert dollar.by_provider[0][0] == UNKNOWN_PROVIDER
    assert dollar.billed == 2


@pytest.mark.parametrize(
    ("allocated", "unallocated", "expected"),
    [
        ("0", "0", "0"),
        ("1", "2", "0.3333"),
        ("-5", "0", "1"),
        ("12", "-2", "1"),
        ("-2", "12", "0"),
        ("5", "-5", "0"),
    ],
)
def test_coverage_stays_between_0_and_1(allocated: str, unallocated: str, expected: str) -> None:
    share = Share(Decimal(allocated), Decimal(unallocated), Decimal())
    assert money.text(share.coverage) == expected


def test_sums_keep_all_38_digits() -> None:
    large, small = Decimal(99999999999999999999), Decimal("0.000000000000000001")
    assert money.exact_sum([large, small]) == Decimal("99999999999999999999.000000000000000001")


@given(ROWS)
def test_parts_equal_the_whole_whatever_the_row_order(
    rows: list[tuple[str, str | None, str | None, str]],
) -> None:
    entries = [
        entry(amount, cost_center=center, service_provider=provider, currency=currency)
        for amount, center, provider, currency in rows
    ]
    covered = coverage(ledger(entries), quarantine())
    for each in covered:
        billed = [Decimal(amount) for amount, _, _, currency in rows if currency == each.currency]
        assert each.billed == money.exact_sum(billed)
        assert each.billed == money.exact_sum(share.billed for _, share in each.by_provider)
        assert 0 <= each.coverage <= 1
    assert coverage(ledger(entries[::-1]), quarantine()) == covered


def test_almost_all_is_not_all() -> None:
    nearly = Share(Decimal(10) ** 15, Decimal("22.12"), Decimal(0))
    assert nearly.coverage == Decimal("0.9999")
