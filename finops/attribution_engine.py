"""`AttributionEngine`: work says what it uses while it runs, and whose it is.

Every call writes to the local spool and to nothing else: it takes milliseconds, needs no network,
and what it wrote is there when the process dies right after it.
"""

import asyncio
import contextlib
import functools
import inspect
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack, cast

from finops import forks, gpu_usage, organization, pseudonyms
from finops.config import FILE_NAME, Config
from finops.errors import ConfigError, WarehouseError
from finops.gpu_usage import GpuUsage, decimal_of
from finops.installation import Installation
from finops.organization import Organization
from finops.reported import Event, NoEvent, What
from finops.spool import Spool

P = ParamSpec("P")
R = TypeVar("R")

_LOG = logging.getLogger("finops.tracking")


@dataclass(frozen=True, slots=True)
class GpuWorkload:
    """A piece of work that is under way: its attribution id, and the engine that tracks it."""

    id: str
    engine: "AttributionEngine"

    def heartbeat(self, gpu_utilization: Decimal | float | None = None) -> None:
        """Say that it is alive, and which share (0 to 1) of its GPUs it used since the last time."""
        self.engine.heartbeat_sync(self.id, gpu_utilization)


class AttributionEngine:
    """Tracks work as it runs.

    Every call has an async form and one that ends in `_sync`. What is tracked gets a heartbeat
    every few minutes from a thread of its own until it ends or this process does.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._key = pseudonyms.load_key(config.pseudonym_key_path)
        self._organization = _Current(config.organization_path)
        self._spool = Spool(config.spool_path)
        self.begin_in_child()
        forks.remember(self)

    @classmethod
    def from_config(cls, path: str | Path = FILE_NAME) -> "AttributionEngine":
        """Open the installation at `path`; raises `ConfigError` naming every mistake in it."""
        return cls(Installation.open(path).config)

    def begin_in_child(self) -> None:
        """Begin with nothing under way: what a parent process tracks is the parent's to end."""
        self._next_write: Future[None] | None = None
        self._writers = ThreadPoolExecutor(1, thread_name_prefix="finops-spool")
        every = timedelta(minutes=self._config.tracking.heartbeat_minutes)
        self._pulse = _Pulse(self._spool, every)

    async def track_gpu_usage(self, **usage: Unpack[GpuUsage]) -> str:
        """Say that work began, and return its attribution id; see `GpuUsage`.

        Raises `ConfigError` for what cannot be right, such as a team that does not exist, and
        `WarehouseError` when the spool cannot be written.
        """
        event = self._started(usage)
        await self._write(event)
        return self._begun(event)

    def track_gpu_usage_sync(self, **usage: Unpack[GpuUsage]) -> str:
        """Do as `track_gpu_usage` does, without an event loop."""
        event = self._started(usage)
        self._spool.append(event)
        return self._begun(event)

    async def heartbeat(
        self, attribution_id: str, gpu_utilization: Decimal | float | None = None
    ) -> None:
        """Say that work is alive, and which share (0 to 1) of its GPUs it used since last time."""
        await self._write(_sign(What.HEARTBEAT, attribution_id, gpu_utilization))

    def heartbeat_sync(
        self, attribution_id: str, gpu_utilization: Decimal | float | None = None
    ) -> None:
        """Do as `heartbeat` does, without an event loop."""
        self._spool.append(_sign(What.HEARTBEAT, attribution_id, gpu_utilization))

    async def end(self, attribution_id: str) -> None:
        """Say that work is over."""
        self._pulse.forget(attribution_id)
        await self._write(_sign(What.END, attribution_id))

    def end_sync(self, attribution_id: str) -> None:
        """Do as `end` does, without an event loop."""
        self._pulse.forget(attribution_id)
        self._spool.append(_sign(What.END, attribution_id))

    def gpu_workload(self, **usage: Unpack[GpuUsage]) -> "_Scope":
        """Track what happens within `with` or `async with`, or in a function it decorates.

        The work itself never fails because its end cannot be written: that is logged.
        """
        return _Scope(self, usage)

    def close(self) -> None:
        """Stop the heartbeats and finish the file in the spool."""
        self._pulse.stop()
        self._writers.shutdown()
        self._spool.close()

    def _started(self, usage: GpuUsage) -> Event:
        known = self._organization.read()
        return gpu_usage.start_event(usage, known, self._key, datetime.now(UTC))

    def _begun(self, event: Event) -> str:
        self._pulse.remember(event.workload_id)
        return event.workload_id

    async def _write(self, event: Event) -> None:
        file = self._spool.queue(event)
        # One job writes for all that has queued up until it begins.
        if self._next_write is None or self._next_write.running() or self._next_write.done():
            self._next_write = self._writers.submit(self._spool.write)
        await asyncio.wrap_future(file)


