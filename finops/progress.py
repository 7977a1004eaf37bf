"""Progress of long work, for whoever watches: the terminal installs a listener, servers none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Listener(Protocol):
    """Hears how many `units` of `what` went by, from any thread."""

    def advance(self, what: str, units: int) -> None: ...


class _Nobody:
    def advance(self, what: str, units: int) -> None: ...


_listener: Listener = _Nobody()


def advance(what: str, units: int) -> None:
    """Tell the listener that `units` more of `what` are done."""
    _listener.advance(what, units)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Send progress to `listener` inside the `with` block."""
    global _listener  # noqa: PLW0603 - one terminal a process
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
