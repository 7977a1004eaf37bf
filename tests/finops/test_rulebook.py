from datetime import date
from pathlib import Path

import polars as pl
import pytest

from finops import organization, rules
from finops.errors import ConfigError
from finops.organization import Organization
from finops.rulebook import Dated
from tests.finops.company import Company


def complaints(text: str, folder: Path) -> list[str]:
    path = folder / "organization.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        organization.load(path)
    return [line.removeprefix("organization.toml: ") for line in str(caught.value).splitlines()]


def decided(org: Organization, **values: str | None) -> dict[str, str | None]:
    row = {name: values.get(name) for name in rules.columns(org)}
    frame = pl.DataFrame([row], schema=dict.fromkeys(row, pl.String))
    found = rules.decide(frame, org, {"provider": "aws", "source": "main"})
    return found.select(rules.DECISION_SCHEMA.names()).row(0, named=True)


def test_every_reference_that_leads_nowhere_is_named(tmp_path: Path, docstring: str) -> None:
    """
    cost_centers.ml = { type = "team", name = "ML" }
    lookups.apps = { chat = "lm", "Chat!" = "ml" }

    [[virtual_tags.stage]]
    value_from = "VirtualTags.env"

    [[virtual_tags.env]]
    value = "prod"
    match = { SubAcountName = "x", ServiceName = { not = { regex = "(" } } }

    [[rules]]
    id = "a"
    match = { VirtualTags.evn = "prod", SkuPriceDetails.GpuCount = "8" }
    cost_center_from = "Tags.app"
    lookup = "app"

    [[rules]]
    id = "b"
    match = { Tags.app = true }
    cost_center = "ml"
    valid_from = 2026-10-02
    valid_to = 2026-10-01

    [[rules]]
    id = "c"
    match = { Tags.app = true }
    cost_center = "ml"
    lookup = "apps"
    """
    starts = [
        "rules[1]: valid_to is its first day gone",
        "rules[2]: a lookup takes the column it looks up: write cost_center_from too",
        "virtual_tags.stage[0]: VirtualTags.env: no virtual tag 'env' is defined above this",
        "virtual_tags.env[0]: SubAcountName: is no column a rule can look at; did you mean",
        "virtual_tags.env[0]: match.ServiceName: '(' is no regular expression",
        "rules[0] (a): lookup: there is no lookup 'app'; did you mean 'apps'?",
        "rules[0] (a): VirtualTags.evn: no virtual tag 'evn' is defined above this; did you mean",
    ]
    found = complaints(docstring, tmp_path)
    for start in starts[:2]:
        assert [line for line in found if line.startswith(start)], start
    fixed = docstring.replace("valid_to = 2026-10-01", "").replace('\n    lookup = "apps"', "")
    starts = [
        "lookups.apps.chat: there is no cost center 'lm'; write one of ml",
        "lookups.apps.Chat!: is spelled like 'chat' but means another; keep one of the two",
        *starts[2:],
    ]
    found = complaints(fixed, tmp_path)
    assert len(found) == len(starts)
    assert all(line.startswith(start) for line, start in zip(found, starts, strict=True)), found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "write exactly one of value and value_from"),
        ('value = "a"\nvalue_from = "Tags.a"', "write exactly one of value and value_from"),
        ('value = "a"\nmatches = 1', "unknown key; did you mean 'match'?"),
    ],
)
def test_a_virtual_value_that_is_none_is_named(line: str, said: str, tmp_path: Path) -> None:
    (found,) = complaints(f"[[virtual_tags.env]]\n{line}", tmp_path)
    assert found.endswith(said)


def test_a_virtual_tag_is_the_value_of_its_first_line_that_matches(company: Company) -> None:
    """
    cost_centers.ml = { type = "team", name = "ML" }
    cost_centers.web = { type = "team", name = "Web" }

    [[virtual_tags.env]]
    value = "prod"
    match = { SubAccountName = "*-prod" }

    [[virtual_tags.env]]
    value_from = "Tags.env"

    [[virtual_tags.env]]
    value = "dev"
    match = { source = "main", RegionId = "eu" }

    [[virtual_tags.owner]]
    value = "web"
    match = { VirtualTags.env = ["prod", "live"] }

    [[virtual_tags.owner]]
    value = "ml"
    match = { VirtualTags.env = { not = false } }

    [[rules]]
    id = "owner"
    match = { VirtualTags.owner = true }
    cost_center_from = "VirtualTags.owner"
    """
    org = company.organization
    assert rules.columns(org) == ["RegionId", "SubAccountName", "Tags"]
    assert decided(org, SubAccountName="shop-prod", Tags='{"env":"x"}')["cost_center"] == "web"
    assert decided(org, SubAccountName="shop", Tags='{"env":"live"}')["cost_center"] == "web"
    assert decided(org, Tags='{"env":"x"}')["cost_center"] == "ml"
    assert decided(org, RegionId="eu")["cost_center"] == "ml"
    nothing = decided(org, RegionId="us")
    assert nothing["reason"] == "no virtual tag owner, and no other rule matches"


