"""Jenkins' kept replies: those of this run, and what earlier runs saw of builds since discarded."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from finops.errors import DataError, Transient
from finops.partition import Window
from finops.raw import RawObject, RawStore
from finops.samples import Samples
from providers import withheld
from providers.http import Reply, parse_json
from providers.jenkins_walk import Page

NODES, BUILDS, STAGES = "nodes", "builds", "stages"


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept reply, and what its receipt says of it."""

    raw: RawObject
    document: Any

    @property
    def kind(self) -> str:
        return self.raw.receipt["kind"]

    @property
    def job(self) -> str:
        return self.raw.receipt["job"]

    @property
    def seen_at(self) -> datetime:
        return _seen_at(self.raw)


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier runs saw that may tell of a window, oldest first."""

    replies: Sequence[RawObject] = ()

    @classmethod
    def of(cls, samples: Samples, window: Window, longest: timedelta) -> "Memory":
        """Recall the window, and after it until a build that began there has surely ended."""
        return cls(samples.between(window.start_at, window.end_at + longest))

    def has_seen(self, job: str, number: int) -> bool:
        """Tell whether a reply lists builds of `job` on both sides of `number`, or itself."""
        return any(
            kept.receipt.get("job") == job
            and int(kept.receipt["oldest"]) <= number <= int(kept.receipt["newest"])
            for kept in self.replies
            if kept.receipt["kind"] == BUILDS
        )

    def news(self, own: Iterable[RawObject], under_way: frozenset[str]) -> list[RawObject]:
        """Choose what of a run's own replies is to be remembered.

        A reply that has not changed is left out, unless something runs in it (`under_way` has its
        name): then also the time counts at which it was seen.
        """
        last = {kept.name: kept.sha256 for kept in self.replies}
        return [
            kept
            for kept in own
            if kept.receipt["kind"] == NODES
            or kept.name in under_way
            or last.get(kept.name) != kept.sha256
        ]

    def joined(
        self, own: Sequence[RawObject], window: Window, is_wanted: Callable[[RawObject], bool]
    ) -> tuple[RawObject, ...]:
        """Put a run's own replies behind those remembered, each once, as it was seen last.

        Of the nodes all are given, up to the first that were seen after the window.
        """
        all_seen = [*self.replies, *own]
        nodes = [kept for kept in all_seen if kept.receipt["kind"] == NODES]
        before = [kept for kept in nodes if _seen_at(kept) < window.end_at]
        after = [kept for kept in nodes if _seen_at(kept) >= window.end_at]
        others = [kept for kept in all_seen if kept.receipt["kind"] != NODES and is_wanted(kept)]
        last_seen = {(kept.name, kept.sha256): kept for kept in others}
        return (*before, *after[:1], *last_seen.values())


def keep(store: RawStore, reply: Reply, at: datetime, facts: Mapping[str, str]) -> RawObject:
    """Keep a reply with what it is about."""
    receipt = {**facts, "seen_at": at.isoformat(), **reply.receipt()}
    return store.keep(reply.body, f"jenkins{reply.name}", receipt)


def keep_builds(
    store: RawStore, page: Page, at: datetime, job: str, parameters: Sequence[str]
) -> RawObject:
    """Keep a page that lists builds, of their parameters only those named: others may be secrets."""
    reply = page.reply
    document = json.loads(reply.body)
    left_out = _drop_parameters(document, frozenset(parameters))
    body = withheld.written(document) if left_out else reply.body
    newest, oldest = page.builds[0].number, page.builds[-1].number
    about = {"kind": BUILDS, "job": job, "newest": str(newest), "oldest": str(oldest)}
    if left_out:
        about[withheld.LEFT_OUT] = f"values of the build parameters {', '.join(sorted(left_out))}"
    return keep(store, replace(reply, body=body), at, about)


def _drop_parameters(document: Any, wanted: frozenset[str]) -> set[str]:
    """Take unwanted parameters out of a page of builds; tells their names."""
    dropped: set[str] = set()
    for build in document["allBuilds"]:
        for action in build.get("actions") or ():
            given = action.get("parameters") or []
            dropped |= {each["name"] for each in given if each["name"] not in wanted}
            if given:
                action["parameters"] = [each for each in given if each["name"] in wanted]
    return dropped


def read(kept: RawObject, path: Callable[[RawObject], Path]) -> Kept:
    """Read a kept reply; raises `DataError` when it cannot be had again."""
    try:
        content = path(kept).read_bytes()
    except (KeyError, Transient):
        raise DataError(
            f"{kept.key}: what was seen at {kept.receipt['seen_at']} is gone; restore it from a "
            f"backup, or remove its note below samples/ to go on without it"
        ) from None
    try:
        return Kept(kept, parse_json(content, kept.name))
    except Transient as error:
        raise DataError(str(error)) from None


def _seen_at(kept: RawObject) -> datetime:
    return datetime.fromisoformat(kept.receipt["seen_at"])
