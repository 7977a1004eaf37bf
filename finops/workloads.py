"""Workloads: who held which resource from when to when. They explain charges and add no cost.

A workload that runs over midnight (UTC) is cut there: every row lies in one day, and the rows of
one workload share its id. One Parquet file holds what one source told of one day; a delivery
replaces the days it speaks for, and a day that vanished from it becomes empty.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from finops import money, replacement
from finops.errors import DataError, Issue, Severity, WarehouseError
from finops.partition import Window
from finops.raw import Delivery, RawObject
from finops.warehouse import Warehouse

WORKLOADS = "workloads"

TIME = pl.Datetime("us", "UTC")
SCHEMA = pl.Schema(
    {
        "workload_id": pl.String(),  # stable: the same work has the same id in every delivery
        "kind": pl.String(),  # pod, build, stage, job, run, or idle: held by nobody
        "name": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,  # not part of it
        "is_running": pl.Boolean(),  # it had not ended when it was seen: more may follow
        "resource_id": pl.String(),  # the ResourceId of the charges it explains, where known
        "cluster": pl.String(),
        "node": pl.String(),
        "gpu_model": pl.String(),
        "gpu_count": money.DTYPE,  # GPUs held; a slice of one is a fraction
        "gpu_utilization": money.DTYPE,  # share of the held GPU time that was used, 0 to 1
        "weight": money.DTYPE,  # its share of the resource's cost is proportional to this
        "tags": pl.String(),  # a JSON object
        "attributes": pl.String(),  # what else the source tells, a JSON object
        "raw_id": pl.String(),  # SHA-256 of the raw object it was read from
        "raw_row": pl.Int64(),  # 0-based place in that raw object
    }
)
"""The columns of a workload.

`weight` is any unit (cost, minutes), the same within one resource, and stands for the whole time
from `started_at` to `ended_at`: where a row is cut, each part keeps its share of it.
"""

_REQUIRED = ("workload_id", "kind", "started_at", "ended_at")
_DAY, _WHOLE, _WHOLE_START = "day", "~whole", "~whole_start"
_KEY = re.compile(r"workloads/day=([^/]+)/provider=([^/]+)/source=([^/]+)/part\.parquet")
_MICROSECOND = pl.duration(microseconds=1)


@dataclass(frozen=True, slots=True)
class Told:
    """Workloads read from one raw object: columns of `SCHEMA`, absent ones are null."""

    raw: RawObject
    rows: pl.LazyFrame


@dataclass(frozen=True, slots=True)
class Listed:
    """What one delivery told: rows (one a workload and day), and what was wrong with it."""

    provider: str
    source: str
    rows: int
    days: tuple[date, ...]
    issues: tuple[Issue, ...]


def write(told: Iterable[Told], delivery: Delivery, warehouse: Warehouse) -> Listed:
    """Replace the days that `delivery` speaks for by the workloads in `told`.

    What lies outside those days is cut off. A row that cannot be placed in time, or ends before it
    starts, is left out and named by an issue: it holds no money. Raises `DataError` for a raw
    object that cannot be read; nothing has changed then.
    """
    window = delivery.scope.days
    assert window is not None, "a source of workloads speaks for days"
    read = pl.concat([pl.DataFrame(schema=SCHEMA), *map(_read, told)])
    broken = read.filter(_is_broken())
    rows = _within(read.filter(_is_broken().not_()), window)
    days = _publish(rows, delivery, window, warehouse)
    return Listed(
        delivery.provider,
        delivery.source,
        len(rows),
        days,
        (*delivery.issues, *_issues(broken, delivery.source)),
    )


def read(warehouse: Warehouse, window: Window) -> pl.LazyFrame:
    """Open the workloads of every source in `window`, with the columns `provider` and `source`."""
    return Shelf(warehouse).read(window)


class Shelf:
    """The workloads of a warehouse, listed once: for those who look at many days."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._paths: dict[str, Path] = {}
        self._found = [
            found for key in warehouse.list(f"{WORKLOADS}/") if (found := _KEY.fullmatch(key))
        ]

    def read(self, window: Window) -> pl.LazyFrame:
        """Do as the function `read` does."""
        frames = [pl.LazyFrame(schema={**SCHEMA, "provider": pl.String(), "source": pl.String()})]
        for found in self._found:
            if window.start <= date.fromisoformat(found[1]) < window.end:
                named = {"provider": pl.lit(found[2]), "source": pl.lit(found[3])}
                held = pl.scan_parquet(self._local(found[0]), glob=False)
                frames.append(held.with_columns(**named))
        return pl.concat(frames)

    def __bool__(self) -> bool:
        return bool(self._found)

    def _local(self, key: str) -> Path:
        if key not in self._paths:
            self._paths[key] = self._warehouse.local(key)
        return self._paths[key]


