"""The engine, as users call it: what they say is in the spool when the call returns."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops import AttributionEngine, GranularCostTracker, pseudonyms
from finops.errors import ConfigError, WarehouseError
from finops.reported import Event, Heard, What, fold, parse
from tests.conftest import Finops
from tests.test_house import ROOT

ORGANIZATION = """
[cost_centers.ai_division]
type = "business_unit"
name = "AI Division"

[cost_centers.ml_team]
type = "team"
name = "ML Team"
parent = "ai_division"
aliases = ["machine_learning"]

[cost_centers.chatbot_inference]
type = "project"
name = "Chatbot Inference"
parent = "ml_team"
"""
SNIPPET = """
attribution_id = await engine.track_gpu_usage(
    team_id="ml-team", project_id="chatbot-inference", business_unit="ai-division",
    user_id="alice@company.com", workload_type="inference",
    provider="runpod", instance_type="A100-40GB", cost_per_hour=2.50)

company = tracker.create_cost_center("business_unit", "Company", budget_limit=1000000)
ai_division = tracker.create_cost_center("business_unit", "AI Division", parent_id="company", budget_limit=400000)
ml_team = tracker.create_cost_center("team", "ML Team", parent_id="ai_division", budget_limit=150000)
inference_project = tracker.create_cost_center("project", "Chatbot Inference", parent_id="ml_team", budget_limit=50000)
tracker.add_alert_handler(slack_alert_handler)
"""
_CHILD = """
import os, signal, sys
from finops import AttributionEngine
engine = AttributionEngine.from_config(sys.argv[1])
print(engine.track_gpu_usage_sync(team_id="ml-team"), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def config(tmp_path: Path, finops: Finops) -> Path:
    assert finops("init", tmp_path / "acme").code == 0
    (tmp_path / "acme" / "organization.toml").write_text(ORGANIZATION, encoding="utf-8")
    return tmp_path / "acme" / "finops.toml"


@pytest.fixture
def engine(config: Path) -> Iterator[AttributionEngine]:
    engine = AttributionEngine.from_config(config)
    yield engine
    engine.close()


def spooled(config: Path) -> list[Event]:
    files = sorted((config.parent / "spool").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted((parse(line) for line in lines), key=lambda event: event.at)


def test_the_snippet_runs_as_it_is(config: Path) -> None:
    # It tracks first: what it creates is there already, as after the first time it ran.
    creating = SNIPPET.partition("\n\n")[2]
    (config.parent / "organization.toml").write_text("# ours\n", encoding="utf-8")
    names: dict[str, Any] = {
        "engine": AttributionEngine.from_config(config),
        "tracker": GranularCostTracker.from_config(config),
        "slack_alert_handler": lambda _: None,
    }
    exec(creating, names)
    body = "\n    ".join(SNIPPET.splitlines())
    exec(f"async def main():\n    {body}\n    return locals()", names)
    found = asyncio.run(names["main"]())
    names["engine"].close()
    assert found["inference_project"].id == "chatbot_inference"
    assert found["inference_project"].parent_id == "ml_team"
    (event,) = spooled(config)
    assert event.workload_id == found["attribution_id"]
    assert event.tags == {
        "team": "ml_team",
        "project": "chatbot_inference",
        "business_unit": "ai_division",
        "workload_type": "inference",
    }
    assert (event.cost_per_hour, event.currency) == (Decimal("2.5"), "USD")
    assert event.more == {"provider": "runpod", "instance_type": "A100-40GB"}


def test_the_readme_shows_the_snippet() -> None:
    assert SNIPPET.strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_user_is_a_pseudonym_wherever_one_looks(config: Path, engine: AttributionEngine) -> None:
    engine.track_gpu_usage_sync(team_id="ml-team", user_id="Alice@company.com ")
    engine.track_gpu_usage_sync(team_id="ml-team", user_id="alice@company.com")
    engine.track_gpu_usage_sync(team_id="ml-team", user_id="bob")
    alice, again, bob = [event.user for event in spooled(config)]
    assert alice == again != bob
    key = pseudonyms.load_key(config.parent / "keys" / "pseudonyms.key")
    assert alice == pseudonyms.pseudonym("alice@company.com", key)
    text = b"".join(file.read_bytes() for file in config.parent.rglob("*") if file.is_file())
    assert b"lice@" not in text


def test_names_are_spelling_tolerant_and_aliases_count(
    config: Path, engine: AttributionEngine
) -> None:
    for name in ("ml-team", "ML Team", "ml_team", "Machine Learning"):
        engine.track_gpu_usage_sync(team_id=name)
    assert {event.tags["team"] for event in spooled(config)} == {"ml_team"}


def test_everything_unknown_is_named_with_the_nearest(
    config: Path, engine: AttributionEngine
) -> None:
    with pytest.raises(ConfigError) as caught:
        engine.track_gpu_usage_sync(
            team_id="ml-taem", project_id="chatbot-inferense", business_unit="ml-team"
        )
    assert str(caught.value) == (
        "track_gpu_usage: team_id: organization.toml has no team 'ml-taem'; "
        "did you mean 'ml_team'?\n"
        "track_gpu_usage: project_id: organization.toml has no project 'chatbot-inferense'; "
        "did you mean 'chatbot_inference'?\n"
        "track_gpu_usage: business_unit: 'ml-team' is a team, not a business unit; "
        "write one of ai_division"
    )
    assert spooled(config) == []


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({"teem_id": "x"}, "did you mean 'team_id'?"),
        ({"cost_per_hour": "much"}, "cost_per_hour"),
        ({"cost_per_hour": -1}, "cost_per_hour"),
        ({"cost_per_hour": float("nan")}, "cost_per_hour"),
        ({"currency": "dollars"}, "currency"),
        ({"gpu_count": True}, "gpu_count"),
        ({"tags": {"team": "other"}}, "'team' is set from team_id"),
        ({"tags": {"owner": "bob@company.com"}}, "e-mail address in 'owner'"),
        ({"name": "x" * 2000}, "more than 1000 characters"),
        ({"user_id": " "}, "user_id: is empty"),
    ],
)
def test_what_cannot_be_right_is_refused_in_words(
    usage: dict[str, Any], said: str, config: Path, engine: AttributionEngine
) -> None:
    with pytest.raises(ConfigError) as caught:
        engine.track_gpu_usage_sync(**{"team_id": "ml_team", **usage})
    assert said in str(caught.value)
    assert "bob@" not in str(caught.value)
    assert spooled(config) == []


