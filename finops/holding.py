"""Who held what a charge is for: workloads joined to charges by resource and by time.

A *place* is a distinct (ResourceId, ResourceName, SkuId, Tags) of the charges that some workload
names; a *spell* is a place from one time to another, as a charge covers it. What each workload held
of a spell is a whole number, so is what nobody held: the shares of every charge of that spell.
`docs/attribution.md` tells the same in words.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from finops import held, shares
from finops.held import AMOUNT, HOLDER, SPELL
from finops.partition import Window
from finops.workloads import SCHEMA, Shelf

PLACE_COLUMNS = ("ResourceId", "ResourceName", "SkuId", "Tags")
PLACE = "~place"
START, END = "ChargePeriodStart", "ChargePeriodEnd"
NUMBERS = ("x_GpuCount", "x_GpuFraction", "x_GpuHours")

WORDS = ("kind", "name", "cluster", "node", "source", "tags")
"""What is known of a holder; rules can look at all of it."""

_TOLD, _BEFORE = "~told", "~before"
_RANK = "~rank"
_SKU = "~sku"
_KEY = "~key"
_MICROSECOND = pl.duration(microseconds=1)
_LAST_SEGMENT = r"([^/:]+)$"
_BY_SKU, _BY_RESOURCE, _BY_NODE = range(3)
_CALLS = (
    (pl.col("ResourceId"), _BY_RESOURCE),
    (pl.col("ResourceId").str.extract(_LAST_SEGMENT), _BY_NODE),
    (pl.col("ResourceName"), _BY_NODE),
    (pl.col("Tags").str.json_path_match("$.node"), _BY_NODE),
)
"""What workloads may call a place, and the rank of such a link."""

_DECIDING = (
    *("kind", "name", "started_at", "ended_at", "resource_id", "cluster", "node", "source"),
    *("gpu_count", "gpu_utilization", "weight", "tags", _SKU),
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What workloads held of the charges of one partition.

    `places` has `PLACE_COLUMNS` and `PLACE`; `spells` has `PLACE`, `START`, `END` and `SPELL`;
    `parts` see `held.parts`; `holders` has a row for each number in `HOLDER`, with `WORDS`.
    `digest` names all that the workloads have to do with it.
    """

    places: pl.DataFrame
    spells: pl.DataFrame
    parts: pl.DataFrame
    holders: pl.DataFrame
    digest: str

    def spell_of(self, charged: pl.DataFrame, words: pl.DataFrame, wording: str) -> pl.Series:
        """Find the spell of each charge; null where no workload has to do with it.

        `charged` has `START`, `END` and `wording`: its row in `words`, which has `PLACE_COLUMNS`.
        """
        placed = words.join(
            self.places, on=PLACE_COLUMNS, how="left", nulls_equal=True, maintain_order="left"
        ).get_column(PLACE)
        return (
            charged.select(START, END, placed[charged.get_column(wording)])
            .join(self.spells, on=[PLACE, START, END], how="left", maintain_order="left")
            .get_column(SPELL)
        )


def columns() -> list[str]:
    """List the columns of charges that are looked at."""
    return [*PLACE_COLUMNS, START, END, *NUMBERS]


def relevant(charges: pl.LazyFrame, shelf: Shelf) -> "Relevant | None":
    """Find the workloads that may have held what `charges` are for; `None` when there are none."""
    if not shelf:
        return None
    times = charges.select(pl.col(START).min(), pl.col(END).max()).collect().row(0)
    if None in times:
        return None
    last = max(times[0], times[1] - timedelta(microseconds=1))
    window = Window(times[0].date(), last.date() + timedelta(days=1))
    return _linked(charges, shelf.read(window).select(*SCHEMA, "source").collect())


def of(charges: pl.LazyFrame, told: pl.DataFrame) -> "Holding | None":
    """Share out `charges` among the workloads `told` (`SCHEMA` and `source`)."""
    found = _linked(charges, told)
    return None if found is None else found.holding(charges)


