"""The demo company: its files are what its generator writes, and keep what its README promises."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from finops import budgets, charges, config, coverage, organization, quarantine
from finops.organization import CostCenterType
from finops.warehouse.local import LocalWarehouse
from providers import intake, registry
from providers.intake import Taking
from tests import demo_company
from tests.demo_company import DEMO, MONTH, PERIOD, README, Company, shown, table, total

RESTATED_DAY = date(2026, 10, 21)
GENERATED = ("README.md", "bills", "restated", "work")
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, str(DEMO / "generate.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return demo_company.company(tmp_path_factory.mktemp("warehouse"))


def files_below(folder: Path) -> Iterator[Path]:
    for name in GENERATED:
        top = folder / name
        found = [top] if top.is_file() else top.rglob("*")
        yield from (file.relative_to(folder) for file in found if file.is_file())


# The files and their generator


def test_generator_writes_the_same_set_of_files(generated: Path) -> None:
    assert sorted(files_below(generated)) == sorted(files_below(DEMO))


def test_generator_writes_the_same_content(generated: Path) -> None:
    differing = [file for file in files_below(DEMO) if not same(generated / file, DEMO / file)]
    assert differing == [], "run `python data/demo/generate.py` and commit what it writes"


def same(new: Path, old: Path) -> bool:
    """Compare content: how gzip and Parquet pack it depends on the libraries' versions."""
    if old.suffix == ".parquet":
        left, right = pq.read_table(new), pq.read_table(old)
        return bool(left.equals(right) and left.schema.equals(right.schema))
    if old.suffix == ".gz":
        return gzip.decompress(new.read_bytes()) == gzip.decompress(old.read_bytes())
    return new.read_bytes() == old.read_bytes()


def test_demo_is_small() -> None:
    assert sum((DEMO / file).stat().st_size for file in files_below(DEMO)) < MOST_BYTES


def test_nobody_real_is_named() -> None:
    text = "".join(
        (DEMO / name).read_text("utf-8") for name in ("organization.toml", "finops.toml")
    )
    hosts = re.findall(r"[\w.]+@([\w.]+)", text)
    assert set(hosts) == {"northlight.example"}


# The company


def test_sources_have_no_issue() -> None:
    assert registry.check(config.load(DEMO)) == []


def test_company_has_four_units_twelve_teams_thirty_projects() -> None:
    people = organization.load(DEMO / "organization.toml")
    types = Counter(center.type for center in people.cost_centers.values())
    assert types == {
        CostCenterType.BUSINESS_UNIT: 4,
        CostCenterType.TEAM: 12,
        CostCenterType.PROJECT: 30,
    }


def test_projects_are_below_teams_below_units() -> None:
    people = organization.load(DEMO / "organization.toml").cost_centers
    above = {
        CostCenterType.PROJECT: CostCenterType.TEAM,
        CostCenterType.TEAM: CostCenterType.BUSINESS_UNIT,
    }
    for id_, center in people.items():
        parent = people[center.parent].type if center.parent else None
        assert parent == above.get(center.type), id_


def test_every_unit_and_team_has_an_owner() -> None:
    people = organization.load(DEMO / "organization.toml").cost_centers
    lonely = [id_ for id_, center in people.items() if not center.owners]
    assert all(people[id_].type is CostCenterType.PROJECT for id_ in lonely)


def test_every_rule_and_every_project_is_used(company: Company) -> None:
    used = company.allocations
    assert {rule.id for rule in company.organization.rules} <= set(used["rule"])
    projects = {
        id_
        for id_, center in company.organization.cost_centers.items()
        if center.type is CostCenterType.PROJECT
    }
    assert projects <= set(used["cost_center"])


# The bills


