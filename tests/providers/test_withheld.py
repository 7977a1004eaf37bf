"""What a reply holds beside the facts, such as users' secrets, does not reach the warehouse."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops import charges, workloads
from finops.partition import Window
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http, withheld
from providers.http import Pace
from providers.jenkins import Jenkins, JenkinsSettings
from providers.kubernetes import Kubernetes, KubernetesSettings
from providers.lambda_labs import LambdaLabs, LambdaLabsSettings
from providers.runpod import RunPod, RunPodSettings
from tests.stubs import planted, rig_jenkins, rig_kubernetes, rig_lambda_labs
from tests.stubs.planted import SECRET
from tests.stubs.scripted import JSON, Answer, Script

RUNPOD = Path(__file__).parent.parent / "fixtures" / "runpod"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None, lambda: 0.0))
    for name in (
        "RUNPOD_API_KEY",
        "JENKINS_USER",
        "JENKINS_TOKEN",
        "LAMBDA_API_KEY",
        "OPENCOST_TOKEN",
    ):
        monkeypatch.setenv(name, "key")


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


def answers(script: Script, good: Any) -> None:
    for (method, path), replies in good.items():
        script.on(path, *replies, method=method)


def planted_pod(env: object) -> dict[str, object]:
    return {
        "id": "p1",
        "name": "train-detector",
        "gpu": {"id": "NVIDIA H100 80GB HBM3", "count": 2, "note": SECRET},
        "dataCenterId": "EU-NL-1",
        "costPerHr": 4.78,
        "machine": {"gpuTypeId": "NVIDIA H100 80GB HBM3", "login": SECRET},
        "dockerStartCmd": ["serve", "--token", SECRET],
        "env": env,
    }


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize(
    "env",
    [
        {"TEAM": "vision", "HF_TOKEN": SECRET},
        [{"key": "TEAM", "value": "vision"}, {"key": "HF_TOKEN", "value": SECRET}],
    ],
    ids=["mapping", "pairs"],
)
def test_no_secret_of_a_runpod_pod_is_kept(
    generation: str, env: object, script: Script, address: str, warehouse: LocalWarehouse
) -> None:
    if generation == "v1":
        script.on("/v2/billing/pods", Answer(b"no", 403))
    body = (RUNPOD / generation / "billing" / "pods.json").read_bytes()
    script.on(f"/{generation}/billing/pods", Answer(body, headers=JSON))
    listed: Any = [planted_pod(env)]
    answer = Answer(json.dumps(listed if generation == "v1" else {"pods": listed}).encode())
    script.on(f"/{generation}/pods", answer)
    settings = RunPodSettings(api_url=address, v1_url=address, products=("pods",))
    provider, store = RunPod("gpus", settings, Path()), RawStore(warehouse, "gpus")
    delivery = provider.fetch(Window.of_period("2026-10"), store)
    charges.write(provider.charges(delivery, store.path), delivery, warehouse)
    assert planted.found_in(warehouse.root) == []
    (pods,) = (kept for kept in delivery.objects if kept.receipt["kind"] == "pods")
    assert "in env ['TEAM', 'PROJECT']" in pods.receipt["left_out"]
    (kept,) = json.loads(warehouse.read(pods.key))["pods"]
    assert kept["env"] == {"TEAM": "vision"}
    (bill, *_) = provider.charges(delivery, store.path)
    found = bill.rows.collect().row(0, named=True)
    assert (found["Tags"], found["x_GpuCount"]) == ('{"team": "vision"}', 2)


def test_build_parameters_that_are_no_tags_are_not_kept(
    script: Script, address: str, warehouse: LocalWarehouse
) -> None:
    given = [{"name": "TEAM", "value": "vision"}, {"name": "DEPLOY_KEY", "value": SECRET}]
    build = rig_jenkins.build("nightly", 41, 0, actions=[{}, {"parameters": given}])
    answers(script, rig_jenkins.RIG.good)
    script.on("/job/nightly/api/json", rig_jenkins.builds(build))
    settings = JenkinsSettings(url=address, parameters=("TEAM",))
    provider, store = Jenkins("ci", settings, Path()), RawStore(warehouse, "ci")
    delivery = provider.fetch(rig_jenkins.RIG.window, store)
    workloads.write(provider.workloads(delivery, store.path), delivery, warehouse)
    assert planted.found_in(warehouse.root) == []
    tags = workloads.read(warehouse, rig_jenkins.RIG.window).collect()["tags"].to_list()
    assert '{"job": "nightly", "team": "vision"}' in tags
    left_out = [kept.receipt.get("left_out") for kept in delivery.objects]
    assert "values of the build parameters DEPLOY_KEY" in left_out


def test_annotations_of_pods_are_not_kept(
    script: Script, address: str, warehouse: LocalWarehouse
) -> None:
    rig = rig_kubernetes.RIG
    answers(script, rig.good)
    (((method, path), (reply, *_)), *_) = rig.good.items()
    document = json.loads(reply.body)
    for step in document["data"]:
        for allocation in step.values():
            allocation["properties"]["annotations"] = {"last-applied": f"TOKEN={SECRET}"}
            allocation["properties"]["namespaceAnnotations"] = {"note": SECRET}
    script.on(path, Answer(json.dumps(document).encode(), headers=JSON), method=method)
    provider = Kubernetes("k8s", KubernetesSettings.model_validate(rig.settings(address)), Path())
    store = RawStore(warehouse, "k8s")
    delivery = provider.fetch(rig.window, store)
    listed = workloads.write(provider.workloads(delivery, store.path), delivery, warehouse)
    assert listed.rows == rig.rows
    assert planted.found_in(warehouse.root) == []
    assert delivery.objects[0].receipt["left_out"] == "annotations, namespaceAnnotations"


def test_the_way_into_a_lambda_notebook_is_not_kept(
    script: Script, address: str, warehouse: LocalWarehouse
) -> None:
    rig = rig_lambda_labs.RIG
    answers(script, rig.good)
    (reply,) = rig.good["GET", "/api/v1/instances"]
    document = json.loads(reply.body)
    for instance in document["data"]:
        instance["jupyter_token"] = SECRET
        instance["jupyter_url"] = f"https://jupyter.example/?token={SECRET}"
    script.on("/api/v1/instances", Answer(json.dumps(document).encode(), headers=reply.headers))
    settings = LambdaLabsSettings.model_validate(rig.settings(address))
    provider, store = LambdaLabs("lambda", settings, Path()), RawStore(warehouse, "lambda")
    delivery = provider.fetch(rig.window, store)
    charges.write(provider.charges(delivery, store.path), delivery, warehouse)
    assert planted.found_in(warehouse.root) == []
    told = {kept.receipt.get("left_out") for kept in delivery.objects}
    assert told == {None, "jupyter_token, jupyter_url"}


def test_a_reply_without_such_members_stays_as_it_came() -> None:
    body = b'{"b": 1.10,   "a": "annotations"}'
    assert withheld.without(body, frozenset({"secret"})) == body


def test_members_are_left_out_at_any_depth_and_numbers_stay_exact() -> None:
    body = b'{"data": [{"x": {"secret": 1, "cost": 0.1000000000000000055}}], "secret": {}}'
    left = json.loads(withheld.without(body, frozenset({"secret"})))
    assert left == {"data": [{"x": {"cost": "0.1000000000000000055"}}]}
    assert Decimal(left["data"][0]["x"]["cost"]) == Decimal("0.1000000000000000055")


def test_the_search_finds_what_is_planted(warehouse: LocalWarehouse) -> None:
    RawStore(warehouse).keep(SECRET.encode(), "reply")
    (name,) = planted.found_in(warehouse.root)
    assert name.startswith("raw/")