@dataclass(frozen=True, slots=True)
class Relevant:
    """Workloads and the places they name: which links there are."""

    places: pl.DataFrame
    told: pl.DataFrame
    links: pl.DataFrame

    @property
    def digest(self) -> str:
        """Digest all that can decide something, whatever the order it was told in."""
        rows = self.told.select(_DECIDING).sort(_DECIDING)
        return hashlib.sha256(rows.write_ndjson().encode()).hexdigest()

    @property
    def raws(self) -> tuple[tuple[str, str], ...]:
        """Name the raw objects they were read from, and the source of each."""
        return tuple(
            self.told.select("raw_id", "source").drop_nulls().unique().sort(pl.all()).rows()
        )

    def holding(self, charges: pl.LazyFrame) -> Holding:
        """Work out who held how much in the time of each charge."""
        spells = _spells(charges, self.places)
        holders = self.told.select(WORDS).unique().sort(WORDS).with_row_index(HOLDER)
        numbered = self.told.join(
            holders, on=WORDS, how="left", nulls_equal=True, maintain_order="left"
        )
        near = _near(spells, self.links, numbered)
        watched = near.filter(pl.col(_RANK) != _BY_SKU).select(SPELL).unique()
        overlapping = _overlapping(near)
        seen = pl.concat([watched, overlapping.select(SPELL)]).unique()
        parts = held.parts(spells.join(seen, on=SPELL, how="semi"), overlapping)
        known = spells.join(
            parts.select(SPELL).unique(), on=SPELL, how="semi", maintain_order="left"
        )
        return Holding(
            self.places,
            known.select(PLACE, START, END, SPELL),
            shares.reduced(parts, SPELL, AMOUNT),
            holders,
            self.digest,
        )


