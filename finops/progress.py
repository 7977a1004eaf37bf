"""Progress of long work, for whoever watches: the terminal installs a listener, servers none."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol


class Listener(Protocol):
    """Hears how many `units` of `what` went by, from any thread."""

    def advance(self, what: str, units: int) -> None: ...

    def aside(self) -> AbstractContextManager[None]:
        """Step aside while something is printed that is to stay."""
        return nullcontext()


class _Nobody(Listener):
    def advance(self, what: str, units: int) -> None: ...


_listener: Listener = _Nobody()


def advance(what: str, units: int) -> None:
    """Tell the listener that `units` more of `what` are done."""
    _listener.advance(what, units)


def aside() -> AbstractContextManager[None]:
    """Make room on the screen inside the `with` block: progress would overwrite what is printed."""
    return _listener.aside()


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Send progress to `listener` inside the `with` block."""
    global _listener  # noqa: PLW0603 - one terminal a process
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
