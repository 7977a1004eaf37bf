"""Jenkins' kept replies: those of this run, and what earlier runs saw of builds since discarded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from finops.errors import DataError, Transient
from finops.partition import Window
from finops.raw import RawObject, RawStore
from finops.samples import Samples
from providers.http import Reply, parse_json
from providers.jenkins_replies import Build

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


def about_builds(job: str, builds: Sequence[Build]) -> dict[str, str]:
    """Say what a page of builds is about: the job, and which builds lie in it."""
    newest, oldest = builds[0].number, builds[-1].number
    return {"kind": BUILDS, "job": job, "newest": str(newest), "oldest": str(oldest)}


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
