"""What Lambda's replies say: instances, prices, audit events and file systems."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from finops.errors import DataError
from providers import rows, shapes

Parsed = TypeVar("Parsed")

_INSTANCE = re.compile(r":instance:([^:]+)$")


@dataclass(frozen=True, slots=True)
class Thing:
    """What can be billed: an instance, or a file system, which has no status, type and GPUs."""

    id: str
    name: str | None
    status: str | None
    type: str | None
    gpu_count: int | None
    gpu_description: str | None
    region_id: str | None
    region_name: str | None
    tags: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Priced:
    """A thing and its rate: US cents an hour of an instance, bytes used of a file system."""

    thing: Thing
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Event:
    """An audit event about an instance; type and region are told for some."""

    id: str
    at: datetime
    action: str
    instance_ids: tuple[str, ...]
    instance_type: str | None
    region_id: str | None
    row: int

    def is_named_by(self, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(self.action.lower(), pattern.lower()) for pattern in patterns)


def instances(document: Any, name: str) -> list[Priced]:
    """Read the list of instances in order; raises `DataError` for any other shape."""
    return _read(lambda: [_instance(row) for row in document["data"]], name)


def file_systems(document: Any, name: str) -> list[Priced]:
    """Read the list of file systems in order; raises `DataError` for any other shape."""
    return _read(lambda: [_file_system(row) for row in document["data"]], name)


def prices(document: Any, name: str) -> dict[str, Priced]:
    """Read what each instance type costs; raises `DataError` for any other shape."""
    return _read(
        lambda: {key: _offer(each["instance_type"]) for key, each in document["data"].items()},
        name,
    )


def events(document: Any, name: str) -> list[Event]:
    """Read the audit events about instances that succeeded; raises `DataError` otherwise."""
    return _read(lambda: list(_events(document["data"])), name)


def next_page(document: Any, name: str) -> str | None:
    """Read the token of the next page of audit events."""
    token: str | None = _read(lambda: shapes.optional_text(document["page_token"]), name)
    return token


def _read(parse: Callable[[], Parsed], name: str) -> Parsed:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is no reply of Lambda's as it is known ({type(error).__name__}: {error}); "
            f"nothing of it was taken"
        ) from None


def _instance(row: Mapping[str, Any]) -> Priced:
    offered = _offer(row["instance_type"])
    region = shapes.mapping(row.get("region"))
    thing = Thing(
        id=shapes.text(row["id"]),
        name=shapes.optional_text(row.get("name")),
        status=shapes.text(row["status"]),
        type=offered.thing.type,
        gpu_count=offered.thing.gpu_count,
        gpu_description=offered.thing.gpu_description,
        region_id=shapes.optional_text(region.get("name")),
        region_name=shapes.optional_text(region.get("description")),
        tags=rows.tags(
            (shapes.text(tag["key"]), tag.get("value")) for tag in row.get("tags") or ()
        ),
    )
    return Priced(thing, offered.rate)


def _offer(row: Mapping[str, Any]) -> Priced:
    count = shapes.mapping(row.get("specs")).get("gpus")
    thing = Thing(
        id=shapes.text(row["name"]),
        name=None,
        status=None,
        type=row["name"],
        gpu_count=shapes.whole(count) if count else None,
        gpu_description=shapes.optional_text(row.get("gpu_description")),
        region_id=None,
        region_name=None,
        tags=None,
    )
    return Priced(thing, shapes.number(row["price_cents_per_hour"]))


def _file_system(row: Mapping[str, Any]) -> Priced:
    region = shapes.mapping(row.get("region"))
    thing = Thing(
        id=shapes.text(row["id"]),
        name=shapes.optional_text(row.get("name")),
        status=None,
        type=None,
        gpu_count=None,
        gpu_description=None,
        region_id=shapes.optional_text(region.get("name")),
        region_name=shapes.optional_text(region.get("description")),
        tags=None,
    )
    return Priced(thing, shapes.number(row.get("bytes_used") or 0))


def _events(data: Iterable[Mapping[str, Any]]) -> Iterable[Event]:
    """Leave out what is about something else, and what was tried but failed."""
    for place, row in enumerate(data):
        details = shapes.mapping(row.get("additional_details"))
        about = _instance_ids([*row["resource_lrns"], details.get("instance_lrn")])
        outcome = shapes.mapping(row.get("result")).get("status", "success")
        if about and "instance" in row["resource_name"] and outcome == "success":
            yield Event(
                id=shapes.text(row["event_id"]),
                at=datetime.fromisoformat(row["event_time"]).astimezone(UTC),
                action=shapes.text(row["action"]),
                instance_ids=about,
                instance_type=shapes.optional_text(details.get("instance_type")),
                region_id=shapes.optional_text(details.get("region")),
                row=place,
            )


def _instance_ids(names: Iterable[str | None]) -> tuple[str, ...]:
    found = (_INSTANCE.search(name) for name in names if name)
    return tuple(dict.fromkeys(match[1] for match in found if match))
