"""A ledger that somebody touched: `finops ledger verify` finds it and names the place."""

import json
from pathlib import Path

import polars as pl
import pytest

from finops.ledger import SigningKey
from tests.cli.test_run import SEPTEMBER
from tests.conftest import Finops


@pytest.fixture
def ledger(ran: Path, finops: Finops) -> Path:
    """Fill a ledger with two batches."""
    organization = ran / "organization.toml"
    text = organization.read_text(encoding="utf-8")
    organization.write_text(text.replace("ai = 0.3, vision = 0.3", "ai = 0.2, vision = 0.4"))
    assert finops("run", *SEPTEMBER).code == 0
    return ran / "warehouse" / "ledger"


def test_a_flipped_byte_is_found_in_every_file(ledger: Path, finops: Finops) -> None:
    files = sorted(path for path in ledger.rglob("*") if path.is_file())
    assert len(files) > 8
    for path in files:
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            flipped = bytearray(content)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            ran = finops("ledger", "verify", "--json")
            assert ran.code == 1, f"byte {place} of {path.name} went unnoticed"
            named = {finding["file"] for finding in json.loads(ran.out)["findings"]}
            assert f"ledger/{path.relative_to(ledger).as_posix()}" in named
        path.write_bytes(content)
    assert finops("ledger", "verify").code == 0


def test_a_changed_amount_names_the_file_and_the_row(ledger: Path, finops: Finops) -> None:
    path = max((ledger / "seg").glob("*.parquet"), key=lambda file: file.stat().st_size)
    rows = pl.read_parquet(path)
    changed = pl.when(pl.col("row") == 37).then(pl.col("billed_cost") + 1).otherwise("billed_cost")
    rows.with_columns(changed.cast(rows.schema["billed_cost"]).alias("billed_cost")).write_parquet(
        path
    )
    ran = finops("ledger", "verify")
    assert ran.code == 1
    assert f"seg/{path.name}" in ran.out
    assert "row 37" in ran.out


def test_a_missing_file_is_named(ledger: Path, finops: Finops) -> None:
    needed = [path for path in ledger.rglob("*") if path.is_file()]
    needed.remove(ledger / "checkpoints" / "000000000002")  # older than the head: a copy for others
    for path in sorted(needed):
        content = path.read_bytes()
        path.unlink()
        ran = finops("ledger", "verify")
        path.write_bytes(content)
        assert ran.code == 1, f"{path.name} was not missed"
        assert "Traceback" not in ran.err


def test_a_ledger_of_somebody_else_is_not_believed(ledger: Path, finops: Finops) -> None:
    other = SigningKey.from_seed("acme/finops", bytes(32)).vkey
    ran = finops("ledger", "verify", "--vkey", other)
    assert ran.code == 1
    assert "wrong" in ran.out


def test_a_key_that_is_none_is_misuse(ledger: Path, finops: Finops) -> None:
    ran = finops("ledger", "verify", "--vkey", "x")
    assert ran.code == 2
    assert "--vkey: 'x'... is not an Ed25519 note key; give a public key as" in ran.err
    settings = ledger.parents[1] / "finops.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('verifier = "', 'verifier = "x'), encoding="utf-8")
    ran = finops("ledger", "verify")
    assert ran.code == 2
    assert "finops.toml: ledger.verifier: " in ran.err
