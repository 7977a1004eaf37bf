"""The organization that is measured: three hundred teams and three hundred rules."""

import tomllib
from collections.abc import Iterator
from typing import Any

from bill import TEAMS

from finops import organization
from finops.organization import Organization


def company() -> Organization:
    """Found the company."""
    text = "\n".join(_lines())
    return organization.parse(text, tomllib.loads(text))


def _lines() -> Iterator[str]:
    for team in range(TEAMS):
        yield f'[cost_centers.team_{team:03}]\ntype = "team"\nname = "Team {team:03}"'
    for pool in range(4):
        members = [f"team_{10 * pool + member:03}" for member in range(7)]
        yield f'[splits.even_{pool}]\nmethod = "even"\namong = {members}'
        shares = "0.5", "0.3", "0.2"
        fixed = ", ".join(
            f'{member} = "{share}"' for member, share in zip(members, shares, strict=False)
        )
        yield f'[splits.fixed_{pool}]\nmethod = "fixed"\nshares = {{ {fixed} }}'
    for place, rule in enumerate(_rules()):
        outcome, match = (
            rule.pop("outcome"),
            ", ".join(f'"{key}" = {value}' for key, value in rule.items()),
        )
        yield f'[[rules]]\nid = "rule-{place:03}"\nmatch = {{ {match} }}\n{outcome}'


def _rules() -> Iterator[dict[str, Any]]:
    """Write 8 splits, 60 regular expressions, 60 globs, 170 equalities and 2 lookups."""
    for pool in range(4):
        for method in ("even", "fixed"):
            yield {
                "ServiceName": '"Amazon SageMaker"',
                "Tags.env": f'"{"prod" if method == "even" else "dev"}"',
                "SubAccountId": f'"acct-{pool}"',
                "outcome": f'split = "{method}_{pool}"',
            }
    for number in range(60):
        pattern = f'{{ regex = "arn:aws:ec2:(us|eu)-.*/i-1{number:02}[0-9]{{2}}" }}'
        yield {"ResourceId": pattern, "outcome": _to(number)}
    for number in range(60):
        yield {"ResourceName": f'"train-node-*{number:02}"', "outcome": _to(number + 60)}
    for number in range(100):
        yield {"Tags.project": f'"project-{number}"', "outcome": _to(number + 100)}
    for number in range(60):
        region = ("us-east-1", "us-west-2", "eu-central-1", "ap-northeast-1")[number % 4]
        match = {"SubAccountId": f'"acct-{number % 25}"', "RegionId": f'"{region}"'}
        yield {**match, "Tags.env": '["staging", "dev"]', "outcome": _to(number + 200)}
    for number in range(10):
        projects = [f"project-{200 + 10 * number + other}" for other in range(10)]
        yield {"Tags.project": str(projects), "outcome": _to(number)}
    for tag in ("Tags.owner", "Tags.team"):
        yield {tag: "true", "outcome": f'cost_center_from = "{tag}"'}


def _to(team: int) -> str:
    return f'cost_center = "team_{team % TEAMS:03}"'
