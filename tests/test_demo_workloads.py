"""Who did what in the demo company: pods, builds, jobs and runs, as its README tells them."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import config, workloads
from finops.errors import Issue
from finops.warehouse.local import LocalWarehouse
from providers import intake
from providers.intake import Taking
from tests.demo_company import DEMO, MONTH, README, table

SOURCES = ("orion", "jenkins", "github", "training")
KINDS = {"pods": "pod", "builds": "build", "jobs": "job", "runs": "run"}
NODES = {"i-0orion-reserved-1", "i-0orion-reserved-2", "i-0orion-burst"}


class Worked:
    """What the demo's sources of workloads tell of October."""

    def __init__(self, folder: Path) -> None:
        settings, warehouse = config.load(DEMO), LocalWarehouse(folder)
        taken = [intake.take(settings, warehouse, Taking(name, MONTH)) for name in SOURCES]
        self.issues: list[Issue] = [issue for one in taken for issue in one.issues]
        self.rows = workloads.read(warehouse, MONTH).collect()
        bill = intake.take(settings, warehouse, Taking("aws-main", MONTH)).charges
        assert bill is not None
        self.billed = pl.concat(
            [
                pl.read_parquet(warehouse.local(key), columns=["ResourceId"])
                for key in warehouse.list("charges/")
                if "source=aws-main" in key
            ]
        )


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    return Worked(tmp_path_factory.mktemp("warehouse"))


def test_every_source_of_workloads_is_told_and_none_has_an_issue(worked: Worked) -> None:
    assert set(worked.rows["source"]) == set(SOURCES)
    assert worked.issues == []


def test_readme_counts_pods_builds_jobs_and_runs(worked: Worked) -> None:
    listed = table("source | what it is | what it tells")
    assert [row[0] for row in listed] == list(SOURCES)
    for source, _, told in listed:
        count, kinds = told.split(" ")
        mine = worked.rows.filter(source=source, kind=KINDS[kinds])
        assert mine["workload_id"].n_unique() == int(count), source


def test_readme_counts_stages(worked: Worked) -> None:
    stages = worked.rows.filter(kind="stage")["workload_id"].n_unique()
    assert f"(and {stages} stages of its pipelines)" in README


def test_readme_tells_how_much_of_the_cluster_is_idle(worked: Worked) -> None:
    nodes = worked.rows.filter(source="orion")
    idle = Decimal(nodes.filter(kind="idle")["weight"].sum())
    share = idle * 100 / Decimal(nodes["weight"].sum())
    assert f"**{share.quantize(Decimal('0.01'))} % of them was idle.**" in README


def test_readme_tells_how_busy_the_held_notebook_is(worked: Worked) -> None:
    notebook = worked.rows.filter(name="planning/notebook-planner-0")["gpu_utilization"]
    busy = Decimal(notebook.sum()) * 100 / len(notebook)
    assert len(notebook) == 31
    assert f"busy for {busy.quantize(Decimal('0.1'))} % of the time" in README


def test_nodes_of_the_cluster_are_instances_of_the_aws_bill(worked: Worked) -> None:
    assert set(worked.rows.filter(source="orion")["resource_id"]) == NODES
    assert set(worked.billed["ResourceId"]) >= NODES


def test_no_pod_holds_gpus_that_its_node_has_not(worked: Worked) -> None:
    held = worked.rows.filter(kind="pod").group_by("resource_id", pl.col("started_at").dt.date())
    assert all(gpus <= 8 for gpus in held.agg(pl.col("gpu_count").sum())["gpu_count"])


def test_builds_ran_on_instances_of_the_aws_bill(worked: Worked) -> None:
    machines = set(worked.rows.filter(source="jenkins")["resource_id"])
    assert machines == {"i-0motion-1", "i-0motion-2", "i-0motion-3"}
    assert machines <= set(worked.billed["ResourceId"])


def test_runs_hold_the_gpus_of_pods_that_runpod_bills(worked: Worked) -> None:
    runs = worked.rows.filter(kind="run").select("resource_id", "gpu_model", "gpu_count").unique()
    assert sorted(runs.rows()) == [
        ("i5t2instruct01", "H100", Decimal(4)),
        ("n1g7nightvision", "H100", Decimal(8)),
    ]


def test_billed_minutes_are_those_of_the_jobs(worked: Worked) -> None:
    place = DEMO / "bills/github/organizations/northlight/settings/billing/usage.json"
    billed: Counter[tuple[str, bool]] = Counter()
    for item in json.loads(place.read_bytes())["usageItems"]:
        if item["product"] == "Actions":
            billed[item["repositoryName"], "GPU" in item["sku"]] += item["quantity"]
    worked_for: Counter[tuple[str, bool]] = Counter()
    for job in worked.rows.filter(kind="job").iter_rows(named=True):
        minutes = int(json.loads(job["attributes"])["minutes"])
        worked_for[job["resource_id"], job["gpu_model"] == "T4"] += minutes
    assert worked_for == billed


def test_no_file_of_the_demo_holds_an_email_address() -> None:
    for file in (DEMO / "work").rglob("*"):
        assert file.is_dir() or b"@" not in file.read_bytes(), file
