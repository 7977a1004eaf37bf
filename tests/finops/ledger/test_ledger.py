"""Appending and reading."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import money
from finops.errors import LedgerError
from finops.ledger import ENTRY_SCHEMA, Ledger, SigningKey, header, reversals, verify
from finops.ledger.header import Header
from finops.ledger.log import Log
from finops.warehouse import Warehouse, open_warehouse

from .entries import FACTS, KEY, ORIGIN, facts, frame, ledger, partition


def objects(warehouse: Warehouse) -> list[str]:
    """List everything the ledger has stored."""
    return list(warehouse.list("ledger/"))


def test_appended_rows_are_read_back(warehouse: Warehouse) -> None:
    """What went in comes out, in order, with its place in the ledger."""
    book = ledger(warehouse)
    appended = book.append([(facts("a"), frame(20))], FACTS)
    assert appended is not None
    assert (appended.index, appended.rows, appended.is_new) == (1, 20, True)
    live = book.live(partition())
    assert live.drop("index", "v", "row").equals(frame(20))
    assert live.drop("index").schema == ENTRY_SCHEMA
    assert book.entry("1/17")["billed_cost"] == frame(20)["billed_cost"][17]
    assert book.partition_idem() == {partition(): "a"}
    assert [each.index for each in book.batches()] == [0, 1]


def test_control_totals_add_up(warehouse: Warehouse) -> None:
    """A header's totals are the sums of its rows, per currency, to the last digit."""
    rows = frame(50)
    appended = ledger(warehouse).append([(facts("a"), rows)], FACTS)
    assert appended is not None
    for (currency,), part in rows.group_by("currency"):
        totals = appended.header.control[str(currency)]
        assert money.amount(totals.billed) == part["billed_cost"].sum()
        assert totals.billed == totals.allocated + totals.unallocated
        assert totals.rows == part.height


def test_totals_beyond_128_bits_stay_exact(warehouse: Warehouse) -> None:
    """Many of the largest amounts a column holds do not overflow their sum."""
    largest = money.amount(10**38 - 1)
    rows = frame(8, billed_cost=largest, currency="USD")
    appended = ledger(warehouse).append([(facts("a"), rows)], FACTS)
    assert appended is not None
    assert appended.header.control["USD"].billed == 8 * (10**38 - 1)
    assert verify(warehouse).ok


def test_same_again_adds_nothing(warehouse: Warehouse) -> None:
    """The same partitions with the same idem are the batch that is there."""
    book = ledger(warehouse)
    first = book.append([(facts("a"), frame(5))], FACTS)
    before = objects(warehouse)
    again = ledger(warehouse).append([(facts("a"), frame(5))], FACTS)
    assert first is not None
    assert again is not None
    assert (again.header, again.is_new) == (first.header, False)
    assert objects(warehouse) == before


def test_going_back_to_an_earlier_state_is_a_new_batch(warehouse: Warehouse) -> None:
    """An idem counts only as a partition's newest word."""
    book = ledger(warehouse)
    for idem in ("a", "b", "a"):
        appended = book.append([(facts(idem), frame(2))], FACTS)
        assert appended is not None
        assert appended.is_new
    assert len(book.batches()) == 4


def test_no_rows_leave_no_trace(warehouse: Warehouse) -> None:
    """Nothing to say, nothing written, not even a beginning."""
    assert ledger(warehouse).append([], FACTS) is None
    assert ledger(warehouse).append([(facts("a"), frame(0))], FACTS) is None
    assert objects(warehouse) == []
    assert ledger(warehouse).head() is None


