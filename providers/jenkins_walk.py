"""Walking over Jenkins: folders to jobs, and a job's builds page by page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from finops.errors import Terminal, Transient
from providers import jenkins_replies
from providers.http import Reply
from providers.jenkins_replies import Build, Item
from providers.paging import MOST_PAGES
from providers.recorded import Replies

PAGE_BUILDS = 100

_ITEMS_TREE = "jobs[name,jobs[name]]"
_BUILD_FIELDS = "number,url,result,timestamp,duration,building,builtOn,queueId"
_PARAMETER_FIELDS = ",actions[parameters[name,value]]"
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Page:
    """Some builds of a job, newest first; the last page holds the oldest that Jenkins keeps."""

    reply: Reply
    builds: list[Build]

    @property
    def is_last(self) -> bool:
        return len(self.builds) != PAGE_BUILDS


def jobs(api: Replies, patterns: Sequence[str]) -> Iterator[Item]:
    """Give the jobs whose full name fits a pattern; folders without such jobs are not entered.

    Branches of a multibranch pipeline are jobs in a folder.
    """
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        path = Item(parent, is_folder=True).path if parent else ""
        reply = api.get(f"{path}/api/json", {"tree": _ITEMS_TREE})
        found = jenkins_replies.items(reply.json(), reply.name, parent)
        for item in sorted(found, key=lambda item: item.name):
            if item.is_folder:
                if any(_may_hold(item.name, pattern) for pattern in patterns):
                    waiting.append(item.name)
            elif is_named(item.name, patterns):
                yield item


def is_named(job: str, patterns: Sequence[str]) -> bool:
    """Tell whether a job's full name fits a pattern."""
    return any(fnmatchcase(job, pattern) for pattern in patterns)


def pages(api: Replies, job: Item, too_old: datetime, *, has_parameters: bool) -> Iterator[Page]:
    """Give a job's builds page by page, until one began before `too_old`.

    Raises `Transient` when a page brings nothing older: its end would never come.
    """
    lowest: int | None = None
    for start in range(0, MOST_PAGES * PAGE_BUILDS, PAGE_BUILDS):
        read = page(api, job, start, has_parameters=has_parameters)
        if lowest is not None and read.builds and read.builds[-1].number >= lowest:
            raise Transient(
                f"{read.reply.name}: has no older builds than the page before it; nothing was "
                f"taken, try again"
            )
        yield read
        if read.is_last or read.builds[-1].start < too_old:
            return
        lowest = read.builds[-1].number
    raise Terminal(
        f"{job.name}: has more than {MOST_PAGES * PAGE_BUILDS} builds in these days; ask for fewer "
        f"days at a time"
    )


def page(api: Replies, job: Item, start: int, *, has_parameters: bool) -> Page:
    """Ask for one page of a job's builds, with their parameters if wanted."""
    fields = _BUILD_FIELDS + (_PARAMETER_FIELDS if has_parameters else "")
    # `builds` would be the newest hundred only, whatever page is asked for.
    tree = f"allBuilds[{fields}]{{{start},{start + PAGE_BUILDS}}}"
    reply = api.get(f"{job.path}/api/json", {"tree": tree})
    return Page(reply, jenkins_replies.builds(reply.json(), reply.name))


def _may_hold(folder: str, pattern: str) -> bool:
    """Tell whether a job in `folder`, or below, may fit `pattern`: by what it begins with."""
    begins = _WILD.split(pattern, maxsplit=1)[0]
    inside = f"{folder}/"
    return begins.startswith(inside) or inside.startswith(begins)
