from typing import Any

import pytest

from finops.errors import ConfigError
from tests.finops.machine import Said, allocated, company, pod, said

IDLE = [("ml", "workload", "20"), ("web", "workload", "20")]


@pytest.mark.parametrize(
    ("policy", "idle", "rule"),
    [
        ({}, [("ops", "idle", "40")], "machine"),
        ({"cost_center": "pool"}, [("pool", "idle", "40")], "idle"),
        ({"split": "all"}, [("ml", "idle", "10"), ("web", "idle", "30")], "idle"),
        (
            {"split": "all", "owners": {"ops": {"cost_center": "pool"}}},
            [("pool", "idle", "40")],
            "idle.owners.ops",
        ),
        ({"split": "all", "owners": {"ops": {}}}, [("ops", "idle", "40")], "machine"),
        ({"cost_center": "pool", "owners": {"web": {}}}, [("pool", "idle", "40")], "idle"),
    ],
)
def test_idle_by_each_policy(policy: dict[str, Any], idle: Said, rule: str) -> None:
    splits = {"all": {"method": "fixed", "shares": {"ml": "0.25", "web": "0.75"}}}
    org = company(splits=splits, idle=policy)
    found = allocated(pod("ml", 0, 24, "2"), pod("web", 0, 24, "2"), org=org)
    assert sorted(said(found.filter(step="workload"))) == IDLE
    assert sorted(said(found.filter(step="idle"))) == idle
    assert set(found.filter(step="idle")["rule"]) == {rule}


def complaints(idle: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        company(idle=idle)
    return str(caught.value).splitlines()


def test_everything_that_policies_name_must_exist() -> None:
    idle = {"split": "nobody", "owners": {"mll": {"cost_center": "webb"}}}
    assert complaints(idle) == [
        f"organization.toml: {line}"
        for line in (
            "idle.owners.mll: there is no cost center 'mll'; did you mean 'ml'?",
            "idle.split: there is no split 'nobody'; there is none to choose",
            "idle.owners.mll.cost_center: there is no cost center 'webb'; did you mean 'web'?",
        )
    ]


def test_a_policy_has_one_outcome() -> None:
    (said_,) = complaints({"owners": {"ml": {"cost_center": "ml", "split": "all"}}})
    assert said_.startswith("organization.toml: idle.owners.ml: write cost_center or split, not")


def test_a_policy_is_part_of_what_decides() -> None:
    assert company().deciding == company(idle={}).deciding
    assert company(idle={"cost_center": "pool"}).deciding != company().deciding