def test_a_lookup_finds_by_the_exact_value_then_by_its_spelling(company: Company) -> None:
    """
    cost_centers.ml = { type = "team", name = "ML" }
    cost_centers.web = { type = "team", name = "Web" }
    lookups.apps = { "Chat Bot" = "ml", "東京" = "web", shop = "web" }

    [[rules]]
    id = "app"
    match = { Tags.app = true }
    cost_center_from = "Tags.app"
    lookup = "apps"
    """
    org = company.organization
    for value, center in (("Chat Bot", "ml"), ("chat-bot", "ml"), ("東京", "web"), ("SHOP", "web")):
        assert decided(org, Tags=f'{{"app":"{value}"}}')["cost_center"] == center
    missed = decided(org, Tags='{"app":"ml"}')
    assert missed["reason"] == "tag app = 'ml' is not in lookup apps"


def test_rules_and_virtual_values_are_dated(company: Company) -> None:
    """
    cost_centers.old = { type = "team", name = "Old" }
    cost_centers.new = { type = "team", name = "New" }

    [[virtual_tags.era]]
    value = "before"
    match = { ServiceName = "S3" }
    valid_to = 2026-10-03

    [[rules]]
    id = "then"
    match = { ServiceName = "EC2" }
    cost_center = "old"
    valid_to = 2026-10-02

    [[rules]]
    id = "era"
    match = { VirtualTags.era = "before" }
    cost_center = "old"

    [[rules]]
    id = "now"
    match = { ServiceName = true }
    cost_center = "new"
    valid_from = 2026-10-02
    """
    company.deliver("""
        ServiceName,ChargePeriodStart,BilledCost
        EC2,2026-10-01T00:00:00Z,1
        EC2,2026-10-02T00:00:00Z,10
        S3,2026-10-02T00:00:00Z,100
        S3,2026-10-03T00:00:00Z,1000
        RDS,2026-10-01T00:00:00Z,10000
    """)
    company.post()
    assert company.sums() == {"old": 101, "new": 1010, None: 10000}
    org = company.organization
    assert org.on(date(2026, 10, 2)) is not org.on(date(2026, 10, 1))
    assert org.on(date(2026, 10, 4)) is org.on(date(2026, 10, 31))


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ((None, None), (None, None), True),
        ((None, None), (1, 2), True),
        ((1, None), (1, 2), True),
        ((1, 3), (1, 3), True),
        ((2, None), (1, 3), False),
        ((1, 2), (1, None), False),
        ((1, 2), (1, 3), False),
        ((1, None), (None, 3), False),
    ],
)
def test_a_rule_covers_another_on_all_of_its_days(
    wide: tuple[int | None, int | None],
    narrow: tuple[int | None, int | None],
    covers: bool,  # noqa: FBT001
) -> None:
    one, other = (
        Dated(
            valid_from=date(2026, 10, start) if start else None,
            valid_to=date(2026, 10, end) if end else None,
        )
        for start, end in (wide, narrow)
    )
    assert one.covers(other) is covers


def test_without_dates_every_day_has_the_same_organization() -> None:
    org = organization.parse("", {"cost_centers": {"a": {"type": "team", "name": "A"}}})
    assert org.on(date(2026, 10, 1)) is org


def test_json_columns_can_be_looked_into(company: Company) -> None:
    """
    cost_centers.ml = { type = "team", name = "ML" }

    [[rules]]
    id = "eight"
    match = { SkuPriceDetails.GpuCount = "8" }
    cost_center = "ml"
    """
    org = company.organization
    assert decided(org, SkuPriceDetails='{"GpuCount":8}')["cost_center"] == "ml"
    assert decided(org, SkuPriceDetails='["GpuCount"]')["cost_center"] is None


def test_everything_that_can_change_a_decision_is_in_the_digest() -> None:
    def deciding(**table: object) -> str:
        center = {"ml": {"type": "team", "name": "ML"}}
        return organization.parse("", {"cost_centers": center, **table}).deciding

    rule = {"id": "r", "match": {"ServiceName": "a"}, "cost_center": "ml"}
    texts = [
        deciding(),
        deciding(rules=[rule]),
        deciding(rules=[{**rule, "valid_from": date(2026, 10, 1)}]),
        deciding(rules=[{**rule, "match": {"ServiceName": {"prefix": "a"}}}]),
        deciding(lookups={"apps": {"a": "ml"}}),
        deciding(virtual_tags={"env": [{"value": "a"}]}),
    ]
    assert len(set(texts)) == len(texts)