def test_readme_tells_rows_and_money_of_every_source(company: Company) -> None:
    listed = table("source | what it is | rows")
    assert {row[0] for row in listed} == set(company.charges["source"])
    for name, _, rows, billed, currencies, _ in listed:
        found = company.taken[name].charges
        assert found is not None, name
        made_by_us = 1 if name == "aws-research" else 0  # the unused part of the reservation
        assert (f"{found.rows - made_by_us:,}", currencies) == (
            rows,
            " and ".join(sorted(found.billed)),
        ), name
        assert shown(sum(found.billed.values(), Decimal(0))) == billed, name
        assert found.outside_rows == 0, name
        assert found.rounding == {}, name


def test_readme_tells_gpu_hours_of_every_source(company: Company) -> None:
    sums = company.charges.group_by("source").agg(pl.col("x_GpuHours").sum())
    found = {name: f"{hours.quantize(Decimal('0.1')):,}" for name, hours in sums.iter_rows()}
    assert {row[0]: row[5] for row in table("source | what it is | rows")} == found


def test_only_the_quarantined_rows_have_issues(company: Company) -> None:
    issues = {name: [str(each) for each in done.issues] for name, done in company.taken.items()}
    assert {name: found for name, found in issues.items() if found} == {
        "harbor": [
            "harbor-2026-10.csv: BillingCurrency: is no ISO 4217 code such as USD (2 rows)",
            (
                "harbor-2026-10.csv: ChargeCategory: is none of Usage, Purchase, Tax, Credit, "
                "Adjustment (1 row)"
            ),
        ],
    }


def test_readme_lists_the_quarantined_rows(company: Company) -> None:
    partitions = charges.partitions(company.warehouse, charges.QUARANTINE)
    set_aside = pl.concat(
        [
            pl.read_parquet(company.warehouse.local(each.key(charges.QUARANTINE)))
            for each in partitions
        ]
    ).select("BillingCurrency", "ChargeCategory", "BilledCost")
    found = [(currency, kind, shown(cost)) for currency, kind, cost in set_aside.iter_rows()]
    assert sorted(found) == sorted(tuple(row[2:]) for row in table("source | day"))


def test_azure_bills_in_euro_and_nobody_else_does(company: Company) -> None:
    euro = company.charges.filter(pl.col("BillingCurrency") == "EUR")
    assert euro["source"].unique().to_list() == ["azure"]


def test_bill_has_tax_and_negative_credits(company: Company) -> None:
    categories = company.charges.group_by("ChargeCategory").agg(pl.col("BilledCost").sum())
    by_category = dict(categories.iter_rows())
    assert by_category["Tax"] > 0
    assert by_category["Credit"] < 0


def test_commitments_are_billed_once_and_effective_where_used(company: Company) -> None:
    plan = company.charges.filter(pl.col("CommitmentDiscountType") == "Compute Savings Plan")
    bought = plan.filter(pl.col("ChargeCategory") == "Purchase")
    rest = plan.filter(pl.col("ChargeCategory") == "Usage")
    assert total(bought, "BilledCost") == total(rest, "EffectiveCost") > 0
    assert total(bought, "EffectiveCost") == total(rest, "BilledCost") == 0
    assert set(rest["CommitmentDiscountStatus"]) == {"Used", "Unused"}
    assert f"({shown(total(bought, 'BilledCost'))} USD)" in README


def test_rate_card_costs_say_so(company: Company) -> None:
    derived = company.charges.filter(pl.col("x_CostSource") == "rate_card")
    assert set(derived["source"]) == {"coreweave", "lambda"}


def test_offices_are_quiet_at_weekends(company: Company) -> None:
    vision = company.charges.filter(pl.col("ResourceId") == "i-0vision-1")
    is_weekend = pl.col("ChargePeriodStart").dt.weekday() > 5
    by_hours = vision.sort("ConsumedQuantity")
    longest_weekend = total(by_hours.filter(is_weekend).tail(1), "ConsumedQuantity")
    shortest_weekday = total(by_hours.filter(~is_weekend).head(1), "ConsumedQuantity")
    assert longest_weekend * 2 < shortest_weekday