def test_rows_span_chunks(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cutting and joining frames into chunks changes no row."""
    monkeypatch.setattr("finops.ledger.segment.CHUNK_ROWS", 7)
    days = [partition(day) for day in range(1, 6)]
    parts = [(facts("a", day), frame(day.day.day * 3, day)) for day in days]
    ledger(warehouse).append(parts, FACTS)
    for day in days:
        found = ledger(warehouse).live(day).drop("index", "v", "row")
        assert found.equals(frame(day.day.day * 3, day))
    assert verify(warehouse).ok


def test_entries_of_a_period(warehouse: Warehouse) -> None:
    """Only the asked columns and period are scanned."""
    book = ledger(warehouse)
    assert book.entries().collect().is_empty()
    book.append([(facts("a"), frame(5))], FACTS)
    found = book.entries(period="2026-10", columns=["index", "row", "billed_cost"]).collect()
    assert found.columns == ["index", "row", "billed_cost"]
    assert found.height == 5
    assert book.entries(period="2026-11").collect().is_empty()


def test_reversed_entries_are_not_live(warehouse: Warehouse) -> None:
    """A reversal takes its entry out of the living, and both stay in the ledger."""
    book = ledger(warehouse)
    book.append([(facts("a"), frame(5))], FACTS)
    undone = reversals(book.live(partition()).tail(2), reason="restated")
    appended = book.append([(facts("b"), undone)], FACTS)
    assert appended is not None
    assert appended.header.kind == "correct"
    assert book.live(partition()).get_column("row").to_list() == [0, 1, 2]
    total = book.entries().collect().get_column("billed_cost").sum()
    assert total == frame(3)["billed_cost"].sum()
    assert verify(warehouse).ok


@pytest.mark.parametrize("change", [
    {"billed_cost": Decimal(1)},
    {"charge_id": "another"},
    {"cost_center": "another"},
    {"corrects": "1/99"},
    {"corrects": "0/0"},
    {"list_cost": None},
])  # fmt: skip
def test_inexact_reversals_are_refused(warehouse: Warehouse, change: dict[str, object]) -> None:
    """A reversal that is not the exact negative of a living entry is never written."""
    book = ledger(warehouse)
    book.append([(facts("a"), frame(5))], FACTS)
    undone = reversals(book.live(partition()).tail(1), reason="restated")
    schema = {name: undone.schema[name] for name in change}
    wrong = undone.with_columns(pl.lit(v, schema[k]).alias(k) for k, v in change.items())
    with pytest.raises(LedgerError, match="nothing was written"):
        book.append([(facts("b"), wrong)], FACTS)
    assert len(book.batches()) == 2


def test_second_reversal_is_refused(warehouse: Warehouse) -> None:
    """An entry is reversed once; nor twice in the same batch."""
    book = ledger(warehouse)
    book.append([(facts("a"), frame(5))], FACTS)
    undone = reversals(book.live(partition()).tail(1), reason="restated")
    with pytest.raises(LedgerError, match="at most once"):
        book.append([(facts("b"), pl.concat([undone, undone]))], FACTS)
    book.append([(facts("b"), undone)], FACTS)
    with pytest.raises(LedgerError, match="no entry that could be reversed"):
        book.append([(facts("c"), undone)], FACTS)


@pytest.mark.parametrize("wrong", [
    frame(3).drop("src"),
    frame(3).with_columns(extra=pl.lit(1)),
    frame(3).with_columns(pl.col("billed_cost").cast(pl.Float64)),
    frame(3).with_columns(pl.col("charge_start").dt.replace_time_zone(None)),
    frame(3, billed_cost=None),
    frame(3, currency="usd"),
    frame(3, kind="gift"),
    frame(3, corrects="1/1"),
    frame(3, partition(4)),
])  # fmt: skip
def test_wrong_frames_are_refused(warehouse: Warehouse, wrong: pl.DataFrame) -> None:
    """A wrong frame is refused before anything is stored, also when it comes last."""
    other = partition(9)
    with pytest.raises(LedgerError):
        ledger(warehouse).append([(facts("a", other), frame(3, other)), (facts("b"), wrong)], FACTS)
    assert objects(warehouse) == []


def test_partition_twice_is_refused(warehouse: Warehouse) -> None:
    """One frame per partition."""
    with pytest.raises(LedgerError, match="twice"):
        ledger(warehouse).append([(facts("a"), frame(3)), (facts("a"), frame(3))], FACTS)


@pytest.mark.parametrize("ref", ["9/0", "1/5", "1", "x/y", "-1/0", "1/0/0", ""])
def test_unknown_entry(warehouse: Warehouse, ref: str) -> None:
    """A reference to nothing says so."""
    book = ledger(warehouse)
    book.append([(facts("a"), frame(5))], FACTS)
    with pytest.raises(LedgerError, match="there is no entry"):
        book.entry(ref)


def test_reading_needs_no_key_and_writing_the_right_one(warehouse: Warehouse) -> None:
    """Who may read may not write; nor may the owner of another key."""
    ledger(warehouse).append([(facts("a"), frame(5))], FACTS)
    reader = Ledger(warehouse, ORIGIN)
    assert reader.live(partition()).height == 5
    with pytest.raises(LedgerError, match="reading only"):
        reader.append([(facts("b"), frame(5))], FACTS)
    with pytest.raises(LedgerError, match="does not list the key"):
        Ledger(warehouse, ORIGIN, SigningKey.generate(ORIGIN)).append([], FACTS)
    with pytest.raises(LedgerError, match="belongs to the ledger"):
        Ledger(warehouse, "other.example/finops", KEY).batches()


def test_time_without_a_zone_is_refused() -> None:
    """An instant must say its zone."""
    with pytest.raises(LedgerError, match="no zone"):
        header.instant(datetime(2026, 11, 1))  # noqa: DTZ001 - the case under test


def test_racing_writers_lose_nothing(warehouse: Warehouse) -> None:
    """Eight writers on their own partitions all get in, one after the other."""

    def write(day: int) -> int:
        place = partition(day)
        appended = ledger(warehouse).append([(facts("a", place), frame(3, place))], FACTS)
        assert appended is not None
        return appended.index

    with ThreadPoolExecutor(8) as pool:
        indexes = sorted(pool.map(write, range(1, 9)))
    assert indexes == list(range(1, 9))
    found = verify(warehouse)
    assert found.ok, found.findings
    assert found.rows == 24


def test_racing_on_one_partition_allocates_once(warehouse: Warehouse) -> None:
    """Of writers with different words on one partition, the late ones must look again."""

    def write(idem: str) -> bool:
        try:
            appended = book_of[idem].append([(facts(idem), frame(3))], FACTS)
        except LedgerError as error:
            return "run again" not in str(error)
        return appended is not None

    book_of = {idem: ledger(warehouse) for idem in "abcd"}
    for book in book_of.values():
        book.partition_idem()
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, book_of)) == 1
    assert ledger(warehouse).live(partition()).height == 3
    assert verify(warehouse).ok


def test_what_changed_since_it_was_read_is_not_appended_to(warehouse: Warehouse) -> None:
    """Rows made from an older view of a partition are refused; a fresh look cures it."""
    mine, other = ledger(warehouse), ledger(warehouse)
    mine.live(partition())
    other.append([(facts("a"), frame(3))], FACTS)
    with pytest.raises(LedgerError, match="run again"):
        mine.append([(facts("b"), frame(3))], FACTS)
    mine.live(partition())
    assert mine.append([(facts("b"), frame(3))], FACTS) is not None


class _CrashError(Exception):
    """The process dies here."""


def test_crash_before_the_checkpoint_is_repaired(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A committed batch that no checkpoint covers is signed by the next writer."""

    def crash(_log: Log, _unsigned: Header) -> None:
        committed(_log, _unsigned)
        if _unsigned.index == 1:
            raise _CrashError

    committed = Log.commit
    with monkeypatch.context() as patched:
        patched.setattr(Log, "commit", crash)
        with pytest.raises(_CrashError):
            ledger(warehouse).append([(facts("a"), frame(3))], FACTS)
    assert not verify(warehouse).ok
    assert ledger(warehouse).batches() == []
    again = ledger(warehouse).append([(facts("a"), frame(3))], FACTS)
    assert again is not None
    assert (again.index, again.is_new) == (1, False)
    assert verify(warehouse).ok


def test_a_planted_header_is_not_signed(filled: Path, tmp_path: Path, copied: Path) -> None:
    """Who can write to the store but has no key cannot smuggle a batch in as a crash's remains."""
    warehouse = open_warehouse(str(copied))
    planted = ledger(warehouse).batches()[-1].content.replace(b'"index":"2"', b'"index":"3"')
    warehouse.replace(header.key_of(3), planted)
    with pytest.raises(LedgerError, match=r"does not follow|is not signed"):
        ledger(warehouse).append([(facts("z"), frame(3))], FACTS)


def test_rules_are_numbered_as_they_first_came(warehouse: Warehouse) -> None:
    """The same text keeps its version."""
    book = ledger(warehouse)

    def versions() -> Iterator[int]:
        for idem, text in enumerate(("one", "two", "one")):
            made = type(FACTS)(text, "1.0.0", "run", None, FACTS.now)
            appended = book.append([(facts(str(idem)), frame(1))], made)
            assert appended is not None
            assert appended.header.rules is not None
            yield appended.header.rules.version

    assert list(versions()) == [1, 2, 1]
