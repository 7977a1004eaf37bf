from decimal import Decimal

from tests.finops.machine import allocated, company, machine, pod, said


def test_a_pod_of_nobody_is_named() -> None:
    rules = [{"id": "tag", "match": {"Tags.team": True}, "cost_center_from": "Tags.team"}]
    found = allocated(pod("nobody", 0, 12, "8"), org=company(rules=rules))
    assert said(found) == [(None, "unallocated", "40")] * 2
    assert found["reason"].to_list() == [
        "idle: no tag team, and no other rule matches",
        "pod nobody/train: tag team = 'nobody' names no cost center",
    ]


def test_rules_look_at_workloads() -> None:
    rules = [
        {"id": "debug", "match": {"Workload.name": "*/debug"}, "cost_center": "pool"},
        {"id": "builds", "match": {"Workload": {"kind": "build"}}, "cost_center": "web"},
        {"id": "rest", "match": {"Workload.kind": False}, "cost_center": "ops"},
    ]
    told = [
        pod("ml", 0, 24, "1", name="ml/debug"),
        pod("ml", 0, 24, "2", kind="build"),
        pod("ml", 0, 24, "3"),
    ]
    found = allocated(*told, org=company(rules=rules))
    assert said(found) == [
        ("ops", "idle", "20"),
        ("pool", "workload", "10"),
        ("web", "workload", "20"),
        (None, "unallocated", "30"),
    ]


def test_a_workloads_tags_lie_over_those_of_the_machine() -> None:
    bill = [machine(Tags='{"team": "ops", "env": "prod"}')]
    rules = [{"id": "env", "match": {"Tags.env": "prod"}, "cost_center_from": "Tags.team"}]
    assert said(allocated(pod("ml", 0, 6, "8"), bill=bill, org=company(rules=rules))) == [
        ("ml", "workload", "20"),
        ("ops", "idle", "60"),
    ]


def test_what_was_used_of_what_was_held_is_told_and_moves_no_money() -> None:
    used = {"gpu_utilization": Decimal("0.04")}
    found = allocated(pod("ml", 0, 24, "8", **used))
    assert said(found) == [("ml", "workload", "80")]
    assert found["reason"].to_list() == [
        "pod ml/train held 100.0 % of the GPU time, used 4.0 % of that"
    ]


def test_a_part_that_goes_to_a_split_is_divided_once_more() -> None:
    rules = [{"id": "all", "match": {"ResourceId": True}, "split": "thirds"}]
    splits = {"thirds": {"method": "even", "among": ["ml", "web", "pool"]}}
    found = allocated(pod("ml", 0, 12, "8"), org=company(rules=rules, splits=splits))
    assert found.select("share_num", "share_den").unique().rows() == [(1, 6)]
    assert sum(found["billed_cost"]) == 80


def test_splits_without_a_common_denominator_are_cut_at_the_eighteenth_digit() -> None:
    """Shares of 18 decimals beside sevenths: the sums stay exact, a share is off by 10⁻¹⁸."""
    fine = {"ml": "0.000000000000000001", "web": "0.999999999999999999"}
    teams = ["ml", "web", "ops", "pool", "a", "b", "c"]
    splits = {
        "fine": {"method": "fixed", "shares": fine},
        "sevenths": {"method": "even", "among": teams},
    }
    centers = {name: {"type": "team", "name": name} for name in teams}
    rules = [
        {"id": "pods", "match": {"Workload.kind": True}, "split": "sevenths"},
        {"id": "idle", "match": {"ResourceId": True}, "split": "fine"},
    ]
    org = company(cost_centers=centers, rules=rules, splits=splits)
    found = allocated(pod("ml", 0, 12, "8"), org=org)
    assert sum(found["billed_cost"]) == 80
    sevenths = [Decimal(cost) for cost in found.filter(step="workload")["billed_cost"]]
    assert len(sevenths) == 7
    assert max(sevenths) - min(sevenths) < Decimal("1e-15")
