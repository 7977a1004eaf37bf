"""Run as a program: a backfill that is killed at one moment after the other, then completed.

Arguments: finops.toml, the first day, the day after the last, and for each kill `PART:COUNT`: the
process dies right before it puts the COUNT-th file in place whose path has PART in it. Prints how
each attempt ended: the number of the signal, or 0.
"""

import os
import signal
import sys
from datetime import UTC, date, datetime

from prefect import artifacts, tasks  # noqa: F401 - what takes long to import, and starts no thread

_PUTS_IN_PLACE = {"os.rename", "os.link"}


def _die_before(part: str, count: int) -> None:
    left = count

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _PUTS_IN_PLACE and part in str(arguments[1]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _backfill(config: str, start: str, end: str) -> None:
    # Polars starts threads when it is imported, and threads do not survive a fork.
    from finops.partition import Window
    from flows.backfill import IfExists, backfill_window

    window = Window(date.fromisoformat(start), date.fromisoformat(end))
    now = datetime.now(UTC)
    done = backfill_window(config, [], window, IfExists.SKIP, now, dry_run=False)
    assert not done.failures, done.failures


def _ended(days: tuple[str, str, str], kill: str | None) -> int:
    """Run one attempt in a process of its own."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if kill is not None:
        part, _, count = kill.partition(":")
        _die_before(part, int(count))
    code = 1
    try:
        _backfill(*days)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    config, start, end, *kills = sys.argv[1:]
    ends = [_ended((config, start, end), kill) for kill in [*kills, None]]
    print(*(-code for code in ends))  # noqa: T201 - what the test reads
