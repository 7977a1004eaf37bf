"""What jobs cost by the list, and which machine they ran on."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from finops.raw import RawStore
from providers.github_actions_jobs import Machines, Prices
from providers.github_actions_usage import Item
from tests.providers.test_github_actions import DAY, TOKEN, USAGE, made, usage
from tests.stubs.scripted import Script

LINUX = Item(
    day=date(2026, 10, 1),
    product="actions",
    product_name="Actions",
    sku="actions_linux",
    sku_name="Actions Linux",
    quantity=Decimal(100),
    unit="minutes",
    price=Decimal("0.006"),
    gross=Decimal("0.6"),
    net=Decimal(0),
    organization="acme",
    repository="acme/train",
)
GPU = replace(
    LINUX,
    sku="linux_4_core_gpu",
    quantity=Decimal(10),
    price=Decimal("0.052"),
    gross=Decimal("0.52"),
)
STORAGE = replace(LINUX, sku="actions_storage", unit="GigabyteHours", gross=Decimal(900))


@pytest.mark.parametrize(
    ("labels", "sku"),
    [
        (["ubuntu-latest"], "actions_linux"),
        (["ubuntu-24.04-arm"], "actions_linux_arm"),
        (["windows-2025"], "actions_windows"),
        (["macos-15-xlarge"], "macos_xl"),
        (["macos-latest"], "actions_macos"),
        (["big", "linux"], None),
    ],
)
def test_githubs_own_labels_have_a_sku(labels: list[str], sku: str | None) -> None:
    assert Machines().sku(labels) == sku


def test_settings_say_what_other_labels_are() -> None:
    machines = Machines({"gpu-t4": "linux_4_core_gpu"})
    assert machines.sku(["ubuntu-latest", "gpu-t4"]) == "linux_4_core_gpu"


@pytest.mark.parametrize(
    ("pattern", "runner", "resource"),
    [
        (r"^(i-[0-9a-f]+)", "i-0abc-runner", "i-0abc"),
        (r"i-[0-9a-f]+", "runner-i-0abc", "i-0abc"),
        (r"^i-", "rack-7", None),
        (r"^i-", None, None),
    ],
)
def test_a_runners_name_may_hold_its_machine(
    pattern: str, runner: str | None, resource: str | None
) -> None:
    assert Machines(resource_id=re.compile(pattern)).resource(runner) == resource


def test_a_minute_costs_the_price_of_its_sku_else_the_average() -> None:
    prices = Prices.of([LINUX, GPU, STORAGE])
    assert prices.of_minute("linux_4_core_gpu") == Decimal("0.052")
    assert prices.of_minute(None) == Decimal("1.12") / Decimal(110)
    assert prices.of_minute("abacus") == prices.of_minute(None)


def test_without_billed_minutes_a_minute_has_no_price() -> None:
    assert Prices.of([STORAGE]).of_minute("actions_linux") is None


def test_jobs_can_be_left_out(
    address: str, script: Script, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    script.on(USAGE, usage({}))
    made(organization="acme", api_url=address, jobs=False).fetch(DAY, store)
    assert script.asked("/repos/.*") == []