class _Scope:
    """One piece of work as a context, sync or async, or as a decorator."""

    def __init__(self, engine: AttributionEngine, usage: GpuUsage) -> None:
        self._engine = engine
        self._usage = usage
        self._entered: list[GpuWorkload] = []

    def __enter__(self) -> GpuWorkload:
        id_ = self._engine.track_gpu_usage_sync(**self._usage)
        return self._enter(id_)

    def __exit__(self, *_: object) -> None:
        with _logged():
            self._engine.end_sync(self._entered.pop().id)

    async def __aenter__(self) -> GpuWorkload:
        id_ = await self._engine.track_gpu_usage(**self._usage)
        return self._enter(id_)

    async def __aexit__(self, *_: object) -> None:
        with _logged():
            await self._engine.end(self._entered.pop().id)

    def __call__(self, work: Callable[P, R]) -> Callable[P, R]:
        """Track every call of `work`, which may be async, as a piece of work of its own."""
        if inspect.iscoroutinefunction(work):

            @functools.wraps(work)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self._again():
                    return await work(*args, **kwargs)

            return cast("Callable[P, R]", awaited)

        @functools.wraps(work)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return work(*args, **kwargs)

        return called

    def _again(self) -> "_Scope":
        return _Scope(self._engine, self._usage)

    def _enter(self, id_: str) -> GpuWorkload:
        workload = GpuWorkload(id_, self._engine)
        self._entered.append(workload)
        return workload


class _Pulse:
    """Beats for all that this process has begun and not ended, from one thread."""

    def __init__(self, spool: Spool, every: timedelta) -> None:
        self._spool = spool
        self._every = every
        self._alive: dict[str, None] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def remember(self, id_: str) -> None:
        with self._lock:
            self._alive[id_] = None
            if self._thread is None or not self._thread.is_alive():
                # A daemon: it must not keep alive the process that it speaks for.
                self._thread = threading.Thread(
                    target=self._beat, name="finops-heartbeat", daemon=True
                )
                self._thread.start()

    def forget(self, id_: str) -> None:
        with self._lock:
            self._alive.pop(id_, None)

    def stop(self) -> None:
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self._every.total_seconds()):
            with self._lock:
                alive = list(self._alive)
            with _logged():
                self._spool.append_all([_sign(What.HEARTBEAT, id_) for id_ in alive])


class _Current:
    """An organization.toml that is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._read: Organization | None = None

    def read(self) -> Organization:
        try:
            found = self._path.stat()
        except OSError:
            found = None
        seen = (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
        if self._read is None or seen != self._seen:
            self._read, self._seen = organization.load(self._path), seen
        return self._read


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Log that a sign of life could not be written: the work it is about must go on."""
    try:
        yield
    except WarehouseError as error:
        _LOG.error("%s", error)


def _sign(what: What, id_: str, utilization: Decimal | float | None = None) -> Event:
    share = decimal_of(utilization)
    assert share is None or isinstance(share, Decimal | int), "a float became a decimal"
    try:
        return Event(
            id=uuid.uuid4().hex,
            event=what,
            workload_id=id_,
            at=datetime.now(UTC),
            gpu_utilization=None if share is None else Decimal(share),
        )
    except NoEvent as fault:
        raise ConfigError(f"the {what} of {id_!r} {fault}") from None
