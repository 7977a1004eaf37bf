"""Warehouses in trouble: one fails at a chosen call, as if the process had been killed there; in
one something else happens just before a chosen call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from finops.warehouse import Warehouse
from finops.warehouse.local import LocalWarehouse


class Killed(BaseException):
    """The process ends here. No handler may catch it, as none catches SIGKILL."""


class Watched:
    """Passes every call on to `store`, after `_called` has counted it."""

    def __init__(self, store: LocalWarehouse) -> None:
        self.url = store.url
        self.calls = 0
        self._store = store

    def _alive(self) -> Warehouse:
        self.calls += 1
        self._called()
        return self._store

    def _called(self) -> None:
        raise NotImplementedError

    def read(self, key: str) -> bytes:
        return self._alive().read(key)

    def exists(self, key: str) -> bool:
        return self._alive().exists(key)

    def list(self, prefix: str) -> Iterator[str]:
        return self._alive().list(prefix)

    def replace(self, key: str, content: bytes | Path) -> None:
        self._alive().replace(key, content)

    def adopt(self, key: str, path: Path) -> None:
        self._alive().adopt(key, path)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        with self._alive().workspace() as folder:
            yield folder

    def create(self, key: str, content: bytes) -> bool:
        return self._alive().create(key, content)

    def move(self, key: str, to: str) -> bool:
        return self._alive().move(key, to)

    def delete(self, key: str) -> None:
        self._alive().delete(key)

    def local(self, key: str) -> Path:
        return self._alive().local(key)


class KilledAt(Watched):
    """Passes calls on to `store` until the `last` one, from which on nothing works any more.

    What a dying process would no longer do, such as tidying up, has no effect either.
    """

    def __init__(self, store: LocalWarehouse, last: int) -> None:
        super().__init__(store)
        self._last = last

    def _called(self) -> None:
        if self.calls > self._last:
            raise Killed


class Meanwhile(Watched):
    """Lets `act` happen just before the call number `at`, as if another process did it."""

    def __init__(self, store: LocalWarehouse, at: int, act: Callable[[], object]) -> None:
        super().__init__(store)
        self._at = at
        self._act = act

    def _called(self) -> None:
        if self.calls == self._at:
            self._act()
