"""Jenkins: builds and pipeline stages as workloads on their nodes.

Jenkins knows no cost: a workload says who held which node when, and so explains what the cloud
charges for that node. Jenkins discards builds by itself, so what is seen of them is remembered, and
each window is told from all that any run has seen of it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from finops import credentials
from finops.errors import Issue, Severity, Terminal
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from finops.samples import Samples
from providers import jenkins_kept, jenkins_replies, jenkins_walk, jenkins_workloads
from providers.base import Address, Probe, Settings, Told
from providers.http import Api, Reply, basic
from providers.jenkins_kept import BUILDS, NODES, STAGES, Kept, Memory
from providers.jenkins_replies import Build, Item
from providers.jenkins_workloads import Naming, Places
from providers.recorded import Recorded, Replies

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
    under_way: set[str] = field(default_factory=set)
    """The names of replies in which something runs."""
    issues: list[Issue] = field(default_factory=list)

    def add(self, kept: RawObject, builds: Iterable[Build]) -> None:
        """Take in a reply that tells of these builds."""
        self.objects.append(kept)
        if any(build.is_running for build in builds):
            self.under_way.add(kept.name)


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
            memory = self._memory(store, window)
            found = self._pass(api, window, store, memory)
            if not found.objects:
                found = self._pass(api, window, store, memory)
        own = [jenkins_kept.keep(store, nodes, at, {"kind": NODES}), *found.objects]
        if self._recorded is None:
            news = memory.news(own, frozenset(found.under_way))
            Samples(store, self._source).remember(at, news)
        return Delivery(
            self.NAME,
            self._source,
            Scope(days=window),
            memory.joined(own, window, self._is_wanted),
            issues=tuple(found.issues),
            is_empty_for_sure=True,
        )

    def workloads(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Told]:
        """Make one workload of each stage, or of a build without stages, and day.

        `weight` is the seconds it held its node. Raises `DataError` for an unknown shape.
        """
        window = delivery.scope.days
        assert window is not None, "this provider's deliveries speak for days"
        replies = [jenkins_kept.read(kept, path) for kept in delivery.objects]
        replies.sort(key=lambda reply: reply.seen_at)
        places = Places()
        for reply in replies:
            if reply.kind == NODES:
                nodes = jenkins_replies.nodes(reply.document, reply.raw.name)
                places.learn(reply.seen_at, nodes)
        runs = {
            (reply.job, int(reply.raw.receipt["number"])): reply
            for reply in replies
            if reply.kind == STAGES
        }
        for reply, build in _as_seen_last(replies):
            if _is_inside(build, reply.seen_at, window):
                yield from self._told(reply, build, runs.get((reply.job, build.number)), places)

    def _told(
        self, listed: Kept, build: Build, described: Kept | None, places: Places
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

    def _pass(self, api: Replies, window: Window, store: RawStore, memory: Memory) -> _Found:
        """Read the pages that list builds of the window, and the stages of those builds."""
        found = _Found()
        too_old = window.start_at - self._longest
        for job in jenkins_walk.jobs(api, self._settings.jobs):
            oldest: Build | None = None
            for page in jenkins_walk.pages(api, job, too_old, has_parameters=self._has_parameters):
                at = self._at(page.reply, window)
                inside = [build for build in page.builds if _is_inside(build, at, window)]
                if inside:
                    listed = jenkins_kept.keep_builds(
                        store, page, at, job.name, self._settings.parameters
                    )
                    found.add(listed, inside)
                    self._describe(api, job, inside, window, store, found)
                oldest = page.builds[-1] if page.builds and page.is_last else oldest
            if self._recorded is None and oldest and _may_lack(oldest, job, window, memory):
                found.issues.append(_discarded(self._source, job, oldest))
        return found

    def _describe(
        self,
        api: Replies,
        job: Item,
        builds: list[Build],
        window: Window,
        store: RawStore,
        found: _Found,
    ) -> None:
        """Ask for the stages of pipelines; where that plugin is missing there are none."""
        for build in builds if self._settings.stages else ():
            if build.is_pipeline:
                reply = api.get(f"{job.path}/{build.number}/wfapi/describe", {}, _NO_STAGES)
                if reply.status not in _NO_STAGES:
                    jenkins_replies.run(reply.json(), reply.name)
                    about = {"kind": STAGES, "job": job.name, "number": str(build.number)}
                    found.add(
                        jenkins_kept.keep(store, reply, self._at(reply, window), about), [build]
                    )

    def _memory(self, store: RawStore, window: Window) -> Memory:
        """Recall what earlier runs saw; a folder of replies has what it has."""
        if self._recorded is not None:
            return Memory()
        return Memory.of(Samples(store, self._source), window, self._longest)

    def _is_wanted(self, kept: RawObject) -> bool:
        """Tell whether the settings of today ask for what was seen in earlier runs."""
        is_asked_for = kept.receipt["kind"] != STAGES or self._settings.stages
        return is_asked_for and jenkins_walk.is_named(kept.receipt["job"], self._settings.jobs)

    @property
    def _longest(self) -> timedelta:
        return timedelta(days=self._settings.longest_build_days)

    @property
    def _has_parameters(self) -> bool:
        return bool(self._settings.parameters)

    def _at(self, reply: Reply, window: Window) -> datetime:
        """Tell when a reply was given; saved ones do not say and count as of the window's end."""
        if self._recorded is not None:
            return window.end_at
        return reply.sent_at or datetime.now(UTC)


def _as_seen_last(replies: Sequence[Kept]) -> Iterator[tuple[Kept, Build]]:
    """Give each build once, from the newest of the replies that list it; they are oldest first.

    A job that was renamed has its builds under two names: a build keeps its place in the queue.
    """
    done: set[tuple[object, object]] = set()
    for reply in reversed(replies):
        for build in _builds_of(reply):
            names: set[tuple[object, object]] = {(reply.job, build.number)}
            if build.queue_id is not None and build.queue_id > 0:
                names.add((build.queue_id, build.start))
            if not names & done:
                yield reply, build
            done |= names


def _builds_of(reply: Kept) -> list[Build]:
    if reply.kind != BUILDS:
        return []
    return jenkins_replies.builds(reply.document, reply.raw.name)


def _nodes(api: Replies) -> Reply:
    reply = api.get("/computer/api/json", {"tree": _NODES_TREE})
    jenkins_replies.nodes(reply.json(), reply.name)
    return reply


def _is_inside(build: Build, seen_at: datetime, window: Window) -> bool:
    end = seen_at if build.is_running else build.start + build.took
    return build.start < window.end_at and end >= window.start_at


def _may_lack(oldest: Build, job: Item, window: Window, memory: Memory) -> bool:
    if oldest.number == 1 or oldest.start <= window.start_at:
        return False
    return not memory.has_seen(job.name, oldest.number - 1)


def _discarded(source: str, job: Item, oldest: Build) -> Issue:
    return Issue(
        source,
        f"{job.name}: Jenkins keeps no build before #{oldest.number} of {oldest.start:%Y-%m-%d %H:%M} "
        f"UTC, and no run has seen #{oldest.number - 1}, so builds of these days may be missing; let "
        f"the job keep more builds than it makes between two runs, or ingest more often",
        Severity.WARNING,
    )