def _near(spells: pl.DataFrame, links: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Bring spells and the workloads of the same days together, that name their place."""
    begun_before = pl.col("started_at") < (pl.col(END) - _MICROSECOND).dt.truncate(
        "1d"
    ).dt.offset_by("1d")
    ended_after = pl.col("ended_at") > pl.col(START).dt.truncate("1d")
    return (
        spells.lazy()
        .join(links.lazy(), on=PLACE)
        .join(told.with_row_index(_TOLD).lazy(), on=_TOLD)
        .filter(begun_before, ended_after)
        .select(
            *(SPELL, _RANK, START, END, HOLDER, "kind", "started_at", "ended_at"),
            *("gpu_count", "gpu_utilization", "weight"),
        )
        .collect()
    )


def _overlapping(near: pl.DataFrame) -> pl.DataFrame:
    """Keep those that held something of a spell, and how long."""
    begun, over = pl.max_horizontal(START, "started_at"), pl.min_horizontal(END, "ended_at")
    return near.filter(begun < over).select(
        *(SPELL, HOLDER, "kind", "gpu_count", "gpu_utilization", "weight"),
        (over - begun).to_physical().alias(held.OVERLAP),
        (pl.col("ended_at") - pl.col("started_at")).to_physical().alias(held.INTERVAL),
        (pl.col(_RANK) == _BY_SKU).alias(held.IS_WORK),
    )


def _linked(charges: pl.LazyFrame, told: pl.DataFrame) -> Relevant | None:
    told = told.filter(pl.col("ended_at") > pl.col("started_at"))
    keys = pl.concat([told.get_column("resource_id"), told.get_column("node")]).drop_nulls()
    if keys.is_empty():
        return None
    places = _places(charges, keys.unique())
    if places.is_empty():
        return None
    sku = pl.col("attributes").str.json_path_match("$.sku").alias(_SKU)
    name = pl.coalesce("name", "workload_id").alias("name")
    numbered = told.with_columns(sku, name).with_row_index(_TOLD)
    links = _links(places, numbered)
    if links.is_empty():
        return None
    mine = numbered.join(links, on=_TOLD, how="semi", maintain_order="left")
    renumbered = mine.select(pl.col(_TOLD).alias(_BEFORE)).with_row_index(_TOLD)
    return Relevant(
        places,
        mine.drop(_TOLD),
        links.join(renumbered, left_on=_TOLD, right_on=_BEFORE).select(
            PLACE, pl.col(f"{_TOLD}_right").alias(_TOLD), _RANK
        ),
    )


def _places(charges: pl.LazyFrame, keys: pl.Series) -> pl.DataFrame:
    """List the distinct places of charges that a workload names by one of `keys`."""
    is_named = pl.any_horizontal(name.is_in(keys.implode()) for name, _ in _CALLS)
    return (
        charges.select(PLACE_COLUMNS)
        .unique()
        .filter(is_named)
        .sort(PLACE_COLUMNS)
        .with_row_index(PLACE)
        .collect()
    )


def _names(places: pl.DataFrame) -> pl.DataFrame:
    """List what workloads may call each place: `PLACE`, `_KEY`, and the rank of such a link."""
    return pl.concat(
        places.select(PLACE, "SkuId", name.alias(_KEY), pl.lit(rank).alias(_RANK))
        for name, rank in _CALLS
    ).drop_nulls(_KEY)


def _links(places: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Link places and workloads; the best kind of link that a place has is the one that counts.

    A workload that tells which SKU it used explains charges of that SKU alone.
    """
    names = _names(places)
    by_resource = told.select(_TOLD, _SKU, pl.col("resource_id").alias(_KEY))
    by_node = told.select(_TOLD, _SKU, pl.col("node").alias(_KEY))
    rank = pl.when(pl.col(_SKU).is_not_null(), pl.col(_RANK) == _BY_RESOURCE).then(pl.lit(_BY_SKU))
    return (
        pl.concat(
            [
                names.join(by_resource, on=_KEY),
                names.filter(pl.col(_RANK) == _BY_NODE).join(by_node, on=_KEY),
            ]
        )
        .filter(pl.col(_SKU).is_null() | (pl.col(_SKU) == pl.col("SkuId")))
        .select(PLACE, _TOLD, rank.otherwise(_RANK).alias(_RANK))
        .group_by(PLACE, _TOLD)
        .agg(pl.col(_RANK).min())
        .filter(pl.col(_RANK) == pl.col(_RANK).min().over(PLACE))
        .sort(PLACE, _TOLD)
    )


def _spells(charges: pl.LazyFrame, places: pl.DataFrame) -> pl.DataFrame:
    """List the distinct spells, with the GPU time that was billed in them.

    All charges of a resource in the same time know of each other: one line of a bill may tell the
    GPUs, another the rest of the machine, and a commitment may cover part of an hour.
    """
    resources = places.select("ResourceId").unique()
    lines = (
        charges.select(columns())
        .collect()
        .join(places, on=PLACE_COLUMNS, how="left", nulls_equal=True)
        .join(resources, on="ResourceId", how="semi", nulls_equal=True)
        .filter(pl.col(END) > pl.col(START))
    )
    resource = pl.coalesce("ResourceId", pl.col(PLACE).cast(pl.String)).alias(_KEY)
    spans = [_KEY, START, END]
    gpus = pl.col("x_GpuCount").cast(held.MONEY) * pl.col("x_GpuFraction").fill_null(1)
    told = lines.with_columns(resource)
    capacity = told.group_by(spans).agg(
        pl.col("x_GpuHours").sum(),
        gpus.filter(gpus > 0).max(),
    )
    return (
        told.filter(pl.col(PLACE).is_not_null())
        .select(PLACE, *spans)
        .unique()
        .join(capacity, on=spans)
        .sort(PLACE, START, END)
        .with_row_index(SPELL)
        .with_columns(
            held.gpu_time(pl.col("x_GpuHours")).alias(held.BILLED),
            held.units(pl.col("x_GpuCount")).alias(held.WHOLE),
            (pl.col(END) - pl.col(START)).to_physical().alias(held.DURATION),
        )
        .select(SPELL, PLACE, START, END, held.BILLED, held.WHOLE, held.DURATION)
    )
