"""Cost centers made from Python, and alert handlers."""

import asyncio
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from finops import GranularCostTracker, organization
from finops.alerting import Alert
from finops.errors import ConfigError, ExportError
from finops.organization import CostCenterType
from tests.conftest import ORGANIZATION, Finops

_CREATES = """
import sys
from finops import GranularCostTracker
tracker = GranularCostTracker.from_config(sys.argv[1])
for number in range(10):
    tracker.create_cost_center("team", f"Team {sys.argv[2]} {number}")
"""


@pytest.fixture
def spent(acme: Path, finops: Finops) -> None:
    """Spend more than the budgets of September."""
    small = ORGANIZATION.replace("amount = 100", "amount = 20").replace("amount = 40", "amount = 1")
    (acme / "organization.toml").write_text(small, encoding="utf-8")
    assert finops("run", "--from", "2024-09-01", "--to", "2024-10-01").code == 0


@pytest.fixture
def tracker(acme: Path) -> GranularCostTracker:
    return GranularCostTracker.from_config(acme / "finops.toml")


def text(acme: Path) -> str:
    return (acme / "organization.toml").read_text(encoding="utf-8")


def test_a_cost_center_stands_behind_the_last_one_and_comments_stay(
    acme: Path, tracker: GranularCostTracker
) -> None:
    commented = ORGANIZATION.replace("[[rules]]", "# Rules.\n\n# The first:\n[[rules]]", 1)
    (acme / "organization.toml").write_text(commented, encoding="utf-8")
    made = tracker.create_cost_center(
        "project", "Chat “Bot”", parent_id="Vision", budget_limit=0.5, owners=["o@acme.com"]
    )
    assert (made.id, made.parent_id, made.type) == ("chat_bot", "vision", CostCenterType.PROJECT)
    assert made.budget == organization.Budget(amount=Decimal("0.5"))
    added = (
        '[cost_centers.chat_bot]\ntype = "project"\nname = "Chat “Bot”"\nparent = "vision"\n'
        'owners = ["o@acme.com"]\nbudget = { amount = 0.5, currency = "USD" }\n'
    )
    assert added in text(acme)
    assert text(acme).replace(f"{added}\n", "") == commented
    assert organization.load(acme / "organization.toml").cost_centers["chat_bot"].name == (
        "Chat “Bot”"
    )


def test_the_same_again_changes_nothing(acme: Path, tracker: GranularCostTracker) -> None:
    first = tracker.create_cost_center("team", "ML Team", parent_id="ai", budget_limit=150000)
    before = text(acme)
    again = tracker.create_cost_center("team", "ML Team", parent_id="AI", budget_limit=150000.0)
    assert again == first
    assert tracker.create_cost_center("team", "ML Team") == first
    assert text(acme) == before


def test_a_contradiction_says_what_differs(acme: Path, tracker: GranularCostTracker) -> None:
    before = text(acme)
    with pytest.raises(ConfigError) as caught:
        tracker.create_cost_center("project", "Vision", parent_id="web", budget_limit=41)
    assert str(caught.value) == (
        "organization.toml: the cost center 'vision' is there already and differs: type is team, "
        "not project; parent is ai, not web; budget is 40 USD, not 41 USD; change the file, or "
        "say the same"
    )
    assert text(acme) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cost_center_type": "squad"}, "type: input should be"),
        ({"parent_id": "visoin"}, "there is no cost center 'visoin'; did you mean 'vision'?"),
        ({"name": "研究"}, "no letter a to z"),
        ({"budget_limit": -5}, "budget.amount"),
        ({"currency": "usd", "budget_limit": 5}, "write USD"),
    ],
)
def test_what_cannot_be_is_refused(
    given: dict[str, str], said: str, acme: Path, tracker: GranularCostTracker
) -> None:
    before = text(acme)
    with pytest.raises(ConfigError) as caught:
        tracker.create_cost_center(**{"cost_center_type": "team", "name": "New", **given})  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert text(acme) == before


