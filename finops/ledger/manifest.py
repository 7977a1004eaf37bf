"""Manifests (`finops-manifest/1`): which partitions a batch holds, and what they were made from."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from finops.ledger import canonical
from finops.ledger.canonical import Json
from finops.partition import Partition

VERSION: Final = "finops-manifest/1"


@dataclass(frozen=True, slots=True)
class Input:
    """One raw object a batch was made from: its SHA-256 in hex, size, name and source."""

    sha256: str
    size_bytes: int
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """One partition in a batch.

    `idem` stands for everything its rows were made from: the same `idem` means the same rows.
    """

    partition: Partition
    idem: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A manifest's line: the partition's rows are `first`, `first + 1`, … in the segment."""

    facts: PartitionFacts
    first: int
    rows: int


def key_of(digest: str) -> str:
    """Name the object that holds the manifest `digest`."""
    return f"ledger/man/{digest}.json"


def rules_key_of(digest: str) -> str:
    """Name the object that holds the rules text `digest`."""
    return f"ledger/man/{digest}.toml"


def batch_idem(lines: Iterable[Line]) -> str:
    """Stand for a whole batch: SHA-256 over its partitions and their `idem`, in path order."""
    pairs = sorted((line.facts.partition.path, line.facts.idem) for line in lines)
    return hashlib.sha256(canonical.encode([list(pair) for pair in pairs])).hexdigest()


def encode(lines: Iterable[Line]) -> bytes:
    """Write a manifest canonically."""
    return canonical.encode({"v": VERSION, "partitions": [_line(line) for line in lines]})


def decode(content: bytes) -> tuple[Line, ...]:
    """Read a manifest; raises `ValueError` when it is not one."""
    named = canonical.object_of(dict(canonical.decode(content)), {"v", "partitions"})
    if named["v"] != VERSION:
        raise ValueError(f"is not a {VERSION}")
    return tuple(_parsed(line) for line in canonical.list_of(named["partitions"]))


def _line(line: Line) -> dict[str, Json]:
    partition = line.facts.partition
    return {
        "provider": partition.provider,
        "source": partition.source,
        "period": partition.period,
        "day": partition.day.isoformat(),
        "idem": line.facts.idem,
        "first": str(line.first),
        "rows": str(line.rows),
        "inputs": [
            {
                "sha256": given.sha256,
                "size_bytes": str(given.size_bytes),
                "name": given.name,
                "source": given.source,
            }
            for given in line.facts.inputs
        ],
    }


def _parsed(line: Json) -> Line:
    keys = {"provider", "source", "period", "day", "idem", "first", "rows", "inputs"}
    named = canonical.object_of(line, keys)
    partition = Partition(
        canonical.text_of(named["provider"]),
        canonical.text_of(named["source"]),
        canonical.text_of(named["period"]),
        date.fromisoformat(canonical.text_of(named["day"])),
    )
    inputs = tuple(_input(given) for given in canonical.list_of(named["inputs"]))
    facts = PartitionFacts(partition, canonical.text_of(named["idem"]), inputs)
    return Line(facts, canonical.count_of(named["first"]), canonical.count_of(named["rows"]))


def _input(given: Json) -> Input:
    named = canonical.object_of(given, {"sha256", "size_bytes", "name", "source"})
    return Input(
        canonical.text_of(named["sha256"]),
        canonical.count_of(named["size_bytes"]),
        canonical.text_of(named["name"]),
        canonical.text_of(named["source"]),
    )
