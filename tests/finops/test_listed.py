from pathlib import Path

import pytest

from finops import organization, rules
from finops.conditions import Listed
from finops.errors import ConfigError
from finops.organization import Organization
from tests.finops.test_rulebook import decided

ORGANIZATION = """
cost_centers.ml = { type = "team", name = "ML" }
cost_centers.web = { type = "team", name = "Web" }
lookups.apps = { in_file = "apps.csv", from = "app", to = "owner" }
lookups.plain = { in_file = "plain.csv" }

[[rules]]
id = "accounts"
match = { SubAccountId = { in_file = "accounts.csv" }, Tags.in_file = { not = "no" } }
cost_center = "ml"

[[rules]]
id = "resources"
match = { ResourceId = ["r-1", { in_file = "resources.csv", column = "id" }] }
cost_center = "web"

[[rules]]
id = "apps"
match = { Tags.app = true }
cost_center_from = "Tags.app"
lookup = "apps"

[[rules]]
id = "plain"
match = { Tags.app = true }
cost_center_from = "Tags.app"
lookup = "plain"
"""
FILES = {
    "accounts.csv": "\ufeff111\n# ours\n\n222, a comment in a second column\n",
    "resources.csv": "name,id\nx,r-2\ny,r*\n",
    "apps.csv": 'owner,since,app\nml,2026,"chat, bot"\n',
    "plain.csv": "shop,web\n",
}


def load(folder: Path, **changed: str | None) -> Organization:
    for name, text in {**FILES, **changed}.items():
        path = folder / name.replace("_csv", ".csv")
        path.write_text(text, encoding="utf-8") if text is not None else path.unlink()
    (folder / "organization.toml").write_text(ORGANIZATION, encoding="utf-8")
    return organization.load(folder / "organization.toml")


def test_conditions_and_lookups_may_stand_in_files(tmp_path: Path) -> None:
    org = load(tmp_path)
    assert org.rules[0].match["SubAccountId"] == Listed("accounts.csv", frozenset({"111", "222"}))
    assert decided(org, SubAccountId="222")["rule"] == "accounts"
    assert decided(org, SubAccountId="222", Tags='{"in_file":"no"}')["rule"] is None
    assert decided(org, ResourceId="r-1")["rule"] == "resources"
    assert decided(org, ResourceId="r-2")["rule"] == "resources"
    assert decided(org, ResourceId="r*")["rule"] == "resources"
    assert decided(org, ResourceId="r-3")["step"] == rules.STEP_UNALLOCATED
    assert decided(org, Tags='{"app":"chat, bot"}')["cost_center"] == "ml"
    assert decided(org, Tags='{"app":"Shop"}')["cost_center"] == "web"


def test_what_a_file_says_is_part_of_the_rules(tmp_path: Path) -> None:
    before = load(tmp_path)
    after = load(tmp_path, accounts_csv="111\n333\n")
    assert before.deciding != after.deciding
    assert "# 222, a comment" in before.text
    assert "\n# accounts.csv, as it was read:\n# 111\n# 333\n" in after.text


def test_files_that_cannot_be_used_are_named_with_all_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            accounts_csv=None,
            resources_csv="name,number\n",
            apps_csv="app,owner\nchat,nobody\n",
            plain_csv="shop\n",
        )
    assert str(caught.value).splitlines() == [
        f"organization.toml: {line}"
        for line in (
            (
                "rules[0].match.SubAccountId: there is no file accounts.csv beside "
                "organization.toml; check its name"
            ),
            (
                "rules[1].match.ResourceId: resources.csv: has no column 'id'; its columns are "
                "name, number"
            ),
            "lookups.plain: plain.csv: 'shop' stands alone; write a cost center after it",
            "lookups.apps.chat: there is no cost center 'nobody'; write one of ml, web",
        )
    ]


def test_a_lookup_says_how_to_name_its_file(tmp_path: Path) -> None:
    path = tmp_path / "organization.toml"
    path.write_text('lookups.apps = { in_file = "apps.csv", from = "app" }', encoding="utf-8")
    with pytest.raises(ConfigError, match="without from and to the first two columns are taken"):
        organization.load(path)