# The story


def test_budgets_are_as_the_readme_says(company: Company) -> None:
    found = budgets.statuses(company.allocations.lazy(), company.organization, PERIOD)
    expected = {
        (each.name, each.currency, shown(each.spent), f"{each.percent} %") for each in found
    }
    assert {(row[0], row[2], row[4], row[5]) for row in table("cost center |")} == expected


def test_one_team_is_over_one_above_80_one_above_50_percent(company: Company) -> None:
    found = budgets.statuses(company.allocations.lazy(), company.organization, PERIOD)
    people = company.organization.cost_centers
    teams = {
        each.cost_center: each.percent
        for each in found
        if people[each.cost_center].type is CostCenterType.TEAM
    }
    assert [name for name, percent in teams.items() if percent >= 100] == ["foundation_models"]
    assert [name for name, percent in teams.items() if 80 <= percent < 100] == ["perception"]
    assert [name for name, percent in teams.items() if 50 <= percent < 80] == ["planning"]


def test_training_week_stands_out(company: Company) -> None:
    team = company.carried_by("foundation_models")
    by_day = dict(team.group_by("day").agg(pl.col("effective_cost").sum()).iter_rows())
    training = {day for day in by_day if 13 <= day.day <= 17}
    others = {day for day in by_day if day.day < 12 or day.day > 18}
    assert min(by_day[day] for day in training) > 2 * max(by_day[day] for day in others)


def test_coverage_is_as_the_readme_says(company: Company) -> None:
    set_aside = quarantine.summary(company.warehouse, PERIOD)
    found = {
        each.currency: each.whole
        for each in coverage.coverage(company.allocations.lazy(), set_aside)
    }
    for currency, *amounts, _ in table("currency | billed"):
        share = found.pop(currency)
        parts = (share.billed, share.allocated, share.unallocated, share.quarantined)
        assert [shown(part) for part in parts] == amounts
    assert set(found) == {"US$"}


def test_unallocated_charges_have_the_promised_reasons(company: Company) -> None:
    nobody = company.allocations.filter(pl.col("cost_center").is_null())
    reasons: dict[str, str] = dict(nobody.select("resource", "reason").iter_rows())
    assert set(reasons) == {
        "x4k8untagged2b7",
        "i-0labelqa-1",
        "i-0labelqa-2",
        "nat-0c4f17aa9be0d2231",
        "vol-0forgotten7731",
    }
    assert "percepton" in reasons["i-0labelqa-1"]
    assert reasons["x4k8untagged2b7"].startswith("no tag project and no tag team")
    pod = nobody.filter(pl.col("resource") == "x4k8untagged2b7")
    assert f"{len(pod)} hours" in README
    assert f"{shown(total(pod, 'billed_cost'))} USD so far" in README


def test_terminated_pod_is_gone_from_the_list_and_found_by_its_id(company: Company) -> None:
    listed = json.loads((DEMO / "bills/runpod/v2/pods.json").read_text("utf-8"))["pods"]
    gone = company.charges.filter(pl.col("ResourceId") == "q7m2terminated9x")
    assert "q7m2terminated9x" not in [pod["id"] for pod in listed]
    assert len(gone) > 0
    assert gone["Tags"].null_count() == gone["x_GpuModel"].null_count() == len(gone)
    carried = company.allocations.filter(pl.col("resource") == "q7m2terminated9x")
    assert set(carried["cost_center"]) == {"depth_anywhere"}


def test_shared_cluster_is_divided_as_the_readme_says(company: Company) -> None:
    people = company.organization.cost_centers
    pods = company.allocations.filter(pl.col("reason").str.starts_with("pod "))
    rest = company.allocations.filter(pl.col("rule") == "shared-cluster")
    held, shared = (
        dict(each.group_by("cost_center").agg(pl.col("effective_cost").sum()).iter_rows())
        for each in (pods, rest)
    )
    expected = {
        people[id_].name: (shown(held[id_]), shown(amount), shown(held[id_] + amount))
        for id_, amount in shared.items()
    }
    listed = table("team | its pods held")
    assert {row[0]: (row[1], row[3], row[4]) for row in listed} == expected


