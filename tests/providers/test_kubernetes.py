"""Kubernetes: pods and idle time as workloads whose weights add up to their node's hour."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from finops import workloads
from finops.errors import ConfigError, DataError, Terminal, Transient
from finops.partition import Window
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http
from providers.http import Pace
from providers.kubernetes import Kubernetes, KubernetesSettings
from providers.kubernetes_allocation import gpu_model, resource_id
from tests.stubs.prometheus_server import served_prometheus
from tests.stubs.scripted import Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures" / "kubernetes"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 2))
ALLOCATION = "/allocation/compute"
NODE = "ip-10-0-1-5.ec2.internal"
MACHINE = "i-0abc123def456"
THREE = datetime(2026, 10, 1, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
GROUP = "/subscriptions/S-1/resourceGroups/MC_rg"
SCALE_SET = f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/aks-gpu-vmss"
SAVED = Answer((FIXTURES / "allocation" / "compute.json").read_bytes())


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(5, pauses.append, lambda: 0.0))
    return pauses


def made(folder: Path = FIXTURES.parent, **settings: Any) -> Kubernetes:
    return Kubernetes("prod", KubernetesSettings.model_validate(settings), folder)


def recorded(**settings: Any) -> Kubernetes:
    return made(recorded="kubernetes", **settings)


def rows(provider: Kubernetes, store: RawStore, window: Window = WINDOW) -> pl.DataFrame:
    delivery = provider.fetch(window, store)
    told = [each.rows for each in provider.workloads(delivery, store.path)]
    return pl.concat(told).collect().sort("started_at", "workload_id")


def answered(*allocations: dict[str, Any], **more: Any) -> Answer:
    step = {each["name"]: each for each in allocations}
    return Answer(json.dumps({"code": 200, "status": "success", "data": [step], **more}).encode())


def allocated(name: str = "c/n1/ml/job-0/main", **more: Any) -> dict[str, Any]:
    properties = {"cluster": "c", "node": "n1", "namespace": "ml", "pod": "job-0"}
    hour = {"start": "2026-10-01T03:00:00Z", "end": "2026-10-01T04:00:00Z"}
    told = {"name": name, "window": hour, **hour, "gpuCount": 1, "gpuCost": 2.5, "cpuCost": 0.1}
    return {**told, "properties": {**properties, **more.pop("properties", {})}, **more}


def one(script: Script, address: str, store: RawStore, *told: dict[str, Any]) -> dict[str, Any]:
    script.on(ALLOCATION, answered(*told))
    (row,) = rows(made(url=address), store).to_dicts()
    return row


def test_pods_and_idle_time_of_each_hour(store: RawStore) -> None:
    found = rows(recorded(), store)
    assert found.select("workload_id", "kind", "weight", "gpu_count", "gpu_utilization").rows() == [
        (f"prod/{NODE}/__idle__", "idle", Decimal("37.13"), None, None),
        ("prod/ml/job-0", "pod", Decimal("49.49"), 4, Decimal("0.71")),
        ("prod/ml/job-1", "pod", Decimal("11.86"), 2, Decimal("0.05")),
        ("prod/__unmounted__", "idle", 0, None, None),
        (f"prod/{NODE}/__idle__", "idle", Decimal("48.99"), None, None),
        ("prod/ml/job-0", "pod", Decimal("49.49"), 4, Decimal("0.69")),
    ]
    assert found["resource_id"].to_list() == [MACHINE, MACHINE, MACHINE, None, MACHINE, MACHINE]
    job = found.row(2, named=True)
    assert (job["started_at"], job["ended_at"]) == (THREE + HOUR / 2, THREE + HOUR)
    assert json.loads(job["attributes"])["provider_id"] == f"aws:///us-east-1a/{MACHINE}"
    assert found["tags"][1] == '{"app":"trainer","cost_center":"research","team":"vision"}'
    assert json.loads(found["attributes"][1])["containers"] == ["main", "sidecar"]


def test_the_pods_of_a_node_and_its_idle_time_cover_its_hour(store: RawStore) -> None:
    node_hour = Decimal("98.48")
    found = rows(recorded(), store).with_columns(pl.col("started_at").dt.truncate("1h"))
    sums = found.group_by("resource_id", "started_at").agg(pl.col("weight").sum())
    held = sums.filter(pl.col("resource_id").is_not_null())
    assert held["weight"].to_list() == [node_hour, node_hour]


def test_storage_and_network_have_no_part_in_the_node(
    script: Script, address: str, store: RawStore
) -> None:
    others = {"pvCost": 7, "networkCost": 3, "sharedCost": 2, "totalCost": 14.1}
    row = one(script, address, store, allocated() | others | {"gpuCostAdjustment": -0.5})
    assert row["weight"] == Decimal("2.1")
    assert json.loads(row["attributes"])["total_cost"] == "14.1"


def test_rows_go_to_the_warehouse_and_a_second_delivery_replaces_them(tmp_path: Path) -> None:
    warehouse = LocalWarehouse(tmp_path)
    store = RawStore(warehouse)
    provider = recorded()
    for _ in range(2):
        delivery = provider.fetch(WINDOW, store)
        listed = workloads.write(provider.workloads(delivery, store.path), delivery, warehouse)
        assert (listed.rows, listed.issues) == (6, ())
    written = workloads.read(warehouse, WINDOW).collect()
    assert written["workload_id"].n_unique() == 4
    assert set(written["raw_id"]) == {delivery.objects[0].sha256}


def test_a_number_that_is_null_is_unknown(script: Script, address: str, store: RawStore) -> None:
    row = one(script, address, store, allocated(ramCost=None, gpuCount=None))
    assert (row["weight"], row["gpu_count"], row["resource_id"]) == (None, None, None)


def test_idle_below_zero_was_not_idle(script: Script, address: str, store: RawStore) -> None:
    idle = allocated("c/n1/__idle__", gpuCost=-0.3, properties={"namespace": None, "pod": None})
    row = one(script, address, store, idle)
    assert (row["kind"], row["weight"]) == ("idle", 0)
    assert json.loads(row["attributes"])["node_cost"] == "-0.2"


def test_what_belongs_to_no_pod_is_held_by_nobody(
    script: Script, address: str, store: RawStore
) -> None:
    row = one(script, address, store, allocated("c/__unallocated__", properties={"node": None}))
    assert (row["kind"], row["workload_id"]) == ("idle", "c/__unallocated__")


def test_newer_releases_tell_the_gpu(script: Script, address: str, store: RawStore) -> None:
    gpu = {"gpuModel": "NVIDIA-H100-80GB-HBM3", "gpuRequestAverage": 0.5, "gpuUsageAverage": 0.2}
    row = one(script, address, store, allocated(gpuAllocation=gpu))
    assert (row["gpu_model"], row["gpu_count"]) == ("H100", Decimal("0.5"))


def test_a_cluster_may_be_given_a_name_of_its_own(store: RawStore) -> None:
    found = rows(recorded(cluster="east"), store)
    assert found["cluster"].unique().to_list() == ["east"]
    assert "east/ml/job-0" in found["workload_id"].to_list()


def test_pods_of_one_name_in_two_namespaces_stay_apart(
    script: Script, address: str, store: RawStore
) -> None:
    other = allocated("c/n1/web/job-0/main", properties={"namespace": "web"})
    script.on(ALLOCATION, answered(allocated(), other))
    found = rows(made(url=address), store)
    assert found["workload_id"].to_list() == ["c/ml/job-0", "c/web/job-0"]


def test_an_hour_that_is_not_over_is_running(script: Script, address: str, store: RawStore) -> None:
    dated = {"Content-Type": "application/json", "Date": "Thu, 01 Oct 2026 04:30:00 GMT"}
    script.on(ALLOCATION, Answer(SAVED.body, headers=dated))
    found = rows(made(url=address), store).filter(pl.col("kind") == "pod")
    assert found["is_running"].to_list() == [False, False, True]


@pytest.mark.parametrize(
    ("provider_id", "resource"),
    [
        ("aws:///us-east-1a/i-0abc", "i-0abc"),
        ("aws://us-east-1/us-east-1a/i-0abc", "i-0abc"),
        ("i-0abc", "i-0abc"),
        ("gce://acme-ml/us-central1-a/gke-a3-pool-1", "gke-a3-pool-1"),
        (
            f"azure://{GROUP}/providers/Microsoft.Compute/virtualMachines/Node-1",
            f"{GROUP.lower()}/providers/microsoft.compute/virtualmachines/node-1",
        ),
        (
            f"azure://{SCALE_SET}/virtualMachines/11",
            SCALE_SET.lower(),
        ),
        ("coreweave://g1Abc", "coreweave://g1Abc"),
    ],
)
def test_a_machine_is_called_as_on_its_bill(provider_id: str, resource: str) -> None:
    assert resource_id(provider_id) == resource


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("NVIDIA-H100-80GB-HBM3", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("Tesla T4", "T4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000"),
        ("NVIDIA Z9 unheard of", None),
    ],
)
def test_a_gpu_is_named_as_in_the_catalog(name: str, model: str | None) -> None:
    assert gpu_model(name) == model


def test_the_window_is_asked_for_a_few_hours_at_a_time(
    script: Script, address: str, store: RawStore
) -> None:
    script.on(ALLOCATION, SAVED)
    provider = made(url=address, hours_per_request=12)
    found = rows(provider, store, Window(date(2026, 9, 30), date(2026, 10, 2)))
    assert found.height == 6
    assert [request.parameters["window"] for request in script.requests] == [
        "2026-09-30T00:00:00Z,2026-09-30T12:00:00Z",
        "2026-09-30T12:00:00Z,2026-10-01T00:00:00Z",
        "2026-10-01T00:00:00Z,2026-10-01T12:00:00Z",
        "2026-10-01T12:00:00Z,2026-10-02T00:00:00Z",
    ]
    assert (
        script.requests[0].parameters.items()
        >= {
            "step": "1h",
            "accumulate": "false",
            "includeIdle": "true",
            "idleByNode": "true",
        }.items()
    )
    assert "authorization" not in script.requests[0].headers


def test_kubecost_has_its_own_path_and_parameter(
    script: Script, address: str, store: RawStore
) -> None:
    script.on("/model/allocation", SAVED)
    assert rows(made(url=address, api="kubecost"), store).height == 6
    assert script.requests[0].parameters["idle"] == "true"
    assert "includeIdle" not in script.requests[0].parameters


@pytest.mark.parametrize("user", [None, "finops"])
def test_a_credential_goes_into_the_header(
    user: str | None,
    script: Script,
    address: str,
    store: RawStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script.on(ALLOCATION, SAVED)
    provider = made(url=address, token_env="OPENCOST_TOKEN", user=user)
    with pytest.raises(ConfigError, match=r"sources\.prod: .* OPENCOST_TOKEN"):
        provider.fetch(WINDOW, store)
    monkeypatch.setenv("OPENCOST_TOKEN", "s3cret")
    provider.fetch(WINDOW, store)
    sent = script.requests[0].headers["authorization"]
    assert sent == ("Basic Zmlub3BzOnMzY3JldA==" if user else "Bearer s3cret")


@pytest.mark.parametrize("data", [None, [], [None], [{}]])
def test_nothing_ran(data: object, script: Script, address: str, store: RawStore) -> None:
    script.on(ALLOCATION, Answer(json.dumps({"code": 200, "data": data}).encode()))
    provider = made(url=address)
    delivery = provider.fetch(WINDOW, store)
    assert delivery.is_empty_for_sure
    assert len(script.requests) == 2 * 24 / 6
    assert (
        pl.concat(each.rows for each in provider.workloads(delivery, store.path))
        .collect()
        .is_empty()
    )


def test_an_invalid_window_is_plain_text(script: Script, address: str, store: RawStore) -> None:
    body = b"Invalid 'window' parameter: illegal window\n" + SAVED.body
    script.on(ALLOCATION, Answer(body, 400, {"Content-Type": "text/plain; charset=utf-8"}))
    with pytest.raises(Terminal, match=r"answered 400 \(Invalid 'window' parameter"):
        made(url=address).fetch(WINDOW, store)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"code": 500, "message": "no Prometheus", "data": None}, Transient),
        ({"code": 400, "message": "bad step", "data": None}, Terminal),
        ({"message": "hello"}, DataError),
        ([], DataError),
        ({"data": [{"c/n/ns/p/main": {"name": "x"}}]}, DataError),
        ({"data": ["x"]}, DataError),
        ({"data": [{"x": allocated(gpuCost="free")}]}, DataError),
    ],
)
def test_errors_and_unknown_shapes_within_a_200(
    told: Any, error: type[Exception], script: Script, address: str, store: RawStore
) -> None:
    script.on(ALLOCATION, Answer(json.dumps(told).encode()))
    with pytest.raises(error, match=ALLOCATION):
        made(url=address).fetch(WINDOW, store)


def test_probes(script: Script, address: str) -> None:
    script.on(ALLOCATION, *[Answer(b'{"data": null}')] * 8, SAVED)
    none = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
    script.on("/api/v1/query", Answer(none))
    probes = made(url=address, prometheus_url=address).probes()
    allocations, readings = probes.values()
    with pytest.raises(Terminal, match="tells nothing of yesterday; wait a day"):
        allocations()
    allocations()
    with pytest.raises(Terminal, match="no series of the DCGM exporter; install it"):
        readings()
    some = b'{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "8"]}]}}'
    script.on("/api/v1/query", Answer(some))
    readings()


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "exported_"])
def test_utilization_of_a_real_prometheus(
    prefix: str, tmp_path: Path, script: Script, address: str, store: RawStore
) -> None:
    def series(metric: str, gpu: int, pod: str, cluster: str = "prod") -> str:
        labels = f'{prefix}namespace="ml",{prefix}pod="{pod}",cluster="{cluster}",gpu="{gpu}"'
        return f"{metric}{{{labels}}}"

    def readings(first: int, count: int, value: str) -> list[tuple[datetime, str]]:
        return [(THREE + timedelta(minutes=first + each), value) for each in range(count)]

    engine, util = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
    samples = {
        # One GPU works all hour, the other cannot tell for half an hour and is idle in the rest.
        series(engine, 0, "job-0"): readings(0, 60, "1"),
        series(engine, 1, "job-0"): [
            *readings(0, 30, "9223372036854775807"),
            *readings(30, 30, "0"),
        ],
        series(util, 0, "job-0"): readings(0, 60, "100"),
        # This GPU has no profiling: percent are what there is.
        series(util, 2, "job-1"): readings(30, 30, "25"),
        series(util, 3, "job-1", cluster="test"): readings(0, 60, "99"),
    }
    script.on(ALLOCATION, SAVED)
    with served_prometheus(tmp_path, samples) as server:
        provider = made(
            url=address,
            prometheus_url=server.address,
            selector='cluster="prod"',
            exported_labels=bool(prefix),
        )
        found = rows(provider, store)
    used = {
        (row["name"], row["started_at"].hour): row["gpu_utilization"]
        for row in found.filter(pl.col("kind") == "pod").to_dicts()
    }
    assert used["ml/job-1", 3] == Decimal("0.25")
    assert used["ml/job-0", 3] == Decimal("0.6666666666666666")


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "opencost:9003"},
        {"api": "cloudability"},
        {"step_hours": 5},
        {"step_hours": 12},
        {"user": "finops"},
        {"selector": '{cluster="x"}'},
        {"token": "x"},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KubernetesSettings.model_validate(settings)


def test_same_replies_same_rows(store: RawStore) -> None:
    assert rows(recorded(), store).equals(rows(recorded(), store))
