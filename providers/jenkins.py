"""Jenkins: builds and pipeline stages as workloads on their nodes.

Jenkins knows no cost: a workload says who held which node when, and so explains what the cloud
charges for that node. Builds are read while Jenkins has them: it discards old ones by itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from finops import credentials
from finops.errors import DataError, Issue, Severity, Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.samples import Samples
from providers import jenkins_replies, jenkins_walk, jenkins_workloads
from providers.base import Address, Probe, Settings, Told
from providers.http import Api, Reply, basic, parse_json
from providers.jenkins_replies import Build, Item
from providers.jenkins_workloads import Naming, Places
from providers.recorded import Recorded, Replies

_NODES, _BUILDS, _STAGES = "nodes", "builds", "stages"
_NODES_TREE = "computer[displayName,assignedLabels[name],executors[currentExecutable[url]]]"
_NO_STAGES = frozenset({404})

_RIGHTS = "give the user Overall/Read, and Job/Read on the jobs named in this source's settings"
_ADVICE = {
    401: "the user or API token is wrong; make a token under the user's Security settings",
    403: f"the user may not read this; {_RIGHTS}",
    404: f"there is no such address, or it is hidden; check 'url', and {_RIGHTS}",
}


class JenkinsSettings(Settings):
    """`[sources.NAME]` of a Jenkins controller.

    `jobs` are patterns of full names such as `team/*` (also in folders below). `parameters` names
    the build parameters that become tags, in lower case. `resource_id_pattern` finds the id of
    the cloud's resource in a node's name or labels. Builds that began more than
    `longest_build_days` before a window are not looked for. `recorded` is a folder of saved
    replies (`api/json.json`, `job/NAME/api/json.json` …): with it no network is used.
    """

    url: Address
    user_env: str = "JENKINS_USER"
    token_env: str = "JENKINS_TOKEN"  # noqa: S105 - the name of a variable, not a token
    jobs: tuple[str, ...] = ("*",)
    stages: bool = True
    parameters: tuple[str, ...] = ()
    resource_id_pattern: re.Pattern[str] | None = None
    longest_build_days: int = Field(default=7, ge=1)
    recorded: Path | None = None


@dataclass(slots=True)
class _Found:
    """What one pass over Jenkins brought, and what it could not bring."""

    objects: list[RawObject] = field(default_factory=list)
    builds: int = 0
    issues: list[Issue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Kept:
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
        return datetime.fromisoformat(self.raw.receipt["seen_at"])


class Jenkins:
    """The builds of one Jenkins controller."""

    NAME: ClassVar[str] = "jenkins"
    NEEDS: ClassVar[str] = "a user with an API token, Overall/Read and Job/Read"
    LOOKBACK_DAYS: ClassVar[int] = 2
    settings_model: ClassVar[type[Settings]] = JenkinsSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, JenkinsSettings), "the registry validates settings"
        self._source = source
        self._settings = settings
        self._recorded = base / settings.recorded if settings.recorded else None
        self._naming = Naming(settings.parameters, settings.resource_id_pattern)

    def probes(self) -> Mapping[str, Probe]:
        """Ask for nodes, jobs, and the builds of the first job, as a run would."""
        probes: dict[str, Probe] = {
            "the user may read nodes": lambda: self._probe(_nodes),
            "the user may list the jobs": lambda: self._probe(self._any_job),
            "the user may read builds": lambda: self._probe(self._any_builds),
        }
        if self._settings.stages:
            probes["Jenkins tells the stages of pipelines"] = lambda: self._probe(self._any_stages)
        return probes

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Ask for the nodes, and for the builds of `window` with their stages.

        When there is none in the window, all is asked for a second time. Raises `Transient`,
        `Terminal` when something may not be read, and `DataError` for an unknown shape.
        """
        with self._replies() as api:
            nodes = _nodes(api)
            at = self._at(nodes, window)
            found = self._pass(api, window, store)
            if not found.builds:
                found = self._pass(api, window, store)
        seen = [_keep(store, nodes, at, {"kind": _NODES})]
        if self._recorded is None:
            samples = Samples(store, self._source)
            samples.remember(at, seen)
            seen = samples.between(window.start_at, window.end_at)
        return Delivery(
            self.NAME,
            self._source,
            Scope(days=window),
            (*seen, *found.objects),
            issues=tuple(found.issues),
            is_empty_for_sure=True,
        )

    def workloads(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Told]:
        """Make one workload of each stage, or of a build without stages, and day.

        `weight` is the seconds it held its node. Raises `DataError` for an unknown shape.
        """
        replies = [_read(kept, path) for kept in delivery.objects]
        places = Places()
        for reply in replies:
            if reply.kind == _NODES:
                nodes = jenkins_replies.nodes(reply.document, reply.raw.name)
                places.learn(reply.seen_at, nodes)
        runs = {
            (reply.job, int(reply.raw.receipt["number"])): reply
            for reply in replies
            if reply.kind == _STAGES
        }
        done: set[tuple[str, int]] = set()
        for reply in replies:
            for build in _builds_of(reply):
                # A build that started while we read moved others on to the next page.
                if (reply.job, build.number) not in done:
                    done.add((reply.job, build.number))
                    described = runs.get((reply.job, build.number))
                    yield from self._told(reply, build, described, places)

    def _told(
        self, listed: _Kept, build: Build, described: _Kept | None, places: Places
    ) -> Iterator[Told]:
        """Make the workloads of one build: its stages where they are known, else the whole."""
        run = jenkins_replies.run(described.document, described.raw.name) if described else None
        if described and run and run.stages:
            rows = [
                row
                for stage in run.stages
                for row in jenkins_workloads.of_stage(
                    listed.job, build, stage, places, self._naming
                )
            ]
            yield Told(described.raw, jenkins_workloads.frame(rows))
            return
        paused = run.paused if run else timedelta()
        whole = jenkins_workloads.of_build(
            listed.job, build, listed.seen_at, paused, places, self._naming
        )
        yield Told(listed.raw, jenkins_workloads.frame(list(whole)))

    @contextmanager
    def _replies(self) -> Iterator[Replies]:
        if self._recorded is not None:
            yield Recorded(self._recorded)
            return
        where = f"sources.{self._source}"
        user = credentials.read(self._settings.user_env, where, _RIGHTS)
        token = credentials.read(self._settings.token_env, where, _ADVICE[401])
        with Api(self._settings.url, basic(user, token), _ADVICE) as api:
            yield api

    def _probe(self, ask: Callable[[Replies], object]) -> None:
        with self._replies() as api:
            ask(api)

    def _any_job(self, api: Replies) -> Item:
        """Find the first job that the settings name; raises `Terminal` when there is none."""
        for job in jenkins_walk.jobs(api, self._settings.jobs):
            return job
        raise Terminal(
            f"sources.{self._source}.jobs: no job is named by {', '.join(self._settings.jobs)}; "
            f"write full names such as team/*, and {_RIGHTS}"
        )

    def _any_builds(self, api: Replies) -> None:
        jenkins_walk.page(api, self._any_job(api), 0, has_parameters=self._has_parameters)

    def _any_stages(self, api: Replies) -> None:
        """Describe the first pipeline build among the newest of each job, where there is one."""
        for job in jenkins_walk.jobs(api, self._settings.jobs):
            newest = jenkins_walk.page(api, job, 0, has_parameters=self._has_parameters).builds
            for build in newest:
                if build.is_pipeline:
                    reply = api.get(f"{job.path}/{build.number}/wfapi/describe", {}, _NO_STAGES)
                    if reply.status in _NO_STAGES:
                        raise Terminal(
                            f"{reply.name}: there is no such address; install the plugin Pipeline: "
                            f"Stage View (pipeline-rest-api), or set stages = false"
                        )
                    jenkins_replies.run(reply.json(), reply.name)
                    return

    def _pass(self, api: Replies, window: Window, store: RawStore) -> _Found:
        found = _Found()
        too_old = window.start_at - timedelta(days=self._settings.longest_build_days)
        for job in jenkins_walk.jobs(api, self._settings.jobs):
            oldest: Build | None = None
            for page in jenkins_walk.pages(api, job, too_old, has_parameters=self._has_parameters):
                at = self._at(page.reply, window)
                inside = [build for build in page.builds if _is_inside(build, at, window)]
                if inside:
                    found.builds += len(inside)
                    receipt = {"kind": _BUILDS, "job": job.name}
                    found.objects.append(_keep(store, page.reply, at, receipt))
                    found.objects += self._described(api, job, inside, window, store)
                oldest = page.builds[-1] if page.builds and page.is_last else oldest
            if self._recorded is None and oldest and _may_lack(oldest, window):
                found.issues.append(_discarded(self._source, job, oldest))
        return found

    def _described(
        self, api: Replies, job: Item, builds: list[Build], window: Window, store: RawStore
    ) -> Iterator[RawObject]:
        """Ask for the stages of pipelines; where that plugin is missing there are none."""
        for build in builds if self._settings.stages else ():
            if build.is_pipeline:
                reply = api.get(f"{job.path}/{build.number}/wfapi/describe", {}, _NO_STAGES)
                if reply.status not in _NO_STAGES:
                    jenkins_replies.run(reply.json(), reply.name)
                    receipt = {"kind": _STAGES, "job": job.name, "number": str(build.number)}
                    yield _keep(store, reply, self._at(reply, window), receipt)

    @property
    def _has_parameters(self) -> bool:
        return bool(self._settings.parameters)

    def _at(self, reply: Reply, window: Window) -> datetime:
        """Tell when a reply was given; saved ones do not say and count as of the window's end."""
        if self._recorded is not None:
            return window.end_at
        return reply.sent_at or datetime.now(UTC)