def test_what_nobody_held_is_idle(company: Company) -> None:
    idle = company.allocations.filter(pl.col("step") == "idle")
    whose = idle.group_by("rule").agg(pl.col("resource").unique(), pl.col("cost_center").unique())
    told = {rule: (set(resources), set(centers)) for rule, resources, centers in whose.iter_rows()}
    assert told.pop("idle.owners.foundation_models") == (
        {"i5t2instruct01"},
        {"foundation_models"},
    )
    assert told.pop("project-tag") == ({"n1g7nightvision"}, {"night_vision"})
    machines, teams = told.pop("shared-cluster")
    assert machines == {"i-0orion-reserved-1", "i-0orion-reserved-2", "i-0orion-burst"}
    assert teams == set(company.organization.splits["orion"].members)
    assert told == {}


def test_entries_say_what_the_readme_quotes(company: Company) -> None:
    quoted = re.findall(r"`((?:pod|nobody) [^`]*held[^`]*)`", README)
    assert len(quoted) == 2
    reasons = set(company.allocations["reason"])
    assert {each.replace("\n", " ") for each in quoted} <= reasons


def test_h100_prices_differ_as_the_readme_says(company: Company) -> None:
    h100 = company.allocations.filter(pl.col("gpu_model") == "H100")
    sums = h100.group_by("service_provider").agg(pl.col("effective_cost", "gpu_hours").sum())
    listed = {row[0]: Decimal(row[4]) for row in table("provider | GPU-hours")}
    assert set(listed) == set(sums["service_provider"])
    assert len(set(listed.values())) == 6
    for provider, cost, hours in sums.iter_rows():
        assert abs(cost / hours - listed[provider]) < Decimal("0.0006"), provider


# The restated day


def test_restatement_changes_one_day_and_nothing_else(company: Company, tmp_path: Path) -> None:
    copy = tmp_path / "northlight"
    shutil.copytree(DEMO / "bills", copy / "bills")
    shutil.copytree(DEMO / "restated", copy, dirs_exist_ok=True)
    shutil.copy(DEMO / "finops.toml", copy)
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    intake.take(config.load(copy), warehouse, Taking("aws-main", MONTH))
    before = company.charges.filter(pl.col("source") == "aws-main")
    after = pl.concat(
        [charges.read(warehouse, each) for each in charges.partitions(warehouse)]
    ).collect()

    gone = before.join(after, on="x_ChargeId", how="anti")
    new = after.join(before, on="x_ChargeId", how="anti")

    days = pl.concat([gone, new], how="diagonal")["ChargePeriodStart"].dt.date().unique().to_list()
    assert days == [RESTATED_DAY]
    assert Counter(gone["ResourceId"]) == {"i-0detect": 1, "i-0slam-1": 1}
    assert Counter(new["ResourceId"]) == {"i-0detect": 1, None: 1}
    assert new.filter(pl.col("ChargeCategory") == "Credit")["BilledCost"].to_list() == [
        Decimal("-312.4")
    ]
    difference = total(after, "BilledCost") - total(before, "BilledCost")
    assert f"**{shown(difference)} USD**" in README


def test_restated_folder_holds_only_what_changes() -> None:
    run = "20261103T040957Z"
    files = [file for file in (DEMO / "restated").rglob("*") if file.is_file()]
    new = [file for file in files if any(part.startswith(run) for part in file.parts)]
    rest = [file.relative_to(DEMO / "restated") for file in files if file not in new]
    assert len(new) == 2
    assert [file.name for file in rest] == ["northlight-focus-Manifest.json"]
    assert (DEMO / rest[0]).read_bytes() != (DEMO / "restated" / rest[0]).read_bytes()
