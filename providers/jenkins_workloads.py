"""Workloads of builds and stages: one a day, weighed by the seconds they held their node."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from finops import money, workloads
from providers.jenkins_replies import Build, Nodes, Stage

_DAY = timedelta(days=1)


@dataclass(slots=True)
class Places:
    """Where builds ran: nodes, their labels, and what their executors did when we looked."""

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    controller: str | None = None
    _seen: list[tuple[datetime, Nodes]] = field(default_factory=list)

    def learn(self, at: datetime, nodes: Nodes) -> None:
        """Take in what was seen at `at`; what is newer wins for labels, so go by time."""
        self.labels |= nodes.labels
        self.controller = nodes.controller
        self._seen.append((at, nodes))

    def of_build(self, build: Build) -> str | None:
        """Name the node of a build; the controller has no name of its own."""
        return self.controller if build.node == "" else build.node

    def seen(self, path: str, start: datetime, end: datetime) -> str | None:
        """Name the one node that was seen to run the build in that time; `None` when unsure."""
        found = {
            node
            for at, nodes in self._seen
            if start <= at <= end
            for node, paths in nodes.busy.items()
            if path in paths
        }
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Naming:
    """Which build parameters become tags, and how a cloud's resource is found in a node."""

    parameters: Sequence[str]
    resource_id: re.Pattern[str] | None

    def tags(self, job: str, build: Build) -> dict[str, str]:
        folder = job.rpartition("/")[0]
        return {
            **({"folder": folder} if folder else {}),
            "job": job,
            **{
                name.lower(): build.parameters[name]
                for name in self.parameters
                if build.parameters.get(name)
            },
        }

    def resource(self, node: str | None, labels: Sequence[str]) -> str | None:
        """Find the resource's id in the node's name or labels: group 1, else all that fits."""
        for text in [*([node] if node else []), *labels]:
            if self.resource_id and (found := self.resource_id.search(text)):
                return str(found[1] if found.re.groups else found[0])
        return None


def of_build(
    job: str, build: Build, seen_at: datetime, paused: timedelta, places: Places, naming: Naming
) -> Iterator[dict[str, Any]]:
    """Make the workloads of a whole build; a running one ends for now when it was seen."""
    end = max(seen_at, build.start) if build.is_running else build.start + build.took
    node = places.of_build(build) or places.seen(build.path, build.start, end)
    yield from _cut(
        build.start,
        end,
        paused,
        {
            "workload_id": f"{job}#{build.number}",
            "kind": "build",
            "name": f"{job} #{build.number}",
            "is_running": build.is_running,
            "raw_row": build.row,
            **_facts(job, build, node, places, naming, {"result": build.result}),
        },
    )


def of_stage(
    job: str, build: Build, stage: Stage, places: Places, naming: Naming
) -> Iterator[dict[str, Any]]:
    """Make the workloads of one stage of a pipeline build."""
    end = stage.start + stage.took
    node = stage.node or places.seen(build.path, stage.start, end)
    yield from _cut(
        stage.start,
        end,
        stage.paused,
        {
            "workload_id": f"{job}#{build.number}/{stage.id}",
            "kind": "stage",
            "name": f"{job} #{build.number} {stage.name}",
            "is_running": stage.is_running,
            "raw_row": stage.row,
            **_facts(
                job, build, node, places, naming, {"stage": stage.name, "result": stage.status}
            ),
        },
    )


def frame(rows: Sequence[Mapping[str, Any]]) -> pl.LazyFrame:
    """Make a table of workloads."""
    names = [name for name in workloads.SCHEMA if name in rows[0]]
    return pl.LazyFrame(
        [[row[name] for name in names] for row in rows],
        schema={name: workloads.SCHEMA[name] for name in names},
        orient="row",
    )


def _facts(
    job: str,
    build: Build,
    node: str | None,
    places: Places,
    naming: Naming,
    more: Mapping[str, str | None],
) -> dict[str, Any]:
    labels = places.labels.get(node or "", ())
    attributes = {
        **more,
        "path": build.path,
        "labels": list(labels) or None,
        "queue_id": build.queue_id,
    }
    return {
        "node": node,
        "resource_id": naming.resource(node, labels),
        "tags": _json(naming.tags(job, build)),
        "attributes": _json({key: value for key, value in attributes.items() if value is not None}),
    }


def _cut(
    start: datetime, end: datetime, paused: timedelta, facts: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Cut at midnight, and weigh each part by the seconds that were not paused.

    When it was paused is not told, so each part bears its share of the pause.
    """
    whole = end - start
    held = max(whole - paused, timedelta())
    at = start
    while True:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        until = min(midnight, end)
        weight = _part(until - at, held, whole)
        yield {**facts, "started_at": at, "ended_at": until, "weight": weight}
        at = until
        if at >= end:
            return


def _part(part: timedelta, held: timedelta, whole: timedelta) -> Decimal:
    if not whole:
        return Decimal(0)
    unit = timedelta(microseconds=1)
    with localcontext(money.CONTEXT):
        share = Decimal(part // unit) * Decimal(held // unit) / Decimal(whole // unit)
        return (share / 1_000_000).quantize(money.QUANTUM)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
