"""Walking a figure back: entry, batch, charge, and the bytes the provider sent."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from finops import charges, companions, holding, money, raw, tabular
from finops.errors import DataError, LedgerError
from finops.ledger import Header, Ledger
from finops.partition import Partition
from finops.warehouse import Warehouse
from finops.workloads import Shelf

Facts = Mapping[str, Any]
_MOMENT = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Trace:
    """An entry and all that stands behind it. `charge` is empty once a bill was restated.

    `workloads` are those of its resource in the days of the charge, as they are known now.
    """

    entry: Facts
    batch: Facts
    charge: Facts
    raw: Facts
    raw_row: Facts
    workloads: Facts

    def sections(self) -> Iterator[tuple[str, Facts]]:
        """Yield titled parts, from the ledger down to the raw bytes."""
        yield "Ledger entry", self.entry
        yield "Batch that holds it", self.batch
        yield "Charge (FOCUS)", self.charge
        if self.workloads:
            yield "Workloads of its resource", self.workloads
        yield "Raw object", self.raw
        yield "Row as the provider sent it", self.raw_row

    def as_json(self) -> dict[str, Facts]:
        return {
            "entry": self.entry,
            "batch": self.batch,
            "charge": self.charge,
            "raw": self.raw,
            "raw_row": self.raw_row,
            **({"workloads": self.workloads} if self.workloads else {}),
        }


def trace(warehouse: Warehouse, ledger: Ledger, reference: str) -> Trace:
    """Walk the entry `batch/row` back; raises `LedgerError` when there is no such entry."""
    entry: Facts = ledger.entry(reference)
    header = ledger.batches()[int(reference.partition("/")[0])]
    partition = Partition(entry["provider"], entry["source"], entry["period"], entry["day"])
    receipts = [
        json.loads(warehouse.read(key))
        for key in warehouse.list(f"raw/{entry['src']}.")
        if key.endswith(".json")
    ]
    if not receipts or not warehouse.exists(f"raw/{entry['src']}"):
        raise LedgerError(f"{reference}: its raw object raw/{entry['src']} is not in the warehouse")
    return Trace(
        entry=entry,
        batch=_batch(header),
        charge=_charge(warehouse, partition, entry["charge_id"]),
        raw={"key": f"raw/{entry['src']}", **receipts[0]},
        raw_row=_raw_row(warehouse, entry["src"], entry["src_row"], receipts[0]["name"]),
        workloads=_workloads(warehouse, partition, entry["charge_id"]),
    )


def _batch(header: Header) -> Facts:
    return {
        "index": header.index,
        "kind": header.kind,
        "time": header.made.time,
        "run": header.made.run_id,
        "segment": header.segment,
        "rows_root": header.rows_root,
        "digest": header.digest,
    }


def _charge(warehouse: Warehouse, partition: Partition, charge_id: str) -> Facts:
    try:
        rows = charges.read(warehouse, partition)
    except KeyError:
        return {}
    found = rows.filter(pl.col("x_ChargeId") == charge_id).collect()
    return {} if found.is_empty() else _given(found.row(0, named=True))


def _workloads(warehouse: Warehouse, partition: Partition, charge_id: str) -> Facts:
    """Name the workloads of the same days that held the charge's resource, and where they are."""
    try:
        rows = charges.read(warehouse, partition)
    except KeyError:
        return {}
    mine = rows.filter(pl.col("x_ChargeId") == charge_id)
    found = holding.relevant(mine, Shelf(warehouse))
    if found is None:
        return {}
    held = found.told.sort("started_at", "kind", "name").rows(named=True)
    return {
        f"{one['kind']} {one['name']} from {one['started_at']:{_MOMENT}}": (
            f"to {one['ended_at']:{_MOMENT}}{_gpus(one)}, told by {one['source']} in row "
            f"{one['raw_row']} of raw/{one['raw_id']}"
        )
        for one in held
    }


def _gpus(workload: Facts) -> str:
    count = workload["gpu_count"]
    return "" if count is None else f", {money.text(count)} GPUs"


def _raw_row(warehouse: Warehouse, digest: str, row: int, name: str) -> Facts:
    """Show the row itself when the raw object is a table; its place otherwise."""
    path = raw.intact(warehouse, digest)
    with path.open("rb") as file:
        if file.read(1) in {b"{", b"["}:
            return {"place": f"element {row} of {name}"}
    try:
        kept, _ = companions.set_apart(tabular.tables(path, name))
        found = tabular.joined(kept).slice(row, 1).collect()
    except (DataError, pl.exceptions.PolarsError):
        return {"place": f"row {row + 1} of {name}"}
    return {"row": row + 1, **_given(found.row(0, named=True))} if len(found) else {}


def _given(facts: Facts) -> Facts:
    return {name: value for name, value in facts.items() if value is not None}
