from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import workloads
from finops.errors import DataError
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.warehouse.local import LocalWarehouse
from finops.workloads import Told

WINDOW = Window(date(2026, 10, 1), date(2026, 10, 4))
MINUTES = st.integers(-60 * 24, 60 * 24 * 5)


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=UTC)


def held(start: datetime | None, end: datetime | None, **more: object) -> dict[str, object]:
    return {"workload_id": "w1", "kind": "pod", "started_at": start, "ended_at": end, **more}


def told(warehouse: LocalWarehouse, *rows: dict[str, object]) -> tuple[Delivery, Told]:
    raw: RawObject = RawStore(warehouse).keep(repr(rows).encode(), "reply")
    names = {name for row in rows for name in row}
    schema = {name: workloads.SCHEMA[name] for name in workloads.SCHEMA if name in names}
    frame = pl.LazyFrame(list(rows), schema=schema)
    delivery = Delivery("kubernetes", "cluster", Scope(days=WINDOW), (raw,))
    return delivery, Told(raw, frame)


def written(warehouse: LocalWarehouse, *rows: dict[str, object]) -> workloads.Listed:
    delivery, one = told(warehouse, *rows)
    return workloads.write([one], delivery, warehouse)


def read(warehouse: LocalWarehouse) -> pl.DataFrame:
    return workloads.read(warehouse, WINDOW).collect().sort("started_at")


def test_a_workload_over_midnight_is_cut_there(warehouse: LocalWarehouse) -> None:
    listed = written(warehouse, held(at(1, 22), at(3, 1, 30), gpu_count=Decimal("0.5")))
    found = read(warehouse)
    assert (listed.rows, listed.days) == (
        3,
        (date(2026, 10, 1), date(2026, 10, 2), date(2026, 10, 3)),
    )
    assert found["started_at"].to_list() == [at(1, 22), at(2), at(3)]
    assert found["ended_at"].to_list() == [at(2), at(3), at(3, 1, 30)]
    assert found["workload_id"].unique().to_list() == ["w1"]
    assert found["gpu_count"].to_list() == [Decimal("0.5")] * 3
    assert found["source"].unique().to_list() == ["cluster"]


def test_one_that_ends_at_midnight_has_no_part_in_the_next_day(warehouse: LocalWarehouse) -> None:
    assert written(warehouse, held(at(1, 22), at(2))).days == (date(2026, 10, 1),)


def test_what_lies_outside_the_window_is_cut_off(warehouse: LocalWarehouse) -> None:
    written(warehouse, held(datetime(2026, 9, 30, tzinfo=UTC), at(1, 1)), held(at(3, 23), at(5)))
    found = read(warehouse)
    assert found["started_at"].to_list() == [at(1), at(3, 23)]
    assert found["ended_at"].to_list() == [at(1, 1), at(4)]


def test_a_redelivered_day_is_replaced_and_a_vanished_one_becomes_empty(
    warehouse: LocalWarehouse,
) -> None:
    written(warehouse, held(at(1), at(1, 2)), held(at(2), at(2, 2)))
    written(warehouse, held(at(1), at(1, 3)))
    found = read(warehouse)
    assert found["ended_at"].to_list() == [at(1, 3)]
    assert len(list(warehouse.list("workloads/"))) == 1


def test_another_source_keeps_its_days(warehouse: LocalWarehouse) -> None:
    written(warehouse, held(at(1), at(1, 2)))
    raw = RawStore(warehouse).keep(b"other", "reply")
    other = Delivery("jenkins", "ci", Scope(days=WINDOW), (raw,))
    workloads.write([], other, warehouse)
    assert read(warehouse).height == 1


@pytest.mark.parametrize(
    "bad",
    [held(at(2), at(1)), held(None, at(1)), held(at(1), None), held(at(1), at(2)) | {"kind": None}],
)
def test_what_cannot_be_placed_is_left_out_and_named(
    bad: dict[str, object], warehouse: LocalWarehouse
) -> None:
    listed = written(warehouse, bad, held(at(1), at(1, 1)))
    assert listed.rows == 1
    (issue,) = listed.issues
    assert str(issue).startswith("cluster: 1 workloads have no id, kind, start or end")


def test_a_table_of_something_else_is_refused(warehouse: LocalWarehouse) -> None:
    delivery, one = told(warehouse, held(at(1), at(1, 1)))
    wrong = Told(one.raw, pl.LazyFrame({"workload_id": ["w"], "started_at": ["soon"]}))
    with pytest.raises(DataError, match=r"^reply: holds no workloads as expected"):
        workloads.write([wrong], delivery, warehouse)
    assert list(warehouse.list("workloads/")) == []


@given(st.lists(st.tuples(MINUTES, st.integers(0, 4000)), max_size=8))
def test_no_second_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]]
) -> None:
    warehouse = LocalWarehouse(tmp_path_factory.mktemp("w"))
    minute = pl.duration(minutes=1)
    rows = [
        held(at(1) + (at(1, 0, 1) - at(1)) * start, at(1) + (at(1, 0, 1) - at(1)) * (start + long))
        for start, long in spans
    ]
    written(warehouse, *rows)
    inside = sum(max(0, min(start + long, 3 * 24 * 60) - max(start, 0)) for start, long in spans)
    found = read(warehouse).select((pl.col("ended_at") - pl.col("started_at")).sum() / minute)
    assert (found.item() or 0) == inside


def test_a_weight_is_cut_with_the_time_it_stands_for(warehouse: LocalWarehouse) -> None:
    written(warehouse, held(at(1, 18), at(2, 12)) | {"weight": Decimal(1)})
    assert read(warehouse)["weight"].to_list() == [
        Decimal("0.333333333333333333"),
        Decimal("0.666666666666666667"),
    ]
