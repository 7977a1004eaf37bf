"""The warehouse in a folder.

A temporary file is written and synced beside the final place, then renamed over it (replace) or
linked to it (create: `link` fails when the name is taken, `rename` would overwrite).
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from finops.errors import WarehouseError

_TEMPORARY = ".tmp-"
_ABANDONED_AFTER_SECONDS = 24 * 60 * 60
_TRIES = 100


class LocalWarehouse:
    """A `Warehouse` in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = str(self.root)

    def read(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as error:
            raise self._refusal("read", key, error) from error

    def exists(self, key: str) -> bool:
        try:
            return self._path(key).is_file()
        except OSError as error:
            raise self._refusal("read", key, error) from error

    def list(self, prefix: str) -> Iterator[str]:
        folder = self._path(prefix.rpartition("/")[0])
        found = (path.relative_to(self.root).as_posix() for path in self._files(folder))
        yield from sorted(key for key in found if key.startswith(prefix) and _TEMPORARY not in key)

    def _files(self, folder: Path) -> Iterator[Path]:
        """Walk `folder`; one that may not be read is a fault, not an empty table."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise self._refusal("list", str(error.filename), error) from error

        for place, _, names in os.walk(folder, onerror=refuse):
            yield from (Path(place) / name for name in names)

    def replace(self, key: str, content: bytes | Path) -> None:
        with self._written(key, content) as temporary:
            temporary.replace(self._path(key))

    def adopt(self, key: str, path: Path) -> None:
        target = self._path(key)
        try:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            _in_folder(target.parent, lambda: path.replace(target))
            _sync_folder(target.parent)
        except OSError as error:
            raise self._refusal("write", key, error) from error

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Lend a folder on the warehouse's own file system, so that `adopt` is a rename."""
        self._sweep()
        folder = self.root / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise self._refusal("write", folder.name, error) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def create(self, key: str, content: bytes) -> bool:
        with self._written(key, content) as temporary:
            try:
                os.link(temporary, self._path(key))
            except FileExistsError:
                return False
        return True

    def move(self, key: str, to: str) -> bool:
        source, target = self._path(key), self._path(to)
        try:
            _in_folder(target.parent, lambda: source.replace(target))
        except FileNotFoundError as error:
            if source.is_file():
                raise self._refusal("write", to, error) from error
            return False
        except OSError as error:
            raise self._refusal("write", to, error) from error
        _sync_folder(target.parent)
        self._prune(source.parent)
        return True

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
            self._prune(self._path(key).parent)
        except OSError as error:
            raise self._refusal("delete", key, error) from error

    def local(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        return path

    def _sweep(self) -> None:
        """Remove what runs that were killed more than a day ago left under way."""
        abandoned_before = time.time() - _ABANDONED_AFTER_SECONDS
        for folder in self.root.glob(f"{_TEMPORARY}*"):
            # Another run may be done with its folder by now: it is then gone, as wanted.
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_mtime < abandoned_before:
                    shutil.rmtree(folder, ignore_errors=True)

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty, as an object store would not know them either."""
        while folder != self.root and self.root in folder.parents:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _path(self, key: str) -> Path:
        return self.root / key

    def _refusal(self, verb: str, key: str, error: OSError) -> WarehouseError:
        return WarehouseError(
            f"cannot {verb} {self._path(key)}: {error.strerror or error}; "
            f"check the folder's permissions and free space, nothing was changed there"
        )

    @contextmanager
    def _written(self, key: str, content: bytes | Path) -> Iterator[Path]:
        """Write `content` to a synced temporary file beside `key`, and tidy up whatever happens."""
        target = self._path(key)
        temporary = target.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            _in_folder(target.parent, lambda: _write_synced(temporary, content))
            yield temporary
            _sync_folder(target.parent)
        except OSError as error:
            raise self._refusal("write", key, error) from error
        finally:
            _quietly(lambda: temporary.unlink(missing_ok=True))


def _in_folder(folder: Path, act: Callable[[], object]) -> None:
    """Do what needs `folder`, made when absent; another run may prune it while it is empty."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            act()
            return
    folder.mkdir(parents=True, exist_ok=True)
    act()


def _write_synced(path: Path, content: bytes | Path) -> None:
    with path.open("xb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quietly(act: Callable[[], None]) -> None:
    """Tidy up without hiding the fault that led here."""
    try:
        act()
    except OSError:
        return
