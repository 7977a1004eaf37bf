"""Cases whose answer is worked out by hand."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.finops.machine import DAY, allocated, machine, pod, said


def test_a_whole_machine() -> None:
    found = allocated(pod("ml", 0, 24, "8"))
    assert said(found) == [("ml", "workload", "80")]
    assert found["reason"].to_list() == ["pod ml/train held 100.0 % of the GPU time"]
    assert found["rule"].to_list() == ["tag"]


def test_half_a_gpu_and_the_rest_is_idle() -> None:
    found = allocated(pod("ml", 0, 24, "0.5"))
    assert said(found) == [("ml", "workload", "5"), ("ops", "idle", "75")]
    assert found["reason"].to_list() == [
        "pod ml/train held 6.3 % of the GPU time",
        "nobody held 93.8 % of the GPU time",
    ]


def test_a_part_of_the_hours() -> None:
    """Four of eight GPUs for six of 24 hours are an eighth."""
    found = allocated(pod("ml", 17.5, 23.5, "4"))
    assert said(found) == [("ml", "workload", "10"), ("ops", "idle", "70")]
    assert found["share_num"].to_list() == [1, 7]
    assert set(found["share_den"]) == {8}


def test_two_workloads_on_one_machine() -> None:
    found = allocated(pod("ml", 0, 24, "6"), pod("web", 0, 12, "2"))
    assert said(found) == [
        ("ml", "workload", "60"),
        ("ops", "idle", "10"),
        ("web", "workload", "10"),
    ]


def test_one_workload_over_two_machines() -> None:
    bill = [machine(), machine(x_ChargeId="d", ResourceId="i-2", cost="40")]
    both = [pod("ml", 0, 24, "8"), pod("ml", 0, 12, "8", resource_id="i-2")]
    assert said(allocated(*both, bill=bill)) == [
        ("ml", "workload", "80"),
        ("ml", "workload", "20"),
        ("ops", "idle", "20"),
    ]


def test_seven_slices_of_a_gpu_leave_nothing_idle() -> None:
    bill = [machine(x_GpuCount=1, x_GpuHours=Decimal(24), cost="7")]
    slices = [
        pod("ml", 0, 24, count, name=f"p{place}")
        for place, count in enumerate(["0.142857", "0.142857142857142857"] * 3 + ["0.142857143"])
    ]
    found = allocated(*slices, bill=bill)
    assert said(found) == [("ml", "workload", "1")] * 7
    assert found.select("share_num", "share_den").unique().rows() == [(1, 7)]


def test_one_slice_of_seven() -> None:
    bill = [machine(x_GpuCount=1, x_GpuHours=Decimal(24), cost="7")]
    found = allocated(pod("ml", 0, 24, "0.142857"), bill=bill)
    assert said(found) == [("ml", "workload", "1"), ("ops", "idle", "6")]


def test_more_is_held_than_there_is() -> None:
    found = allocated(pod("ml", 0, 24, "8"), pod("web", 0, 24, "2"))
    assert said(found) == [("ml", "workload", "64"), ("web", "workload", "16")]
    assert found["reason"].to_list() == [
        "pod ml/train held 80.0 % of the GPU time; together they held 125.0 % of it",
        "pod web/train held 20.0 % of the GPU time; together they held 125.0 % of it",
    ]


@pytest.mark.parametrize(("cost", "parts"), [("0", ["0", "0"]), ("-8", ["-6", "-2"])])
def test_zero_and_credits_are_shared_alike(cost: str, parts: list[str]) -> None:
    found = allocated(pod("ml", 0, 24, "6"), bill=[machine(cost=cost)])
    assert said(found) == [("ml", "workload", parts[0]), ("ops", "idle", parts[1])]


def test_a_machine_that_ran_for_a_part_of_the_day() -> None:
    """Ten hours were billed of a day; who held it for five held a half."""
    bill = [machine(x_GpuHours=Decimal(80))]
    assert said(allocated(pod("ml", 3, 8, "8"), bill=bill)) == [
        ("ml", "workload", "40"),
        ("ops", "idle", "40"),
    ]


def test_a_commitment_that_covers_a_part_of_the_hour() -> None:
    """Two lines for one hour: 4.8 GPU-hours are covered, 3.2 are not; half of both is held."""
    hour = {"ChargePeriodEnd": DAY + timedelta(hours=1)}
    bill = [
        machine(x_GpuHours=Decimal("4.8"), cost="3", **hour),
        machine(x_ChargeId="d", x_GpuHours=Decimal("3.2"), cost="5", **hour),
    ]
    assert said(allocated(pod("ml", 0, 1, "4"), bill=bill)) == [
        ("ml", "workload", "1.5"),
        ("ops", "idle", "1.5"),
        ("ml", "workload", "2.5"),
        ("ops", "idle", "2.5"),
    ]


def test_other_lines_of_the_machine_follow_its_gpus() -> None:
    bill = [machine(), machine(x_ChargeId="d", x_GpuCount=None, x_GpuHours=None, cost="4")]
    found = allocated(pod("ml", 0, 24, "2"), bill=bill)
    assert said(found) == [
        ("ml", "workload", "20"),
        ("ops", "idle", "60"),
        ("ml", "workload", "1"),
        ("ops", "idle", "3"),
    ]


def test_a_monthly_fee_and_a_workload_cut_at_midnight() -> None:
    """31 days of eight GPUs for 310; a workload of two days, told as two rows."""
    bill = [machine(ChargePeriodEnd=DAY + timedelta(days=31), x_GpuHours=None, cost="310")]
    found = allocated(pod("ml", 12, 24, "8"), pod("ml", 24, 60, "8"), bill=bill)
    assert said(found) == [("ml", "workload", "20"), ("ops", "idle", "290")]


def test_hours_without_a_holder_are_idle_on_a_day_that_had_one() -> None:
    hours = {"x_GpuHours": Decimal(8), "ChargePeriodEnd": DAY + timedelta(hours=1)}
    late = {
        "ChargePeriodStart": DAY + timedelta(hours=23),
        "ChargePeriodEnd": DAY + timedelta(hours=24),
    }
    bill = [machine(**hours, cost="8"), machine(x_ChargeId="d", **(hours | late), cost="8")]
    assert said(allocated(pod("ml", 0, 1, "8"), bill=bill)) == [
        ("ml", "workload", "8"),
        ("ops", "idle", "8"),
    ]


def test_a_day_without_workloads_goes_by_the_rules() -> None:
    assert said(allocated(pod("ml", -24, -1, "8"))) == [("ops", "rule", "80")]
    assert said(allocated(pod("ml", 24, 30, "8"))) == [("ops", "rule", "80")]


def test_without_known_gpus_what_is_held_is_all_there_is() -> None:
    bill = [machine(x_GpuCount=None, x_GpuHours=None)]
    assert said(allocated(pod("ml", 0, 2, "3"), pod("web", 5, 7, "1"), bill=bill)) == [
        ("ml", "workload", "60"),
        ("web", "workload", "20"),
    ]


def test_who_does_not_say_how_many_gpus_holds_all() -> None:
    assert said(allocated(pod("ml", 0, 6, None))) == [
        ("ml", "workload", "20"),
        ("ops", "idle", "60"),
    ]


def test_weights_where_nobody_tells_of_gpus() -> None:
    bill = [machine(x_GpuCount=None, x_GpuHours=None)]
    found = allocated(
        pod("ml", 0, 12, None, weight=Decimal(3)),
        pod("web", 0, 24, None, weight=Decimal(4)),
        pod("-", 0, 24, None, kind="idle", weight=Decimal(1)),
        bill=bill,
    )
    assert said(found) == [
        ("ml", "workload", "30"),
        ("ops", "idle", "10"),
        ("web", "workload", "40"),
    ]
    assert found["reason"][0] == "pod ml/train held 37.5 % by weight"


def test_a_weight_counts_for_the_time_of_the_charge() -> None:
    """A quarter of ml's twelve hours lies in the charge's three: 3 of 12, against 1."""
    bill = [machine(x_GpuCount=None, x_GpuHours=None, ChargePeriodEnd=DAY + timedelta(hours=3))]
    found = allocated(
        pod("ml", 0, 12, None, weight=Decimal(12)),
        pod("web", 1, 2, None, weight=Decimal(1)),
        bill=bill,
    )
    assert said(found) == [("ml", "workload", "60"), ("web", "workload", "20")]


def test_a_job_explains_only_what_its_runner_is_billed_as() -> None:
    bill = [
        machine(x_ChargeId=sku, ResourceId="acme/model", SkuId=sku, cost=cost, x_GpuHours=hours)
        for sku, cost, hours in [
            ("gpu", "6", Decimal(1)),
            ("linux", "3", None),
            ("storage", "1", None),
        ]
    ]
    job = {"resource_id": "acme/model", "kind": "job"}
    found = allocated(
        pod("ml", 1, 2, "1", **job, weight=Decimal(2), attributes='{"sku": "gpu"}'),
        pod("web", 1, 2, None, **job, weight=Decimal(1), attributes='{"sku": "linux"}'),
        pod("ml", 1, 2, None, **job, weight=Decimal(2), attributes='{"sku": "linux"}'),
        bill=bill,
    )
    assert said(found) == [
        ("ml", "workload", "6"),
        ("ml", "workload", "2"),
        ("web", "workload", "1"),
        ("ops", "rule", "1"),
    ]


@pytest.mark.parametrize(
    "columns",
    [
        {"ResourceId": "arn:aws:ec2:us-east-1:1:instance/i-1"},
        {"ResourceId": "x", "ResourceName": "i-1"},
        {"ResourceId": "x", "Tags": '{"node": "i-1"}'},
    ],
)
def test_a_node_by_any_of_its_names(columns: dict[str, Any]) -> None:
    told = pod("ml", 0, 24, "8", resource_id=None, node="i-1")
    assert said(allocated(told, bill=[machine(**columns)])) == [("ml", "workload", "80")]


def test_no_workloads_no_holding() -> None:
    found = allocated()
    assert said(found) == [("ops", "rule", "80")]