def _read(told: Told) -> pl.DataFrame:
    """Read one raw object to the columns of `SCHEMA`; a type that does not fit raises."""
    try:
        rows = told.rows.with_columns(raw_id=pl.lit(told.raw.sha256))
        if "raw_row" not in rows.collect_schema():
            rows = rows.with_row_index("raw_row")
        given = rows.collect_schema().names()
        columns = [name if name in given else pl.lit(None).alias(name) for name in SCHEMA]
        return rows.select(columns).cast(SCHEMA).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise DataError(f"{told.raw.name}: holds no workloads as expected ({said})") from None


def _is_broken() -> pl.Expr:
    missing = pl.any_horizontal(pl.col(name).is_null() for name in _REQUIRED)
    return missing | (pl.col("ended_at") < pl.col("started_at"))


def _within(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Cut workloads at the window's ends and at every midnight in between; add the `day`."""
    start, end = pl.col("started_at"), pl.col("ended_at")
    # What ends at midnight has no part in the next day; what takes no time lies in its own.
    last = pl.max_horizontal(start, end - _MICROSECOND)
    midnight = pl.col(_DAY).cast(TIME)
    return (
        rows.with_columns(pl.date_ranges(start.dt.date(), last.dt.date()).alias(_DAY))
        .explode(_DAY)
        .filter(pl.col(_DAY).is_between(window.start, window.end, closed="left"))
        .with_columns(
            pl.max_horizontal(start, midnight).alias("started_at"),
            pl.min_horizontal(end, midnight.dt.offset_by("1d")).alias("ended_at"),
            start.alias(_WHOLE_START),
            (end - start).alias(_WHOLE),
        )
        .with_columns(_share_of_weight().alias("weight"))
        .drop(_WHOLE_START, _WHOLE)
        .sort(_DAY, *SCHEMA.names())
    )


def _share_of_weight() -> pl.Expr:
    """Give a row that was cut its share of the weight, by time.

    Differences between what stands for the whole up to the end and up to the start add up to it.
    """
    whole = pl.col(_WHOLE).to_physical()
    atoms = money.to_atoms(pl.col("weight"))

    def until(time: str) -> pl.Expr:
        passed = (pl.col(time) - pl.col(_WHOLE_START)).to_physical()
        whole_times, rest = atoms // whole, atoms % whole
        return whole_times * passed + rest * passed // whole

    is_cut = (pl.col("ended_at") - pl.col("started_at")).to_physical() < whole
    part = money.from_atoms(until("ended_at") - until("started_at"))
    return pl.when(is_cut).then(part).otherwise("weight")


def _publish(
    rows: pl.DataFrame, delivery: Delivery, window: Window, warehouse: Warehouse
) -> tuple[date, ...]:
    by_day = {day: group for (day,), group in rows.partition_by(_DAY, as_dict=True).items()}
    stale = [
        key
        for key in warehouse.list(f"{WORKLOADS}/")
        if (found := _KEY.fullmatch(key))
        and found[3] == delivery.source
        and window.start <= (day := date.fromisoformat(found[1])) < window.end
        and day not in by_day
    ]
    try:
        with warehouse.workspace() as folder:
            files = {
                _key(day, delivery): _written(group, folder / f"{day}.parquet")
                for day, group in by_day.items()
            }
            replacement.replace_all(warehouse, delivery.source, files, stale)
    except OSError as error:
        raise WarehouseError(
            f"cannot write workloads below {warehouse.url}: {error.strerror or error}; free some "
            f"space or check the permissions, nothing was changed"
        ) from error
    return tuple(sorted(by_day))


def _key(day: date, delivery: Delivery) -> str:
    place = f"day={day.isoformat()}/provider={delivery.provider}/source={delivery.source}"
    return f"{WORKLOADS}/{place}/part.parquet"


def _written(rows: pl.DataFrame, path: Path) -> Path:
    rows.select(SCHEMA.names()).write_parquet(path, compression="zstd")
    return path


def _issues(broken: pl.DataFrame, source: str) -> Iterator[Issue]:
    if len(broken):
        first = broken.row(0, named=True)
        yield Issue(
            source,
            f"{len(broken)} workloads have no id, kind, start or end, or end before they start "
            f"(the first: {first['workload_id'] or first['name']!r}); they explain no charge",
            Severity.WARNING,
        )
