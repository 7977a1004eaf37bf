"""GitHub Actions: usage that becomes charges, and jobs that become workloads."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tomli_w
from pydantic import ValidationError

from finops import checks, config, gpus
from finops.errors import ConfigError, DataError, Terminal, Transient
from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http, intake
from providers.github_actions import GitHubActions, GitHubActionsSettings
from providers.http import Pace
from providers.intake import Taking
from tests.stubs.scripted import JSON, Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures"
DAY = Window(date(2026, 10, 1), date(2026, 10, 2))
TWO_DAYS = Window(date(2026, 10, 1), date(2026, 10, 3))
TOKEN = "github_pat_SECRET123"
DATED = {"Date": "Thu, 01 Oct 2026 22:30:00 GMT"}
USAGE = "/organizations/acme/settings/billing/usage"
RUNS = "/repos/acme/train/actions/runs"
EMPTY = Answer(b'{"usageItems": []}')


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None, lambda: 0.0))
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)


@pytest.fixture
def github(address: str) -> GitHubActions:
    return made(organization="acme", api_url=address)


def made(**settings: Any) -> GitHubActions:
    return GitHubActions("ci", GitHubActionsSettings.model_validate(settings), FIXTURES)


def recorded(**settings: Any) -> GitHubActions:
    return made(organization="acme", recorded="github_actions", **settings)


def saved(path: str, headers: Mapping[str, str] = DATED) -> Answer:
    body = (FIXTURES / "github_actions" / f"{path}.json").read_bytes()
    return Answer(body, headers={**JSON, **headers})


def usage(*items: dict[str, Any]) -> Answer:
    item = {
        "date": "2026-10-01",
        "product": "Actions",
        "sku": "Actions Linux",
        "quantity": 10,
        "unitType": "minutes",
        "pricePerUnit": 0.006,
        "grossAmount": 0.06,
        "netAmount": 0.06,
        "organizationName": "acme",
        "repositoryName": "acme/train",
    }
    return Answer(json.dumps({"usageItems": [item | one for one in items]}).encode())


def runs(*ids: int, count: int | None = None) -> Answer:
    listed = [{"id": each, "updated_at": "2026-10-01T09:00:00Z"} for each in ids]
    document = {"total_count": len(ids) if count is None else count, "workflow_runs": listed}
    return Answer(json.dumps(document).encode())


def rows(provider: GitHubActions, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = [bill.rows for bill in provider.charges(delivery, store.path)]
    return pl.concat(bills, how="diagonal").collect()


def jobs(provider: GitHubActions, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    told = [each.rows for each in provider.workloads(delivery, store.path)]
    return pl.concat(told).collect().sort("workload_id")


def test_every_product_that_was_billed_becomes_a_row(store: RawStore) -> None:
    provider = recorded()
    found = rows(provider, provider.fetch(DAY, store), store)
    assert found.select("ServiceName", "SkuId", "x_SkuName", "ListCost", "BilledCost").rows() == [
        ("GitHub Actions", "actions_linux", "Actions Linux", "0.6", "0"),
        ("GitHub Actions", "linux_4_core_gpu", "Actions Linux 4-core GPU", "4.706", "4.706"),
        ("GitHub Copilot", "copilot_business", "Copilot Business", "11.4", "11.4"),
        ("GitHub Packages", "packages_storage", "Packages storage", "0.0067204", "0.0067204"),
        ("Quantum", "quantum_gate", "quantum_gate", "2", "2"),
    ]
    assert found["ResourceId"].to_list() == ["acme/train", "acme/train", None, "acme/train", None]
    assert found["ConsumedQuantity"].to_list() == ["100", "90.5", "0.6", "20.000000001", "1"]
    units = found["ConsumedUnit"].to_list()
    assert units == ["Minutes", "Minutes", "User-Months", "GB-Hours", "Gates"]
    assert found["ChargePeriodStart"].unique().to_list() == [datetime(2026, 10, 1, tzinfo=UTC)]
    assert found["ChargePeriodEnd"].unique().to_list() == [datetime(2026, 10, 2, tzinfo=UTC)]


def test_rows_are_a_whole_focus_bill(store: RawStore) -> None:
    provider = recorded()
    bills = list(provider.charges(provider.fetch(TWO_DAYS, store), store.path))
    lifted = pl.concat(
        [canonical(bill.rows, bill.raw.name).collect() for bill in bills], how="diagonal"
    )
    assert lifted["BilledCost"].sum() == Decimal("18.1307204")
    assert lifted["EffectiveCost"].sum() == Decimal("18.1307204")
    assert lifted["ListCost"].sum() == Decimal("18.7307204")
    assert checks.counts(lifted) == {}


@pytest.mark.skipif(
    "linux_4_core_gpu" not in gpus.known("github_actions"),
    reason="the reference table does not list GitHub's GPU runners",
)
def test_gpu_runners_have_gpu_facts(store: RawStore) -> None:
    provider = recorded(runner_skus={"gpu-t4": "linux_4_core_gpu"})
    delivery = provider.fetch(DAY, store)
    charged = rows(provider, delivery, store).row(1, named=True)
    assert (charged["x_GpuModel"], charged["x_GpuCount"]) == ("T4", 1)
    assert charged["x_GpuHours"] == "1.508333333333333333"
    held = jobs(provider, delivery, store).select("gpu_model", "gpu_count").rows()
    assert held[1] == ("T4", Decimal(1))


def test_each_day_is_asked_for_once_and_an_empty_one_twice(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, EMPTY, EMPTY, usage({"date": "2026-10-02", "product": "Copilot"}))
    delivery = github.fetch(TWO_DAYS, store)
    asked = script.asked(USAGE)
    days = [request.parameters["day"] for request in asked]
    assert days == ["1", "1", "2"]
    assert asked[0].parameters == {"year": "2026", "month": "10", "day": "1"}
    assert asked[0].headers["accept"] == "application/vnd.github+json"
    assert asked[0].headers["x-github-api-version"] == "2022-11-28"
    assert delivery.is_empty_for_sure


def test_today_is_provisional(github: GitHubActions, script: Script, store: RawStore) -> None:
    script.on(USAGE, saved("organizations/acme/settings/billing/usage"))
    with pytest.raises(DataError, match="tells of 2026-10-02, though only 2026-10-01 was asked"):
        github.fetch(DAY, store)
    body = usage({"product": "Copilot"}).body
    script.on(USAGE, Answer(body, headers=JSON | DATED))
    found = rows(github, github.fetch(DAY, store), store)
    assert found["x_Provisional"].to_list() == [True]
    assert script.asked(f"{USAGE}/summary") == []


def test_an_item_without_an_amount_goes_to_quarantine_and_nothing_else(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({"product": "Copilot", "netAmount": None}, {"product": "Copilot"}))
    bill = next(github.charges(github.fetch(DAY, store), store.path))
    counted = checks.counts(canonical(bill.rows, bill.raw.name).collect())
    assert [name for name in counted if checks.quarantines(name)] == ["BilledCost: is missing"]


def test_products_can_be_chosen(store: RawStore) -> None:
    provider = recorded(products=["Copilot"])
    found = rows(provider, provider.fetch(DAY, store), store)
    assert found["ServiceName"].to_list() == ["GitHub Copilot"]


def test_the_days_summary_is_a_figure_to_reconcile_with(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({"product": "Copilot"}))
    script.on(
        f"{USAGE}/summary", Answer(b'{"usageItems": [{"netAmount": 0.05}, {"netAmount": 1}]}')
    )
    (stated,) = github.fetch(DAY, store).stated
    assert stated.billed == {"USD": Decimal("1.05")}


@pytest.mark.parametrize("status", [403, 404])
def test_an_account_without_summaries_is_not_reconciled(
    status: int, github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({"product": "Copilot"}))
    script.on(f"{USAGE}/summary", Answer(b"no", status))
    assert github.fetch(DAY, store).stated == ()


def test_an_enterprise_tells_of_every_cost_center(
    address: str, script: Script, store: RawStore
) -> None:
    place = "/enterprises/globex/settings/billing"
    centers = b'{"costCenters": [{"id": "cc-1", "name": "Vision", "state": "active"}]}'
    script.on(f"{place}/cost-centers", Answer(centers))
    script.on(
        f"{place}/usage",
        usage({"product": "Copilot"}),
        usage({"product": "Copilot", "netAmount": 7}),
    )
    script.on(f"{place}/usage/summary", Answer(b'{"usageItems": [{"netAmount": 7.06}]}'))
    provider = made(enterprise="globex", api_url=address)
    delivery = provider.fetch(DAY, store)
    found = rows(provider, delivery, store)
    columns = ("BillingAccountId", "SubAccountId", "BilledCost", "x_GitHubCostCenterName")
    assert found.select(columns).rows() == [
        ("globex", "acme", "0.06", None),
        ("globex", "acme", "7", "Vision"),
    ]
    asked = [request.parameters.get("cost_center_id") for request in script.asked(f"{place}/usage")]
    assert asked == [None, "cc-1"]
    (stated,) = delivery.stated
    assert stated.raw_ids == {raw.sha256 for raw in delivery.objects}


def test_jobs_share_the_repositorys_cost_by_rounded_minutes(store: RawStore) -> None:
    provider = recorded(runner_skus={"gpu-t4": "linux_4_core_gpu"})
    found = jobs(provider, provider.fetch(DAY, store), store)
    assert found.select("workload_id", "name", "is_running", "weight").rows() == [
        ("501/1/9001", "train / lint", False, Decimal("0.012")),
        ("501/1/9002", "train / fit", False, Decimal("3.12")),
        ("501/1/9003", "train / publish", False, Decimal(0)),
        ("501/1/9006", "train / simulate", False, None),
        ("501/2/9004", "train / fit", True, Decimal(0)),
        ("501/2/9005", "train / evaluate", True, Decimal(0)),
    ]
    assert found["resource_id"].to_list() == [*["acme/train"] * 3, None, *["acme/train"] * 2]
    took = (found["ended_at"] - found["started_at"]).dt.total_seconds().to_list()
    assert took == [61, 3600, 0, 1800, 0, 0]
    assert json.loads(found["tags"][0]) == {
        "repository": "acme/train",
        "runner_group": "GitHub Actions",
        "workflow": "train",
    }


def test_a_label_that_nobody_knows_costs_the_repositorys_average(store: RawStore) -> None:
    provider = recorded()
    found = jobs(provider, provider.fetch(DAY, store), store)
    # 0.60 and 4.706 US dollars for 190.5 minutes, times the hour that the job took.
    assert found["weight"][1] == Decimal("1.671181102362204724")


def test_a_self_hosted_runners_name_leads_to_its_machine(store: RawStore) -> None:
    provider = recorded(resource_id_pattern="^(i-[0-9a-f]+)-")
    held = jobs(provider, provider.fetch(DAY, store), store).row(3, named=True)
    assert (held["resource_id"], held["node"]) == ("i-0abc12def", "i-0abc12def-runner")


def test_a_job_in_progress_reached_until_github_answered(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({}))
    script.on(RUNS, runs(501))
    script.on(f"{RUNS}/501/jobs", saved("repos/acme/train/actions/runs/501/jobs"))
    found = jobs(github, github.fetch(DAY, store), store)
    assert found["ended_at"][4] == datetime(2026, 10, 1, 22, 30, tzinfo=UTC)


def test_only_repositories_with_billed_minutes_and_runs_of_these_days_are_asked(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    storage = {"repositoryName": "acme/docs", "unitType": "GigabyteHours"}
    script.on(USAGE, usage({}, storage))
    script.on(RUNS, saved("repos/acme/train/actions/runs"))
    script.on(f"{RUNS}/501/jobs", Answer(b'{"total_count": 0, "jobs": []}'))
    github.fetch(DAY, store)
    assert script.asked(".*docs.*") == []
    assert script.asked(f"{RUNS}/400/jobs") == []
    (asked,) = script.asked(RUNS)
    assert asked.parameters["created"] == "2026-09-28T00:00:00Z..2026-10-01T23:59:59Z"
    (asked,) = script.asked(f"{RUNS}/501/jobs")
    assert asked.parameters == {"filter": "all", "per_page": "100"}


def test_more_runs_than_a_search_lists_are_searched_in_halves(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({}))
    script.on(RUNS, runs(1, count=2500), runs(1), runs(2))
    script.on(f"{RUNS}/./jobs", Answer(b'{"total_count": 0, "jobs": []}'))
    github.fetch(DAY, store)
    assert [request.parameters["created"] for request in script.asked(RUNS)[1:]] == [
        "2026-09-28T00:00:00Z..2026-09-29T23:59:59Z",
        "2026-09-30T00:00:00Z..2026-10-01T23:59:59Z",
    ]
    assert len(script.asked(f"{RUNS}/./jobs")) == 2


def test_a_renamed_repository_is_followed_on_the_same_host(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    elsewhere = {"Location": "https://evil.example/repositories/42/actions/runs?page=1"}
    script.on(USAGE, usage({}))
    script.on(RUNS, Answer(b"{}", 301, JSON | elsewhere))
    script.on("/repositories/42/actions/runs", runs())
    assert github.fetch(DAY, store).issues == ()
    assert len(script.asked("/repositories/42/actions/runs")) == 2


def test_a_repository_out_of_reach_is_named_and_its_cost_is_kept(
    address: str, script: Script, tmp_path: Path
) -> None:
    script.on(USAGE, usage({}))
    source = {"provider": "github_actions", "organization": "acme", "api_url": address}
    settings = {"company": "Acme", "ledger": {"origin": "a.example"}, "sources": {"ci": source}}
    (tmp_path / "finops.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    taken = intake.take(config.load(tmp_path / "finops.toml"), warehouse, Taking("ci", DAY))
    assert taken.charges is not None
    assert taken.charges.billed == {"USD": Decimal("0.06")}
    (issue,) = [each for each in taken.issues if "404" in str(each)]
    assert str(issue).startswith("ci: the jobs of acme/train could not be read")


def test_the_refusal_names_the_permission(
    github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, Answer(b'{"message": "Not Found"}', 404))
    with pytest.raises(Terminal, match=r"'Administration' \(read\)"):
        github.fetch(DAY, store)


def test_probes_try_billing_and_one_repository(github: GitHubActions, script: Script) -> None:
    script.on(USAGE, usage({}))
    script.on(RUNS, Answer(b"no", 403))
    billing, jobs_of_one = github.probes().values()
    billing()
    with pytest.raises(Terminal, match=r"'Actions' \(read\)"):
        jobs_of_one()
    script.on(USAGE, EMPTY)
    with pytest.raises(Transient, match="no repository had runner minutes yesterday"):
        jobs_of_one()


def test_missing_token(
    github: GitHubActions, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(ConfigError, match=r"sources\.ci: .* GITHUB_TOKEN"):
        github.fetch(DAY, store)


@pytest.mark.parametrize("body", [b"[]", b'{"usageItems": [{}]}', b'{"usageItems": [1]}'])
def test_usage_of_unknown_shape_is_refused(
    body: bytes, github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, Answer(body))
    with pytest.raises(DataError, match="billing usage as it is known"):
        github.fetch(DAY, store)


@pytest.mark.parametrize(
    "body", [b"[]", b'{"jobs": [{}]}', b'{"jobs": [{"id": 1, "run_id": 1, "name": "x"}]}']
)
def test_jobs_of_unknown_shape_are_refused_before_charges_are_written(
    body: bytes, github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({}))
    script.on(RUNS, runs(501))
    script.on(f"{RUNS}/501/jobs", Answer(body))
    with pytest.raises(DataError, match="list of GitHub jobs as it is known"):
        github.fetch(DAY, store)


@pytest.mark.parametrize("body", [b"[]", b'{"workflow_runs": [{}], "total_count": 1}'])
def test_runs_of_unknown_shape_are_refused(
    body: bytes, github: GitHubActions, script: Script, store: RawStore
) -> None:
    script.on(USAGE, usage({}))
    script.on(RUNS, Answer(body))
    with pytest.raises(DataError, match="list of GitHub workflow runs as it is known"):
        github.fetch(DAY, store)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"organization": "acme", "enterprise": "globex"},
        {"organization": "acme", "api_url": "github.com"},
        {"organization": "acme", "repositories": ["train"]},
        {"organization": "acme", "resource_id_pattern": "("},
        {"organization": "acme", "earlier_days": -1},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GitHubActionsSettings.model_validate(settings)
