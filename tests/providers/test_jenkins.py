"""Jenkins: walking folders and pages, and the workloads made of builds and stages."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finops import workloads
from finops.errors import ConfigError, DataError, Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http
from providers.http import Pace
from providers.jenkins import Jenkins, JenkinsSettings
from providers.jenkins_workloads import _cut
from tests.stubs import rig_jenkins as rig
from tests.stubs.scripted import Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures" / "jenkins"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 4))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None, lambda: 0.0))
    monkeypatch.setenv("JENKINS_USER", "finops")
    monkeypatch.setenv("JENKINS_TOKEN", "11secretTOKEN99")


@pytest.fixture
def server(script: Script, patient: None) -> Script:
    for (method, path), answers in rig.RIG.good.items():
        script.on(path, *answers, method=method)
    return script


def connect(address: str, **settings: Any) -> Jenkins:
    return Jenkins("ci", JenkinsSettings(url=address, **settings), Path())


def recorded(**settings: Any) -> Jenkins:
    made = JenkinsSettings(url="https://ci.acme.example", recorded=Path("jenkins"), **settings)
    return Jenkins("ci", made, FIXTURES.parent)


def taken(provider: Jenkins, store: RawStore, tmp_path: Path) -> pl.DataFrame:
    delivery = provider.fetch(WINDOW, store)
    return written(provider, delivery, store, tmp_path)


def written(provider: Jenkins, delivery: Delivery, store: RawStore, tmp_path: Path) -> pl.DataFrame:
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    workloads.write(provider.workloads(delivery, store.path), delivery, warehouse)
    return workloads.read(warehouse, WINDOW).collect().sort("workload_id", "started_at")


def short(found: pl.DataFrame) -> list[tuple[str, str, str, str | None, Decimal]]:
    return [
        (
            row["workload_id"],
            f"{row['started_at']:%dT%H:%M}",
            f"{row['ended_at']:%dT%H:%M}",
            row["node"],
            row["weight"],
        )
        for row in found.iter_rows(named=True)
    ]


def test_recorded_builds_and_stages_become_workloads(store: RawStore, tmp_path: Path) -> None:
    provider = recorded(parameters=("TEAM",), resource_id_pattern=r"i-[0-9a-f]{17}")
    found = taken(provider, store, tmp_path)
    assert short(found) == [
        ("nightly#40", "02T00:00", "02T01:00", "Built-In Node", Decimal(3600)),
        ("nightly#41", "02T22:30", "03T00:00", "gpu-1", Decimal(5400)),
        ("nightly#41", "03T00:00", "03T01:30", "gpu-1", Decimal(5400)),
        ("team/detector#7/11", "02T12:30", "02T13:30", None, Decimal(0)),
        ("team/detector#7/16", "02T13:30", "02T16:00", "gpu-1", Decimal(7200)),
        ("team/detector#7/6", "02T12:00", "02T12:30", "gpu-1", Decimal(1800)),
        ("team/detector#8", "03T08:00", "04T00:00", None, Decimal(57600)),
    ]
    assert found["is_running"].to_list() == [False] * 6 + [True]
    assert found["kind"].to_list() == ["build"] * 3 + ["stage"] * 3 + ["build"]
    assert found["resource_id"].drop_nulls().unique().to_list() == ["i-0abc1234def567890"]
    assert json.loads(found["tags"][1]) == {"job": "nightly", "team": "vision"}
    assert json.loads(found["tags"][4]) == {"folder": "team", "job": "team/detector"}
    assert json.loads(found["attributes"][4]) == {
        "labels": ["gpu", "i-0abc1234def567890"],
        "path": "/job/team/job/detector/7",
        "queue_id": 107,
        "result": "SUCCESS",
        "stage": "Train",
    }
    assert found["raw_row"].to_list() == [1, 0, 0, 1, 2, 0, 0]
    assert not found["tags"].str.contains("not-to-be-kept").any()


def test_a_pipeline_without_the_plugin_that_tells_stages_is_one_workload(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    server.on("/job/team/job/detector/7/wfapi/describe", Answer(b"", 404))
    found = taken(connect(address, jobs=("team/*",)), store, tmp_path)
    assert short(found) == [("team/detector#7", "02T12:00", "02T14:00", None, Decimal(7200))]


def test_stages_that_nobody_wants_are_not_asked_for(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    found = taken(connect(address, stages=False), store, tmp_path)
    assert found["workload_id"].to_list() == ["nightly#41", "team/detector#7"]
    assert server.asked(".*wfapi.*") == []


def test_the_node_of_a_stage_is_where_it_was_seen_running(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    provider = connect(address, jobs=("team/*",))
    busy = json.loads(rig.nodes("gpu", running="jenkins/job/team/job/detector/7").body)
    server.on("/computer/api/json", rig.answer(busy, "Fri, 02 Oct 2026 13:20:00 GMT"))
    assert taken(provider, store, tmp_path)["node"].to_list() == ["gpu-1", None]
    idle = json.loads(rig.nodes("gpu").body)
    server.on("/computer/api/json", rig.answer(idle, "Fri, 02 Oct 2026 18:00:00 GMT"))
    found = taken(provider, store, tmp_path)  # a later run still knows
    assert dict(zip(found["name"], found["node"], strict=True)) == {
        "team/detector #7 Build": None,
        "team/detector #7 Train": "gpu-1",
    }


def test_a_stage_that_was_seen_on_two_nodes_has_none(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    document = json.loads(rig.nodes("gpu", running="job/team/job/detector/7").body)
    document["computer"][0]["executors"] = document["computer"][1]["executors"]
    at = "Fri, 02 Oct 2026 13:20:00 GMT"
    server.on("/computer/api/json", rig.answer(document, at))
    found = taken(connect(address, jobs=("team/*",)), store, tmp_path)
    assert found["node"].to_list() == [None, None]


def test_a_running_build_ends_for_now_when_it_was_seen(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    running = rig.build("nightly", 42, 2, 0, building=True, result=None)
    server.on("/job/nightly/api/json", rig.builds(running))
    found = taken(connect(address, jobs=("nightly",)), store, tmp_path)
    assert short(found) == [("nightly#42", "02T14:00", "02T18:00", "gpu-1", Decimal(14400))]
    assert found["is_running"].to_list() == [True]


def test_folders_that_hold_no_wanted_job_are_not_entered(
    server: Script, address: str, store: RawStore
) -> None:
    connect(address, jobs=("night*",)).fetch(WINDOW, store)
    assert server.asked("/job/team/.*") == []
    connect(address, jobs=("te*/detector",)).fetch(WINDOW, store)
    assert len(server.asked("/job/team/api/json")) == 1


def test_names_are_quoted_once_more_in_addresses(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    # Jenkins names a branch by its own quoted form, and quotes that again in its address.
    branch = "feature%2Fwide lens"
    server.on("/api/json", rig.answer({"jobs": [{"name": "app", "jobs": [{"name": branch}]}]}))
    server.on("/job/app/api/json", rig.answer({"jobs": [{"name": branch}]}))
    server.on("/job/app/job/feature%252Fwide%20lens/api/json", rig.builds(rig.build("app", 3, 0)))
    found = taken(connect(address), store, tmp_path)
    assert found["workload_id"].to_list() == ["app/feature%2Fwide lens#3"]


def test_pages_are_read_until_builds_are_too_old(
    server: Script, address: str, store: RawStore, tmp_path: Path
) -> None:
    first = [rig.build("nightly", number, 2) for number in range(200, 100, -1)]
    second = [rig.build("nightly", number, 1) for number in range(101, 1, -1)]
    old = [rig.build("nightly", 1, -900)]
    pages = [rig.builds(*first), rig.builds(*second), rig.builds(*old)]
    server.on("/job/nightly/api/json", *pages)
    found = taken(connect(address, jobs=("nightly",)), store, tmp_path)
    assert found.height == 199  # the one that moved to the second page counts once
    trees = [each.parameters["tree"] for each in server.asked("/job/nightly/api/json")]
    assert [tree[tree.index("{") :] for tree in trees] == ["{0,100}", "{100,200}", "{200,300}"]
    assert all(tree.startswith("allBuilds[") for tree in trees)
    assert "parameters" not in trees[0]


def test_a_job_whose_builds_were_discarded_is_named(
    server: Script, address: str, store: RawStore
) -> None:
    (issue,) = connect(address, jobs=("nightly",)).fetch(WINDOW, store).issues
    assert "nightly: Jenkins keeps no build before #41" in issue.message
    kept = rig.builds(rig.build("nightly", 41, 0), rig.build("nightly", 40, -90))
    server.on("/job/nightly/api/json", kept)
    assert connect(address, jobs=("nightly",)).fetch(WINDOW, store).issues == ()


def test_parameters_are_asked_for_when_some_become_tags(
    server: Script, address: str, store: RawStore
) -> None:
    connect(address, parameters=("TEAM",)).fetch(WINDOW, store)
    (request,) = server.asked("/job/nightly/api/json")
    assert "actions[parameters[name,value]]" in request.parameters["tree"]


def test_a_login_page_is_no_reply(server: Script, address: str, store: RawStore) -> None:
    html = Answer(b"<html>Sign in</html>", headers={"Content-Type": "text/html"})
    server.on("/api/json", html)
    with pytest.raises(Transient, match="login page"):
        connect(address).fetch(WINDOW, store)


def test_the_credential_is_user_and_token(server: Script, address: str, store: RawStore) -> None:
    connect(address).fetch(WINDOW, store)
    assert server.requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("missing", ["JENKINS_USER", "JENKINS_TOKEN"])
def test_without_a_credential(
    missing: str, patient: None, monkeypatch: pytest.MonkeyPatch, store: RawStore
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigError, match=missing):
        connect("https://ci.acme.example").fetch(WINDOW, store)


def test_probes_ask_as_a_run_does(server: Script, address: str) -> None:
    provider = connect(address)
    for probe in provider.probes().values():
        probe()
    server.on("/computer/api/json", Answer(b"no", 403))
    with pytest.raises(Terminal, match="Overall/Read"):
        provider.probes()["the user may read nodes"]()
    with pytest.raises(Terminal, match=r"no job is named by nobody/\*"):
        connect(address, jobs=("nobody/*",)).probes()["the user may list the jobs"]()


def test_a_probe_tries_the_stages(server: Script, address: str) -> None:
    name = "Jenkins tells the stages of pipelines"
    connect(address).probes()[name]()
    assert len(server.asked(".*/wfapi/describe")) == 1
    server.on(".*/wfapi/describe", Answer(b"no", 404))
    with pytest.raises(Terminal, match="stages = false"):
        connect(address).probes()[name]()
    assert name not in connect(address, stages=False).probes()


@pytest.mark.parametrize(
    "endpoint", ["/computer/api/json", "/api/json", "/job/nightly/api/json", ".*/wfapi/describe"]
)
def test_replies_of_another_shape(
    endpoint: str, server: Script, address: str, store: RawStore
) -> None:
    server.on(endpoint, rig.answer({"jobs": 1, "computer": [1], "allBuilds": [{}], "stages": [{}]}))
    with pytest.raises(DataError, match="no reply of Jenkins' as it is known"):
        connect(address).fetch(WINDOW, store)


def test_settings_that_are_none() -> None:
    with pytest.raises(ValidationError, match="https://host"):
        JenkinsSettings(url="ci.acme.example")
    with pytest.raises(ValidationError, match="pattern"):
        JenkinsSettings.model_validate({"url": "https://ci", "resource_id_pattern": "i-("})


@given(st.integers(0, 72 * 60), st.integers(0, 72 * 60), st.integers(0, 100 * 60))
def test_the_parts_of_a_workload_weigh_what_it_held(start: int, took: int, paused: int) -> None:
    begins = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=start)
    parts = list(
        _cut(begins, begins + timedelta(minutes=took), timedelta(minutes=paused), {"name": "x"})
    )
    held = Decimal(max(took - paused, 0) * 60)
    assert abs(sum(part["weight"] for part in parts) - held) < Decimal("1e-12")
    assert parts[0]["started_at"] == begins
    assert parts[-1]["ended_at"] == begins + timedelta(minutes=took)
    for part in parts:
        assert (part["ended_at"] - part["started_at"]) <= timedelta(days=1)
