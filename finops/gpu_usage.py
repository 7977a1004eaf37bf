"""What a user says of the GPUs that a piece of work uses: checked, and put into an event."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from finops import money
from finops.errors import ConfigError
from finops.identity import slug
from finops.organization import CostCenterType, Organization
from finops.pseudonyms import pseudonym
from finops.reported import Event, NoEvent, What
from finops.settings import CURRENCY_PATTERN, Frozen, issues_of, suggestion

_WHERE = "track_gpu_usage"
_RESERVED_TAGS = ("team", "project", "business_unit", "workload_type")


class GpuUsage(TypedDict):
    """What `track_gpu_usage` takes, by name; all but `team_id` may be left out.

    Args:
        team_id: The team, as in organization.toml; `ml-team` and `ML Team` mean `ml_team`.
        project_id: The project, likewise.
        business_unit: The business unit, likewise.
        user_id: Who runs it. It is replaced by a pseudonym before anything is written.
        workload_type: Such as training or inference.
        name: How people call this piece of work.
        provider: The provider that bills it, as in finops.toml, such as runpod.
        instance_type: What was rented, such as A100-40GB.
        cost_per_hour: What it costs by what you know, for all of it; used for estimates only.
        currency: Of `cost_per_hour`; USD when left out.
        resource_id: The ResourceId on the bill, such as an instance id.
        gpu_model: Such as H100.
        gpu_count: GPUs held; a slice of one is a fraction.
        cluster: Where it runs.
        node: The machine it runs on.
        tags: What else rules may look at.
        key: Names the piece of work: the same key again is the same piece of work.
    """

    team_id: str
    project_id: NotRequired[str | None]
    business_unit: NotRequired[str | None]
    user_id: NotRequired[str | None]
    workload_type: NotRequired[str | None]
    name: NotRequired[str | None]
    provider: NotRequired[str | None]
    instance_type: NotRequired[str | None]
    cost_per_hour: NotRequired[Decimal | float | str | None]
    currency: NotRequired[str]
    resource_id: NotRequired[str | None]
    gpu_model: NotRequired[str | None]
    gpu_count: NotRequired[Decimal | float | str | None]
    cluster: NotRequired[str | None]
    node: NotRequired[str | None]
    tags: NotRequired[Mapping[str, str]]
    key: NotRequired[str | None]


def decimal_of(value: object) -> object:
    """Take a binary float for the shortest decimal that names it: 2.5 is 2.5."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def _named(value: str | None) -> str | None:
    """Take no text for no name, so that an empty variable of a shell says nothing."""
    return value or None


Number = Annotated[
    Decimal, BeforeValidator(decimal_of), Field(ge=0, lt=10**12, decimal_places=money.SCALE)
]
Name = Annotated[str | None, AfterValidator(_named)]


class _Checked(Frozen):
    """`GpuUsage` with its types checked."""

    team_id: str
    project_id: Name = None
    business_unit: Name = None
    user_id: Name = None
    workload_type: Name = None
    name: Name = None
    provider: Name = None
    instance_type: Name = None
    cost_per_hour: Number | None = None
    currency: str = Field(default="USD", pattern=CURRENCY_PATTERN)
    resource_id: Name = None
    gpu_model: Name = None
    gpu_count: Number | None = None
    cluster: Name = None
    node: Name = None
    tags: Mapping[str, str] = {}
    key: Name = None


def start_event(
    usage: Mapping[str, Any], organization: Organization, key: bytes, at: datetime
) -> Event:
    """Make the event that says the work began at `at`.

    `usage` is a `GpuUsage`, `key` that of the pseudonyms. Raises `ConfigError` naming everything
    that is wrong with it; an unknown cost center with the nearest one there is.
    """
    checked = _checked(usage)
    owners = _owners(checked, organization)
    kind = {} if checked.workload_type is None else {"workload_type": checked.workload_type}
    more = {"provider": checked.provider, "instance_type": checked.instance_type}
    try:
        return Event(
            id=uuid.uuid4().hex,
            event=What.START,
            workload_id=_attribution_id(checked.key),
            at=at,
            name=checked.name,
            resource_id=checked.resource_id,
            cluster=checked.cluster,
            node=checked.node,
            gpu_model=checked.gpu_model,
            gpu_count=checked.gpu_count,
            cost_per_hour=checked.cost_per_hour,
            currency=None if checked.cost_per_hour is None else checked.currency,
            user=None if checked.user_id is None else pseudonym(checked.user_id, key),
            tags={**checked.tags, **kind, **owners},
            more={name: value for name, value in more.items() if value is not None},
        )
    except NoEvent as fault:
        raise ConfigError(f"{_WHERE}: what was given {fault}") from None


def _checked(usage: Mapping[str, Any]) -> _Checked:
    try:
        checked = _Checked.model_validate(dict(usage))
    except ValidationError as error:
        raise ConfigError.of(issues_of(error, _WHERE, _Checked)) from None
    taken = [tag for tag in checked.tags if tag in _RESERVED_TAGS]
    if taken:
        raise ConfigError(
            f"{_WHERE}: tags: {taken[0]!r} is set from team_id, project_id, business_unit and "
            f"workload_type; use another name"
        )
    return checked


def _owners(checked: _Checked, organization: Organization) -> dict[str, str]:
    """Give the tags that name cost centers, as organization.toml spells them."""
    asked = {
        "team": ("team_id", checked.team_id, CostCenterType.TEAM),
        "project": ("project_id", checked.project_id, CostCenterType.PROJECT),
        "business_unit": ("business_unit", checked.business_unit, CostCenterType.BUSINESS_UNIT),
    }
    found, wrong = {}, []
    for tag, (argument, given, type_) in asked.items():
        if given is not None:
            id_ = organization.by_name.get(slug(given))
            if id_ is None or organization.cost_centers[id_].type is not type_:
                wrong.append(_unknown(argument, given, type_, organization))
            else:
                found[tag] = id_
    if wrong:
        raise ConfigError("\n".join(wrong))
    return found


def _unknown(argument: str, given: str, type_: CostCenterType, organization: Organization) -> str:
    what = type_.value.replace("_", " ")
    there = [id_ for id_, center in organization.cost_centers.items() if center.type is type_]
    known = organization.by_name.get(slug(given))
    if known is not None:
        other = organization.cost_centers[known].type.value.replace("_", " ")
        return f"{_WHERE}: {argument}: {given!r} is a {other}, not a {what}; {suggestion(known, there)}"
    hint = suggestion(slug(given), there)
    return f"{_WHERE}: {argument}: organization.toml has no {what} {given!r}; {hint}"


def _attribution_id(key: str | None) -> str:
    if key is None:
        return f"w-{uuid.uuid4().hex}"
    return f"w-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
