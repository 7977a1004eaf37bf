"""What is not as it should be: unallocated, quarantined, corrected."""

from datetime import date
from decimal import Decimal

import polars as pl

from finops.gaps import Corrections, corrections, quarantined, unallocated
from tests.reports.company import entry, ledger, quarantine


def test_reasons_are_added_up_and_the_dearest_charge_is_the_example() -> None:
    rows = [
        entry("1", reason="no tag team", resource="i-1"),
        entry("30", reason="no tag team", resource="i-2", charge_id="dear"),
        entry("5", reason="no rule matches", account=None, resource=None),
        entry("99", cost_center="web"),
    ]
    first, second = unallocated(ledger(rows))["USD"]
    assert (first.reason, first.amount, first.rows) == ("no tag team", Decimal(31), 2)
    assert first.example == "Amazon Web Services, Amazon EC2, account 111122223333, resource i-2"
    assert (second.rows, second.example) == (1, "Amazon Web Services, Amazon EC2")


def test_a_reversed_entry_and_its_reversal_are_both_left_out() -> None:
    rows = [
        entry("10", reason="no rule matches", day=date(2026, 10, 3)),
        entry("7", reason="no rule matches"),
        entry("-10", reason="the bill was restated", kind="reversal", corrects="1/0", index=2),
    ]
    (line,) = unallocated(ledger(rows))["USD"]
    assert (line.reason, line.amount, line.rows) == ("no rule matches", Decimal(7), 1)


def test_an_entry_without_reason_still_counts() -> None:
    (line,) = unallocated(ledger([entry("7")]))["USD"]
    assert line.amount == 7
    assert line.reason


def test_corrections_count_reversals_and_the_net_of_what_replaced_them() -> None:
    day = date(2026, 10, 21)
    rows = [
        entry("600", day=day),
        entry("-600", day=day, kind="reversal", corrects="1/0", index=2),
        entry("410", day=day, index=2),
        entry("50", day=date(2026, 10, 22), index=2),
        entry("1", currency="EUR", index=2),
    ]
    assert corrections(ledger(rows)) == {"USD": Corrections(1, Decimal(-600), Decimal(-190))}


def test_a_first_batch_is_no_correction() -> None:
    assert corrections(ledger([entry("600")])) == {}


def test_quarantined_rows_are_added_up_by_provider_and_reason() -> None:
    frame = quarantine(("RunPod", "USD", "1"), ("RunPod", "USD", "2"), ("Lambda", "US$", "9"))
    found = quarantined(frame)
    (line,) = found["USD"]
    assert (line.provider, line.rows, line.amount) == ("RunPod", 2, Decimal(3))
    assert set(found) == {"USD", "US$"}


def test_a_quarantined_row_without_provider_or_reason_is_not_lost() -> None:
    frame = quarantine(("RunPod", "USD", "1")).with_columns(
        service_provider=pl.lit(None, pl.String), reason=pl.lit(None, pl.String)
    )
    (line,) = quarantined(frame)["USD"]
    assert line.amount == 1
