"""Anything that already exports FOCUS: a file or a folder, on disk or in S3.

The bill may be of FOCUS 1.0 to 1.4, CSV or Parquet, plain or compressed. All files of a folder
together are the bill: a re-delivered month replaces its file, it does not stand beside it.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import field_validator

from finops import companions, copies, normalize, tabular
from finops.errors import Terminal
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore, Scope
from providers import focus_s3
from providers.base import Bill, Probe, Settings

SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".csv.zip", ".zip", ".parquet", ".parq", ".pq")


class FocusSettings(Settings):
    """`path`: a file or folder (relative to finops.toml), or `s3://bucket/key-or-prefix/`."""

    path: str

    @field_validator("path")
    @classmethod
    def _names_a_place(cls, value: str) -> str:
        """Refuse a key in the address; what is refused is not repeated."""
        scheme, _, rest = value.partition("://")
        if rest and scheme != "s3":
            raise ValueError("is neither a path nor s3://bucket/prefix/; correct it")
        if rest and "@" in rest.partition("/")[0]:
            raise ValueError(
                "holds a key before the '@'; write s3://bucket/prefix/ only, and give credentials "
                "as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or as a role"
            )
        return value


class Focus:
    """FOCUS files of any origin."""

    NAME: ClassVar[str] = "focus"
    NEEDS: ClassVar[str] = "path: a FOCUS file or folder, local or s3://"
    LOOKBACK_DAYS: ClassVar[int] = 15
    settings_model: ClassVar[type[Settings]] = FocusSettings

    def __init__(self, source: str, settings: Settings, base: Path) -> None:
        assert isinstance(settings, FocusSettings)
        self._source = source
        self._path = settings.path
        self._base = base

    def probes(self) -> Mapping[str, Probe]:
        """Look for the files, and open each as a run would."""
        if self._path.startswith("s3://"):
            return {f"{self._path} can be listed": self._demand_bills}
        return {
            f"{self._path} is there": self._found,
            "every file of it is a FOCUS bill": self._demand_focus,
        }

    def _demand_focus(self) -> None:
        for file, name in self._found():
            kept, _ = companions.set_apart(tabular.tables(file, name))
            if kept:
                normalize.canonical(tabular.joined(kept), name)

    def fetch(self, window: Window, store: RawStore) -> Delivery:
        """Keep every file; the bill speaks for the months and the days of `window`."""
        if self._path.startswith("s3://"):
            objects = tuple(self._from_s3(store))
        else:
            objects = tuple(self._from_disk(store))
        scope = Scope(frozenset(window.periods()), window)
        return Delivery(self.NAME, self._source, scope, objects)

    def charges(self, delivery: Delivery, path: Callable[[RawObject], Path]) -> Iterator[Bill]:
        """Read every file; a bill that is there twice is refused, since it would count twice.

        Datasets of FOCUS that hold no charges are left out: see `finops.companions`.
        """
        opened = [(raw, tabular.tables(path(raw), raw.name)) for raw in delivery.objects]
        every = [table for _, tables in opened for table in tables]
        copies.refuse(every)
        charged, issues = companions.set_apart(every)
        companions.demand_charges(charged, issues, self._source)
        for raw, tables in opened:
            kept = [table for table in tables if table in charged]
            if kept:
                yield Bill(raw, tabular.joined(kept), tuple(issues))
                issues = []

    def _from_disk(self, store: RawStore) -> Iterator[RawObject]:
        for file, name in self._found():
            try:
                yield store.keep(file, name, {"endpoint": file.resolve().as_uri()})
            except OSError as error:
                raise self._unreadable(file, error) from None

    def _found(self) -> list[tuple[Path, str]]:
        """List the files with what they are called; raises `Terminal` when there is none."""
        place = self._base / self._path
        if place.is_file():
            return [(place, place.name)]
        if not place.is_dir():
            raise Terminal(f"{self._source}: there is no file or folder {place}; correct `path`")
        files = sorted(file for file in self._files(place) if _is_bill(file.name))
        if not files:
            raise Terminal(f"{self._source}: {place} holds no file that ends in {_endings()}")
        return [(file, file.relative_to(place).as_posix()) for file in files]

    def _files(self, folder: Path) -> Iterator[Path]:
        """Walk `folder`; a part of it that may not be read is a fault, not a smaller bill."""

        def refuse(error: OSError) -> None:
            raise self._unreadable(Path(str(error.filename)), error) from None

        for place, _, names in os.walk(folder, onerror=refuse):
            yield from (Path(place) / name for name in names)

    def _unreadable(self, path: Path, error: OSError) -> Terminal:
        said = error.strerror or error
        return Terminal(f"{self._source}: {path} cannot be read ({said}); grant read access")

    def _from_s3(self, store: RawStore) -> Iterator[RawObject]:
        bucket = focus_s3.Bucket(self._path, self._source)
        keys = self._bills(bucket)
        with tempfile.TemporaryDirectory(prefix="finops-") as folder:
            file = Path(folder) / "bill"
            for key in keys:
                bucket.download(key, file)
                yield store.keep(file, key, {"endpoint": f"s3://{bucket.name}/{key}"})

    def _demand_bills(self) -> None:
        self._bills(focus_s3.Bucket(self._path, self._source))

    def _bills(self, bucket: focus_s3.Bucket) -> list[str]:
        """List the bills in S3; raises `Terminal` when there is none or it may not be read."""
        keys = bucket.keys()
        bills = sorted(key for key in keys if _is_bill(key) and _is_below(key, bucket.prefix))
        if not bills:
            raise Terminal(f"{self._source}: {self._path} holds no file that ends in {_endings()}")
        return bills


def _is_bill(name: str) -> bool:
    plain = name.rpartition("/")[2].lower()
    hidden = plain.startswith(".")  # macOS and editors leave such files beside the real ones
    return plain.endswith(SUFFIXES) and "manifest" not in plain and not hidden


def _is_below(key: str, prefix: str) -> bool:
    """Tell whether `prefix` is the key, or a folder above it: `bills` is not `bills-old/x.csv`."""
    return not prefix or key == prefix or key.startswith(f"{prefix.rstrip('/')}/")


def _endings() -> str:
    return ", ".join(SUFFIXES)
