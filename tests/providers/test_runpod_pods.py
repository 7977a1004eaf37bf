"""What is known of a RunPod pod when it is not in the list any more."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops.partition import Window
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http
from providers.http import Pace
from providers.runpod import RunPod, RunPodSettings
from tests.providers.test_runpod import BILLING, FIXTURES, KEY, WINDOW, rows
from tests.stubs.scripted import JSON, Answer, Script

SOURCE = "gpu-cloud"
LATER = Window(date(2026, 10, 4), date(2026, 10, 7))


@pytest.fixture
def provider(address: str, monkeypatch: pytest.MonkeyPatch) -> RunPod:
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None, lambda: 0.0))
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    settings = RunPodSettings(api_url=address, v1_url=address, products=("pods",))
    return RunPod(SOURCE, settings, Path())


def pod(name: str, team: str, gpus: int = 2) -> dict[str, Any]:
    gpu = {"id": "NVIDIA H100 80GB HBM3", "count": gpus}
    return {"id": name, "gpu": gpu, "costPerHr": 4.78, "env": {"TEAM": team}}


def listed(at: str, *pods: dict[str, Any], day: str = "Thu, 01") -> Answer:
    sent = {"Date": f"{day} Oct 2026 {at}:00 GMT"}
    return Answer(json.dumps({"pods": pods}).encode(), headers=JSON | sent)


def seen(provider: RunPod, store: RawStore) -> pl.DataFrame:
    found = rows(provider, provider.fetch(WINDOW, store), store)
    return found.filter(pl.col("ResourceId") == "p1")


def test_a_terminated_pod_keeps_its_owner_and_its_gpus(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", listed("05:00", pod("p1", "vision")), listed("06:00"))
    before, after, again = (seen(provider, store) for _ in range(3))
    assert before["Tags"].to_list() == ['{"team": "vision"}'] * 2
    assert before["x_GpuHours"].to_list() == ["2", "1"]
    assert after.equals(before)
    assert again.equals(before)


def test_the_newest_list_that_knows_a_pod_tells(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    lists = (
        listed("05:00", pod("p1", "vision")),
        listed("06:00", pod("p1", "speech", gpus=4)),
        listed("07:00", pod("p2", "search")),
    )
    script.on("/v2/billing/pods", BILLING)
    script.on("/v2/pods", *lists)
    found = [seen(provider, store) for _ in lists][-1]
    assert found["Tags"].to_list() == ['{"team": "speech"}'] * 2
    assert found["x_GpuCount"].to_list() == [4, 4]


def test_a_pod_is_known_from_the_last_list_before_the_window(
    provider: RunPod, script: Script, store: RawStore
) -> None:
    record = {
        "startTime": "2026-10-04T03:00:00Z",
        "endTime": "2026-10-04T04:00:00Z",
        "podId": "p1",
        "totalAmount": 4.78,
    }
    late = {"records": [record], "metadata": {"totals": {"totalAmount": 4.78}}}
    script.on("/v2/billing/pods", BILLING, Answer(json.dumps(late).encode()))
    script.on("/v2/pods", listed("05:00", pod("p1", "vision")), listed("06:00", day="Sun, 04"))
    provider.fetch(WINDOW, store)
    found = [rows(provider, provider.fetch(LATER, store), store) for _ in range(2)]
    assert [each["Tags"].to_list() for each in found] == [['{"team": "vision"}']] * 2


def test_a_list_that_says_nothing_new_is_not_remembered_again(
    provider: RunPod, script: Script, tmp_path: Path
) -> None:
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    script.on("/v2/billing/pods", BILLING)
    script.on(
        "/v2/pods", listed("05:00", pod("p1", "vision")), listed("06:00", pod("p1", "vision"))
    )
    for _ in range(2):
        provider.fetch(WINDOW, RawStore(warehouse))
    assert len(list(warehouse.list("samples/day="))) == 1


def test_a_folder_of_replies_remembers_too(tmp_path: Path, store: RawStore) -> None:
    folder = tmp_path / "saved" / "v2"
    (folder / "billing").mkdir(parents=True)
    (folder / "billing" / "pods.json").write_bytes(BILLING.body)
    (folder / "pods.json").write_bytes((FIXTURES / "v2" / "pods.json").read_bytes())
    provider = RunPod(SOURCE, RunPodSettings(recorded=Path("saved")), tmp_path)
    before = seen(provider, store)
    (folder / "pods.json").write_text('{"pods": []}', encoding="utf-8")
    assert before["x_GpuModel"].to_list() == ["H100", "H100"]
    assert seen(provider, store).equals(before)