def _builds_of(reply: _Kept) -> list[Build]:
    if reply.kind != _BUILDS:
        return []
    return jenkins_replies.builds(reply.document, reply.raw.name)


def _nodes(api: Replies) -> Reply:
    reply = api.get("/computer/api/json", {"tree": _NODES_TREE})
    jenkins_replies.nodes(reply.json(), reply.name)
    return reply


def _is_inside(build: Build, seen_at: datetime, window: Window) -> bool:
    end = seen_at if build.is_running else build.start + build.took
    return build.start < window.end_at and end >= window.start_at


def _may_lack(oldest: Build, window: Window) -> bool:
    return oldest.number > 1 and oldest.start > window.start_at


def _discarded(source: str, job: Item, oldest: Build) -> Issue:
    return Issue(
        source,
        f"{job.name}: Jenkins keeps no build before #{oldest.number} of {oldest.start:%Y-%m-%d %H:%M} "
        f"UTC, so earlier ones of these days may be missing; let it keep builds for some days more, "
        f"or ingest more often",
        Severity.WARNING,
    )


def _keep(store: RawStore, reply: Reply, at: datetime, facts: Mapping[str, str]) -> RawObject:
    receipt = {**facts, "seen_at": at.isoformat(), **reply.receipt()}
    return store.keep(reply.body, f"jenkins{reply.name}", receipt)


def _read(kept: RawObject, path: Callable[[RawObject], Path]) -> _Kept:
    try:
        return _Kept(kept, parse_json(path(kept).read_bytes(), kept.name))
    except KeyError:
        raise DataError(
            f"{kept.key}: what was seen at {kept.receipt['seen_at']} is gone; restore it from a "
            f"backup, or remove its note below samples/ to go on without it"
        ) from None
    except Transient as error:
        raise DataError(str(error)) from None
