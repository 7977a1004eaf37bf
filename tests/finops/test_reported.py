"""Reported events: what a line may say, and what a set of events adds up to."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.reported import FORMAT, Event, Heard, NoEvent, Personal, What, fold, parse

GRACE = timedelta(minutes=15)
LATER = datetime(2026, 10, 5, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="@"), max_size=12)
NAMES = st.sampled_from(["train", "serve", "tune"])
AMOUNTS = st.decimals(0, 1000, places=6)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, 1, hour, minute, tzinfo=UTC)


def event(id_: str, what: str, time: datetime, **more: Any) -> Event:
    return Event(**{"id": id_, "event": What(what), "workload_id": "w", "at": time, **more})


def line(**more: Any) -> str:
    known = {
        "format": FORMAT,
        "id": "e1",
        "event": "start",
        "workload_id": "w",
        "at": "2026-10-01T08:00:00Z",
    }
    return json.dumps({key: value for key, value in (known | more).items() if value != "absent"})


def rows(*events: Event, seen_at: datetime = LATER) -> list[dict[str, object]]:
    return fold(heard(events), GRACE, seen_at).rows


def heard(events: Any) -> list[Heard]:
    return [Heard(each, "raw", row) for row, each in enumerate(events)]


@st.composite
def events(draw: st.DrawFn) -> Event:
    return Event(
        id=str(draw(st.integers(0, 30))),
        event=draw(st.sampled_from(What)),
        workload_id=draw(NAMES),
        at=at(0) + timedelta(minutes=draw(st.integers(0, 5000))),
        name=draw(st.none() | WORDS),
        gpu_count=draw(st.none() | AMOUNTS),
        gpu_utilization=draw(st.none() | st.decimals(0, 1, places=3)),
        tags=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
    )


@given(events())
def test_a_line_reads_back_as_the_event(written: Event) -> None:
    text = written.line()
    assert text.count("\n") == 1
    assert parse(text) == written


@given(st.data(), st.lists(events(), max_size=12))
def test_order_doubling_and_splitting_into_files_change_nothing(
    data: st.DataObject, told: list[Event]
) -> None:
    plain = fold(heard(told), GRACE, LATER)
    again = data.draw(
        st.permutations([*told, *data.draw(st.lists(st.sampled_from(told)))])
        if told
        else st.just([])
    )
    files = data.draw(st.lists(st.sampled_from("abc"), min_size=len(again), max_size=len(again)))
    split = [Heard(each, file, 0) for each, file in zip(again, files, strict=True)]
    shuffled = fold(split, GRACE, LATER)
    for one, other in zip(plain.rows, shuffled.rows, strict=True):
        where = {"raw_id": None, "raw_row": None}
        assert one | where == other | where
    assert plain.oddities == shuffled.oddities


@given(st.lists(events(), max_size=12, unique_by=lambda event: event.id))
def test_a_workload_is_one_row_that_never_ends_before_it_starts(told: list[Event]) -> None:
    found = fold(heard(told), GRACE, LATER).rows
    assert [row["workload_id"] for row in found] == sorted({each.workload_id for each in told})
    for row in found:
        started, ended = row["started_at"], row["ended_at"]
        assert isinstance(started, datetime)
        assert isinstance(ended, datetime)
        assert started <= ended


def test_start_heartbeats_and_end_make_one_row() -> None:
    (row,) = rows(
        event("1", "start", at(8), name="fit", gpu_count=Decimal(8), tags={"team": "vision"}),
        event("2", "heartbeat", at(9), gpu_utilization=Decimal("0.9"), user="u-1"),
        event("3", "heartbeat", at(10), gpu_utilization=Decimal("0.7"), tags={"project": "x"}),
        event("4", "end", at(10, 30), cost_per_hour=Decimal("98.32")),
    )
    assert (row["started_at"], row["ended_at"], row["is_running"]) == (at(8), at(10, 30), False)
    assert (row["kind"], row["name"], row["gpu_count"]) == ("run", "fit", Decimal(8))
    assert row["gpu_utilization"] == Decimal("0.8")
    assert row["tags"] == '{"project": "x", "team": "vision"}'
    assert row["attributes"] == '{"cost_per_hour": "98.32", "user": "u-1"}'
    assert (row["raw_id"], row["raw_row"]) == ("raw", 0)


def test_a_missing_end_is_closed_after_the_last_sign_of_life() -> None:
    told = [event("1", "start", at(8)), event("2", "heartbeat", at(9))]
    (row,) = rows(*told)
    assert (row["ended_at"], row["is_running"]) == (at(9, 15), False)
    (row,) = rows(*told, seen_at=at(9, 10))
    assert (row["ended_at"], row["is_running"]) == (at(9, 10), True)


def test_a_lost_start_leaves_what_is_known() -> None:
    (row,) = rows(event("2", "heartbeat", at(9)), event("3", "end", at(10)))
    assert (row["started_at"], row["ended_at"]) == (at(9), at(10))


def test_an_end_before_the_start_takes_no_time_and_is_named() -> None:
    folded = fold(heard([event("1", "start", at(8)), event("2", "end", at(7))]), GRACE, LATER)
    (row,) = folded.rows
    assert (row["started_at"], row["ended_at"]) == (at(8), at(8))
    (oddity,) = folded.oddities
    assert oddity.startswith("the workload 'w' ends before it starts, so it took no time")


def test_a_clock_that_runs_ahead_is_named() -> None:
    told = [event("1", "start", at(8)), event("2", "heartbeat", LATER + timedelta(hours=1))]
    folded = fold(heard(told), GRACE, LATER)
    assert folded.rows[0]["ended_at"] == at(8, 15)
    assert "lies in the future" in folded.oddities[0]


def test_one_id_with_two_contents_is_named_and_the_earliest_counts() -> None:
    told = [event("1", "start", at(9), name="later"), event("1", "start", at(8), name="first")]
    folded = fold(heard(told), GRACE, LATER)
    assert folded.rows[0]["name"] == "first"
    assert "event id '1' came with different contents" in folded.oddities[0]


def test_what_the_format_does_not_know_is_kept() -> None:
    read = parse(line(commit="abc", retries=3, nodes=["a", "b"], nothing=None))
    assert read.more == {"commit": "abc", "retries": '"3"', "nodes": '["a", "b"]'}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no JSON"),
        ('{"format":', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no JSON object"),
        (line(format="absent"), "of the format None"),
        (line(format="finops-event/2"), "of the format 'finops-event/2'"),
        (line(id="absent"), "no 'id'"),
        (line(id="  "), "empty 'id'"),
        (line(event="stop"), "write start, heartbeat or end"),
        (line(at="soon"), "write it as 2026-10-01T08:00:00Z"),
        (line(at="2026-10-01T08:00:00"), "time without zone"),
        (line(at="1970-01-01T00:00:00Z"), "before 2000"),
        (line(at="0001-01-01T00:00:00+14:00"), "has the time"),
        (line(gpu_count="many"), "'gpu_count' that is no number"),
        (line(gpu_count=True), "'gpu_count' that is no number"),
        (line(gpu_count="NaN"), "no number from 0"),
        (line(gpu_count=-1), "no number from 0"),
        (line(weight="1e-30"), "more than 18 decimals"),
        (line(weight="1e999999"), "no number from 0"),
        (line(gpu_utilization=85), "write a share"),
        (line(tags=["team"]), "no JSON object"),
        (line(tags={"team": 3}), "'tags' that is no text"),
        (line(name="x" * 1001), "more than 1000 characters"),
        (line(name="\ud800"), "no Unicode"),
    ],
)
def test_what_is_no_event_says_why(text: str, says: str) -> None:
    with pytest.raises(NoEvent, match=says):
        parse(text)


@pytest.mark.parametrize(
    "more",
    [{"user": "ann@acme.com"}, {"tags": {"owner": "Ann <ann@acme.com>"}}, {"mail": "a@b.io"}],
)
def test_an_address_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Personal, match="report a pseudonym"):
        parse(line(**more))
