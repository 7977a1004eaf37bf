"""A second opinion that shares no code with the package: json, hashlib and pyarrow alone."""

import base64
import hashlib
import json
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq


def text(value: object) -> str | None:
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        assert exponent == -18
        return str(int("".join(map(str, digits))) * (-1 if sign else 1))
    if isinstance(value, datetime):
        days = value.date().toordinal() - date(1970, 1, 1).toordinal()
        seconds = days * 86_400 + value.hour * 3600 + value.minute * 60 + value.second
        return str(seconds * 1_000_000 + value.microsecond)
    return None if value is None else str(value)


def merkle(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + merkle(leaves[:half]) + merkle(leaves[half:])).digest()


def row_bytes(row: dict[str, object]) -> bytes:
    values = {name: text(value) for name, value in row.items()}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_roots_can_be_recomputed(filled: Path) -> None:
    """Row roots, the chain and the signed root follow from the files by the documented format."""
    folder = filled / "ledger"
    _, size, signed_root = (folder / "checkpoint").read_text().split("\n")[:3]
    contents = [(folder / f"log/{index:012d}").read_bytes() for index in range(int(size))]
    assert merkle(contents) == base64.b64decode(signed_root)
    for before, content in pairwise(contents):
        head = json.loads(content)
        assert head["prev"] == hashlib.sha256(before).hexdigest()
        rows = pq.read_table(folder / f"seg/{head['segment']}.parquet").to_pylist()
        assert merkle([row_bytes(row) for row in rows]).hex() == head["rows_root"]
        assert int(head["rows"]) == len(rows)