def test_an_alias_is_no_name_for_another(acme: Path, tracker: GranularCostTracker) -> None:
    changed = text(acme).replace('name = "Web"', 'name = "Web"\naliases = ["front-end"]')
    (acme / "organization.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(ConfigError, match="further name of the cost center 'web'"):
        tracker.create_cost_center("team", "Front End")


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# Only a comment.",
        '[cost_centers]\nweb = { type = "team", name = "Web" }\n',
        '[cost_centers.web]\ntype = "team"\nname = """\n[cost_centers.fake]\n"""\n',
        'rules = []\n\n[ cost_centers . web ]\ntype = "team"\nname = "W"',
        'cost_centers.web.type = "team"\ncost_centers.web.name = "Web"\n',
        'cost_centers = { web = { type = "team", name = "Web" } }\n',
    ],
)
def test_however_the_file_is_written_nothing_of_it_changes(
    before: str, acme: Path, tracker: GranularCostTracker
) -> None:
    path = acme / "organization.toml"
    path.write_text(before, encoding="utf-8")
    there = organization.load(path).cost_centers
    if before.startswith("cost_centers ="):
        with pytest.raises(ConfigError, match=r"write each as a table of its own"):
            tracker.create_cost_center("team", "New")
        assert text(acme) == before
        return
    tracker.create_cost_center("team", "New")
    after = organization.load(path).cost_centers
    assert {id_: center for id_, center in after.items() if id_ != "new"} == there
    assert "new" in after


def test_writers_at_the_same_time_lose_nothing(acme: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", _CREATES, acme / "finops.toml", name])
        for name in "abc"
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    made = organization.load(acme / "organization.toml").cost_centers
    assert {id_ for id_ in made if id_.startswith("team_")} == {
        f"team_{name}_{number}" for name in "abc" for number in range(10)
    }


def test_a_linked_file_stays_a_link(acme: Path, tracker: GranularCostTracker) -> None:
    path = acme / "organization.toml"
    real = acme / "shared.toml"
    path.rename(real)
    real.chmod(0o640)
    path.symlink_to(real)
    tracker.create_cost_center("team", "New")
    assert path.is_symlink()
    assert "new" in organization.load(real).cost_centers
    assert real.stat().st_mode & 0o777 == 0o640


def test_what_is_exported_reads_back_the_same(acme: Path, tracker: GranularCostTracker) -> None:
    made = organization.load(acme / "organization.toml")
    copy = acme / "copy.toml"
    copy.write_text(tracker.as_toml(), encoding="utf-8")
    assert organization.load(copy).cost_centers == made.cost_centers
    assert [center.id for center in tracker.cost_centers()] == list(made.cost_centers)


def test_handlers_are_told_every_alert_once(
    acme: Path, tracker: GranularCostTracker, spent: None
) -> None:
    sync: list[Alert] = []
    later: list[Alert] = []

    async def slack_alert_handler(alert: Alert) -> None:
        await asyncio.sleep(0)
        later.append(alert)

    tracker.add_alert_handler(sync.append, name="sync")
    tracker.add_alert_handler(slack_alert_handler)
    found = asyncio.run(tracker.check_alerts("2024-09"))
    assert found
    assert sync == later == found
    assert {alert.cost_center for alert in found} <= {"ai", "vision"}
    again = GranularCostTracker.from_config(acme / "finops.toml")
    again.add_alert_handler(sync.append, name="sync")
    assert again.check_alerts_sync("2024-09") == []
    assert len(sync) == len(found)


def test_a_handler_that_fails_is_told_again_and_stops_no_other(
    tracker: GranularCostTracker, spent: None
) -> None:
    told: list[Alert] = []
    fails = [True]

    def handler(alert: Alert) -> None:
        if fails:
            raise RuntimeError("slack is down")
        told.append(alert)

    others: list[Alert] = []
    tracker.add_alert_handler(handler, name="fails")
    tracker.add_alert_handler(others.append, name="others")
    with pytest.raises(ExportError, match="handler-fails: RuntimeError: slack is down"):
        tracker.check_alerts_sync("2024-09")
    assert others
    fails.clear()
    assert tracker.check_alerts_sync("2024-09") == told == others
