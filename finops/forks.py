"""What a forked child must make anew: threads stay with the parent, and locks may be held there."""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that holds threads, locks or files that a child cannot share."""

    def begin_in_child(self) -> None:
        """Start from nothing in a process that was just forked off."""
        ...


_KNOWN: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def remember(one: Forkable) -> None:
    """Have `one` begin anew in every child, for as long as it lives."""
    _KNOWN.add(one)


def _forked() -> None:
    for one in list(_KNOWN):
        one.begin_in_child()


os.register_at_fork(after_in_child=_forked)