def test_the_same_key_is_the_same_piece_of_work(config: Path, engine: AttributionEngine) -> None:
    first = engine.track_gpu_usage_sync(team_id="ml-team", key="job-17")
    other = AttributionEngine.from_config(config)
    assert other.track_gpu_usage_sync(team_id="ml-team", key="job-17") == first
    assert other.track_gpu_usage_sync(team_id="ml-team", key="job-18") != first
    other.end_sync(first)
    other.close()
    heard = [Heard(event, "raw", row) for row, event in enumerate(spooled(config))]
    folded = fold(heard, timedelta(minutes=15), datetime.now(UTC))
    assert len(folded.rows) == 2
    assert folded.oddities == []
    (row,) = [row for row in folded.rows if row["workload_id"] == first]
    assert row["started_at"] == heard[0].event.at


@pytest.mark.parametrize("attempt", range(3))
def test_what_was_said_survives_kill_9_right_after(config: Path, attempt: int) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, config], capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert [event.workload_id for event in spooled(config)] == [child.stdout.strip()]


def test_a_context_starts_and_ends_async_and_sync(config: Path, engine: AttributionEngine) -> None:
    async def work() -> str:
        async with engine.gpu_workload(team_id="ml-team") as workload:
            workload.heartbeat(0.85)
            return workload.id

    id_ = asyncio.run(work())
    with engine.gpu_workload(team_id="ml-team") as other:
        assert other.id != id_
    events = [(event.event, event.workload_id) for event in spooled(config)]
    assert events == [
        (What.START, id_),
        (What.HEARTBEAT, id_),
        (What.END, id_),
        (What.START, other.id),
        (What.END, other.id),
    ]
    assert spooled(config)[1].gpu_utilization == Decimal("0.85")


