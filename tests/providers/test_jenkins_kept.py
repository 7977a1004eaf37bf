"""Jenkins discards builds: what earlier runs saw of them stays in the days that are read again."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops.errors import DataError
from finops.partition import Window
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from tests.providers.test_jenkins import connect, patient, server, short, taken, written
from tests.stubs import rig_jenkins as rig
from tests.stubs.scripted import Answer, Script

__all__ = ["patient", "server"]

NIGHTLY, DETECTOR = "/job/nightly/api/json", "/job/team/job/detector/api/json"
STAGES = "/job/team/job/detector/7/wfapi/describe"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 4))


def page(at: str, *builds: dict[str, object]) -> Answer:
    return rig.answer({"allBuilds": builds}, f"Fri, 02 Oct 2026 {at}:00 GMT")


def at(script: Script, time: str, *builds: dict[str, object]) -> None:
    """Let Jenkins have these builds of `nightly` at that time of October 2."""
    nodes = rig.nodes("gpu")
    dated = {**nodes.headers, "Date": f"Fri, 02 Oct 2026 {time}:00 GMT"}
    script.on("/computer/api/json", Answer(nodes.body, headers=dated))
    script.on(NIGHTLY, page(time, *builds))


def test_a_discarded_build_stays_in_the_days_that_are_read_again(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    at(server, "18:00", rig.build("nightly", 41, 0))
    before = taken(connect(address), store, tmp_path)
    at(server, "19:00", rig.build("nightly", 42, 6))
    server.on(DETECTOR, page("19:00", rig.build("team/detector", 8, 6)))
    found = taken(connect(address), store, tmp_path)
    assert before["workload_id"].to_list() == [
        "nightly#41",
        "team/detector#7/11",
        "team/detector#7/6",
    ]
    assert [row for row in short(found) if row in short(before)] == short(before)
    assert set(found["workload_id"]) - set(before["workload_id"]) == {
        "nightly#42",
        "team/detector#8",
    }


def test_a_discarded_build_is_as_it_was_seen_last(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("nightly",))
    at(server, "14:00", rig.build("nightly", 41, 0, 0, building=True))
    taken(provider, store, tmp_path)
    at(server, "16:00", rig.build("nightly", 41, 0, 3))
    taken(provider, store, tmp_path)
    at(server, "17:00")
    found = taken(provider, store, tmp_path)
    assert short(found) == [("nightly#41", "02T12:00", "02T15:00", "gpu-1", Decimal(10800))]
    assert found["is_running"].to_list() == [False]


def test_a_build_that_was_discarded_while_running_ends_when_it_was_seen_last(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("nightly",))
    for time in ("14:00", "15:00"):  # the same bytes twice
        at(server, time, rig.build("nightly", 41, 0, 0, building=True))
        taken(provider, store, tmp_path)
    at(server, "17:00")
    found = taken(provider, store, tmp_path)
    assert short(found) == [("nightly#41", "02T12:00", "02T15:00", "gpu-1", Decimal(10800))]


def test_stages_are_those_that_were_seen_last(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("team/*",))
    running = rig.pipeline("team/detector", 7, 0, 0, building=True)
    server.on(DETECTOR, page("13:30", running))
    server.on(STAGES, rig.stages(rig.stage(6, "Build", 0, status="IN_PROGRESS")))
    taken(provider, store, tmp_path)
    server.on(DETECTOR, page("15:00", rig.pipeline("team/detector", 7, 0, 2)))
    server.on(STAGES, rig.stages(rig.stage(6, "Build", 0, 2)))
    taken(provider, store, tmp_path)
    server.on(DETECTOR, page("16:00"))
    found = taken(provider, store, tmp_path)
    assert short(found) == [("team/detector#7/6", "02T12:00", "02T14:00", None, Decimal(7200))]


def test_a_reply_that_says_nothing_new_is_not_remembered_again(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    provider = connect(address)
    for time in ("18:00", "19:00", "20:00"):
        at(server, time, rig.build("nightly", 41, 0))
        taken(provider, store, tmp_path)
    notes = [warehouse.read(key).decode() for key in warehouse.list("samples/day=")]
    assert len(notes) == 3
    assert ['"kind": "builds"' in note for note in notes] == [True, False, False]
    assert ['"kind": "stages"' in note for note in notes] == [True, False, False]
    assert all('"kind": "nodes"' in note for note in notes)


def test_what_was_seen_of_a_delivery_that_is_refused_is_remembered(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("nightly",))
    at(server, "18:00", rig.build("nightly", 41, 0))
    provider.fetch(WINDOW, store)
    store.withdraw()
    at(server, "19:00")
    assert taken(provider, store, tmp_path)["workload_id"].to_list() == ["nightly#41"]


def test_a_remembered_reply_that_is_gone_is_named(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("nightly",))
    at(server, "18:00", rig.build("nightly", 41, 0))
    (builds,) = (
        kept for kept in provider.fetch(WINDOW, store).objects if kept.receipt["kind"] == "builds"
    )
    LocalWarehouse(tmp_path / "warehouse").delete(builds.key)
    at(server, "19:00", rig.build("nightly", 42, 6))
    delivery = provider.fetch(WINDOW, store)
    with pytest.raises(DataError, match=r"2026-10-02T18:00:00.* is gone; .*below samples/"):
        written(provider, delivery, store, tmp_path)


def test_a_job_that_was_renamed_holds_its_node_once(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("night*",))
    at(server, "18:00", rig.build("nightly", 41, 0))
    taken(provider, store, tmp_path)
    server.on("/api/json", rig.answer({"jobs": [{"name": "nightly-big"}]}))
    at(server, "19:00")
    server.on("/job/nightly-big/api/json", page("19:00", rig.build("nightly-big", 41, 0)))
    found = taken(provider, store, tmp_path)
    assert found["workload_id"].to_list() == ["nightly-big#41"]


@pytest.mark.parametrize(
    ("settings", "workload_ids"),
    [
        ({"jobs": ("team/*",)}, ["team/detector#7/11", "team/detector#7/6"]),
        ({"stages": False}, ["nightly#41", "team/detector#7"]),
    ],
)
def test_what_is_not_wanted_any_more_is_not_told(
    settings: dict[str, object],
    workload_ids: list[str],
    server: Script,
    address: str,
    store: RawStore,
    tmp_path: Path,
) -> None:
    taken(connect(address), store, tmp_path)
    server.on(DETECTOR, page("19:00"))
    found = taken(connect(address, **settings), store, tmp_path)
    assert found["workload_id"].to_list() == workload_ids


def test_a_build_that_ended_after_the_days_read_again_is_known_from_later_runs(
    server: Script, address: str, store: RawStore
) -> None:
    provider = connect(address, jobs=("nightly",))
    at(server, "03:00", rig.build("nightly", 41, -16, 18))
    provider.fetch(WINDOW, store)
    at(server, "04:00")
    delivery = provider.fetch(Window(date(2026, 10, 1), date(2026, 10, 2)), store)
    (told,) = provider.workloads(delivery, store.path)
    assert told.rows.collect()["workload_id"].to_list() == ["nightly#41", "nightly#41"]


def test_builds_are_missed_when_no_run_saw_the_one_before(
    server: Script, address: str, store: RawStore
) -> None:
    provider = connect(address, jobs=("nightly",))
    at(server, "13:00", rig.build("nightly", 1, 0))
    assert provider.fetch(WINDOW, store).issues == ()
    at(server, "14:00", rig.build("nightly", 2, 1))
    assert provider.fetch(WINDOW, store).issues == ()
    at(server, "18:00", rig.build("nightly", 4, 5))
    (issue,) = provider.fetch(WINDOW, store).issues
    assert "nightly: Jenkins keeps no build before #4" in issue.message
    assert "no run has seen #3" in issue.message