def test_work_that_fails_has_an_end_too(config: Path, engine: AttributionEngine) -> None:
    with pytest.raises(ZeroDivisionError), engine.gpu_workload(team_id="ml-team"):
        _ = 1 / 0
    assert [event.event for event in spooled(config)] == [What.START, What.END]


def test_a_decorated_function_is_tracked_each_time(config: Path, engine: AttributionEngine) -> None:
    @engine.gpu_workload(team_id="ml-team")
    def double(number: int) -> int:
        return 2 * number

    @engine.gpu_workload(team_id="ml-team")
    async def triple(number: int) -> int:
        return 3 * number

    assert (double(2), double(3), asyncio.run(triple(2))) == (4, 6, 6)
    assert double.__name__ == "double"
    assert len({event.workload_id for event in spooled(config)}) == 3
    assert [event.event for event in spooled(config)] == [What.START, What.END] * 3


def test_what_is_under_way_gets_heartbeats_until_it_ends(
    config: Path, engine: AttributionEngine
) -> None:
    engine._pulse._every = timedelta(seconds=0.05)
    id_ = engine.track_gpu_usage_sync(team_id="ml-team")
    _until(lambda: sum(event.event is What.HEARTBEAT for event in spooled(config)) > 1)
    engine.end_sync(id_)
    time.sleep(0.2)
    kinds = [event.event for event in spooled(config)]
    # One beat may have been under way.
    assert kinds.index(What.END) >= len(kinds) - 2


def test_a_full_disk_stops_neither_the_work_nor_its_result(
    config: Path,
    engine: AttributionEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.ERROR), engine.gpu_workload(team_id="ml-team"):
        monkeypatch.setattr(os, "write", full)
    assert "No space left on device" in caplog.text
    with pytest.raises(WarehouseError, match="No space left"):
        engine.track_gpu_usage_sync(team_id="ml-team")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_writes_a_file_of_its_own_and_beats_for_nobody_else(
    config: Path, engine: AttributionEngine
) -> None:
    mine = engine.track_gpu_usage_sync(team_id="ml-team")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            theirs = asyncio.run(engine.track_gpu_usage(team_id="ml-team"))
            os.write(writing, f"{theirs} {mine in engine._pulse._alive}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs, beats = os.read(reading, 100).decode().split()
    assert beats == "False"
    assert {event.workload_id for event in spooled(config)} == {mine, theirs}
    assert len(list((config.parent / "spool").glob("*.jsonl"))) == 2


def test_a_cost_center_made_meanwhile_is_known(config: Path, engine: AttributionEngine) -> None:
    with pytest.raises(ConfigError):
        engine.track_gpu_usage_sync(team_id="new team")
    GranularCostTracker.from_config(config).create_cost_center("team", "New Team")
    assert engine.track_gpu_usage_sync(team_id="new team")


def test_no_call_waits_for_a_warehouse_that_cannot_be_reached(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"./warehouse"', '"s3://nowhere/finops"'), encoding="utf-8")
    engine = AttributionEngine.from_config(config)
    begun = time.perf_counter()
    assert asyncio.run(engine.track_gpu_usage(team_id="ml-team"))
    assert time.perf_counter() - begun < 1
    engine.close()


def test_many_at_once_are_all_there(config: Path, engine: AttributionEngine) -> None:
    async def many() -> list[str]:
        return await asyncio.gather(
            *(engine.track_gpu_usage(team_id="ml-team") for _ in range(500))
        )

    ids = asyncio.run(many())
    threads = [
        threading.Thread(target=lambda: ids.append(engine.track_gpu_usage_sync(team_id="ml-team")))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event.workload_id for event in spooled(config)} == set(ids)
    assert len(ids) == 520


def test_importing_finops_alone_imports_no_tables() -> None:
    code = "import sys, finops; print('polars' in sys.modules, finops.__all__)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("False ['AttributionEngine'")


def _until(happened: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
