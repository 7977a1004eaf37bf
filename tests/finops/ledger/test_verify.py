"""Whatever is done to a ledger's files, verification finds it and names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops.errors import LedgerError
from finops.ledger import Ledger, SigningKey, Verification, header, reversals, segment, verify
from finops.ledger.log import LATEST, Log
from finops.warehouse import open_warehouse

from .entries import FACTS, KEY, ORIGIN, facts, frame, ledger, partition


def checked(folder: Path, **options: object) -> Verification:
    """Verify the ledger in a folder."""
    return verify(open_warehouse(str(folder)), **options)  # type: ignore[arg-type]


def files(folder: Path) -> list[Path]:
    """List the ledger's files."""
    return sorted(path for path in (folder / "ledger").rglob("*") if path.is_file())


def first_segment(folder: Path) -> Path:
    """Find the segment of batch 1."""
    digest = Ledger(open_warehouse(str(folder)), ORIGIN).batches()[1].segment
    return folder / segment.key_of(str(digest))


def named(found: Verification, path: Path, folder: Path) -> list[int | None]:
    """List the rows that findings name in `path`; a finding without a row gives `None`."""
    key = path.relative_to(folder).as_posix()
    return [each.row for each in found.findings if each.file == key]


def test_genuine_ledger_is_ok(filled: Path) -> None:
    """Nothing is found in what nobody touched, at any level."""
    for level in (0, 1, 2):
        found = checked(filled, level=level, vkey=KEY.vkey)
        assert found.ok, found.findings
        assert found.notes == ()
    assert (found.size, found.batches, found.rows) == (3, 3, 52)


def test_believing_the_ledger_itself_is_noted(filled: Path) -> None:
    """Without a key from outside, the outcome says what it rests on."""
    assert "own word" in checked(filled).notes[0]


def test_another_key_verifies_nothing(filled: Path) -> None:
    """A ledger under somebody else's key is not ours."""
    assert not checked(filled, vkey=SigningKey.generate(ORIGIN).vkey).ok


def test_every_flipped_byte_of_the_log_is_found(copied: Path) -> None:
    """Each byte of each checkpoint, key list and header (later ones sampled) names its file."""
    for path in files(copied):
        if path.parent.name not in {"seg", "man"}:
            is_later_header = path.parent.name == "log" and path.name != "000000000000"
            flip_all(copied, path, level=1, step=7 if is_later_header else 1)
    assert checked(copied).ok


@pytest.mark.slow
def test_flipped_bytes_of_what_headers_vouch_for_are_found(copied: Path) -> None:
    """Each of a sample of bytes of each segment, locator, manifest and text names its file."""
    for path in files(copied):
        if path.parent.name in {"seg", "man"}:
            flip_all(copied, path, level=2, step=max(1, path.stat().st_size // 30))
    assert checked(copied).ok


def flip_all(folder: Path, path: Path, *, level: int, step: int) -> None:
    """Flip a bit in every `step`th byte of a file, one at a time, and look for its name."""
    content = path.read_bytes()
    for at in range(0, len(content), step):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :])
        found = checked(folder, level=level)
        assert named(found, path, folder), f"byte {at} of {path}"
        assert not any(each.file == "ledger/" for each in found.findings), found.findings
    path.write_bytes(content)


def test_every_missing_file_is_found(copied: Path) -> None:
    """No file can go unnoticed but an older checkpoint: sealing may skip sizes, so gaps are fine."""
    older = copied / "ledger/checkpoints/000000000002"
    for path in set(files(copied)) - {older}:
        content = path.read_bytes()
        path.unlink()
        assert not checked(copied).ok, path
        path.write_bytes(content)


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a segment as somebody would who knows Parquet."""
    change(pl.read_parquet(path)).write_parquet(path)


def with_cent(rows: pl.DataFrame) -> pl.DataFrame:
    """Add 10⁻¹⁸ to row 17."""
    cent = pl.lit("0.000000000000000001").cast(pl.Decimal(38, 18))
    raised = pl.when(pl.col("row") == 17).then(pl.col("list_cost") + cent)
    return rows.with_columns(raised.otherwise(pl.col("list_cost")).cast(pl.Decimal(38, 18)))


def test_a_changed_amount_names_file_and_row(copied: Path) -> None:
    """One amount, changed in the last of 18 decimals."""
    path = first_segment(copied)
    rewrite(path, with_cent)
    assert 17 in named(checked(copied), path, copied)


@pytest.mark.parametrize(("change", "row"), [
    (lambda rows: rows.filter(pl.col("row") != 5), 5),
    (lambda rows: pl.concat([rows, rows[7:8]]), 7),
    (lambda rows: pl.concat([rows[:7], rows[8:9], rows[7:8], rows[9:]]), 7),
    (lambda rows: rows[::-1], 47),
    (lambda rows: rows.with_columns(pl.col("row") + 1), 0),
])  # fmt: skip
def test_rows_deleted_doubled_swapped(
    copied: Path, change: Callable[[pl.DataFrame], pl.DataFrame], row: int
) -> None:
    """Rows that went, came twice, or changed places are named."""
    path = first_segment(copied)
    rewrite(path, change)
    assert row in named(checked(copied), path, copied)


def test_same_rows_written_anew_are_still_another_file(copied: Path) -> None:
    """Re-encoding a segment changes no row, and is found all the same."""
    path = first_segment(copied)
    rewrite(path, lambda rows: rows)
    assert named(checked(copied), path, copied) == [None]


def test_exchanged_segments_are_found(copied: Path) -> None:
    """Two segments that swapped names are both reported."""
    one, two = sorted((copied / "ledger/seg").glob("*.parquet"))
    one_bytes, two_bytes = one.read_bytes(), two.read_bytes()
    one.write_bytes(two_bytes)
    two.write_bytes(one_bytes)
    found = checked(copied)
    assert named(found, one, copied)
    assert named(found, two, copied)


def test_edited_header_is_found(copied: Path) -> None:
    """A header that is edited and stays canonical breaks signature, chain and root."""
    path = copied / header.key_of(1)
    path.write_bytes(path.read_bytes().replace(b'"id":"run-1"', b'"id":"run-2"'))
    assert not checked(copied, level=1).ok
    assert named(checked(copied, level=1), path, copied)


def test_header_in_another_spelling_is_found(copied: Path) -> None:
    """The same claims with a space are another header."""
    path = copied / header.key_of(1)
    path.write_bytes(json.dumps(json.loads(path.read_bytes())).encode())
    assert named(checked(copied, level=1), path, copied)


def test_missing_tail_is_found(copied: Path) -> None:
    """The checkpoint remembers how many headers there were."""
    (copied / header.key_of(2)).unlink()
    assert not checked(copied, level=1).ok


def test_unsealed_tail_is_found(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A genuine header that no checkpoint covers is reported until it is sealed."""
    book = ledger(open_warehouse(str(copied)))
    head = book.head()
    with monkeypatch.context() as patched:
        patched.setattr(Log, "seal", lambda _log: head)
        book.append([(facts("d"), frame(2))], FACTS)
    path = copied / header.key_of(3)
    assert named(checked(copied), path, copied) == [None]
    ledger(open_warehouse(str(copied))).seal()
    assert checked(copied).ok


def test_rollback_is_found_with_a_remembered_state(copied: Path, tmp_path: Path) -> None:
    """A genuine older ledger convinces only who has never seen the newer one."""
    older = shutil.copytree(copied, tmp_path / "older")
    book = ledger(open_warehouse(str(copied)))
    appended = book.append([(facts("d"), frame(2))], FACTS)
    assert appended is not None
    state = (appended.checkpoint.size, appended.checkpoint.root)
    assert checked(copied, state=state).ok
    assert checked(older).ok
    assert named(checked(older, level=1, state=state), older / LATEST, older)


def test_a_rewritten_history_is_found_with_a_remembered_state(filled: Path, tmp_path: Path) -> None:
    """Whoever holds the key can write another ledger, but not one that continues what was seen."""
    head = Ledger(open_warehouse(str(filled)), ORIGIN).head()
    assert head is not None
    other = ledger(open_warehouse(str(tmp_path / "other")))
    for idem in "abc":
        other.append([(facts(idem), frame(1))], FACTS)
    assert checked(tmp_path / "other").ok
    assert not checked(tmp_path / "other", state=(head.size, head.root)).ok


def test_latest_checkpoint_set_back_is_found(copied: Path) -> None:
    """Readers would be shown the past."""
    (copied / LATEST).write_bytes((copied / "ledger/checkpoints/000000000002").read_bytes())
    assert named(checked(copied, level=0), copied / LATEST, copied)


def test_strange_files_are_found_and_orphans_noted(copied: Path, tmp_path: Path) -> None:
    """What a stopped run left is a note while it is what its name says, a finding otherwise."""
    other = open_warehouse(str(tmp_path / "other"))
    ledger(other).append([(facts("x"), frame(6))], FACTS)
    for path in (tmp_path / "other/ledger/seg").iterdir():
        shutil.copy(path, copied / "ledger/seg" / path.name)
    found = checked(copied)
    assert found.ok
    assert sum("no header names it" in note for note in found.notes) == 2
    for path in (tmp_path / "other/ledger/seg").iterdir():
        orphan = copied / "ledger/seg" / path.name
        content = orphan.read_bytes()
        orphan.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert named(checked(copied), orphan, copied)
        orphan.write_bytes(content)
    (copied / "ledger/notes.txt").write_text("hello")
    assert named(checked(copied), copied / "ledger/notes.txt", copied)


def test_wrong_accounting_under_a_true_signature_is_found(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even the key's owner cannot reverse an entry twice, or inexactly, or one yet to come."""
    folder = shutil.copytree(filled, tmp_path / "forged")
    book = ledger(open_warehouse(str(folder)))
    monkeypatch.setattr(Ledger, "_check_reversals", lambda *_: None)
    live = book.live(partition())
    twice = reversals(live.head(1), reason="again").with_columns(corrects=pl.lit("1/0"))
    book.append([(facts("d"), twice)], FACTS)
    ahead = reversals(live.head(1), reason="ahead").with_columns(corrects=pl.lit("9/0"))
    book.append([(facts("e"), ahead)], FACTS)
    inexact = reversals(live.head(1), reason="inexact").with_columns(quantity=pl.col("list_cost"))
    book.append([(facts("f"), inexact)], FACTS)
    messages = " ".join(str(each) for each in checked(folder).findings)
    assert "is one of several" in messages
    assert "corrects no entry of an earlier batch" in messages
    assert "does not negate money" in messages


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_garbage_never_raises(filled: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Any bytes in any file end in findings that name it."""
    folder = tmp_path / "garbage"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(filled, folder)
    path = data.draw(st.sampled_from(files(folder)))
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    deep = st.sampled_from([b"", b"[" * 9000, b'{"a":' * 3000, b"\xff\xfe", b"1" * 5000])
    path.write_bytes(content[:cut] + data.draw(deep | st.binary(max_size=60)))
    if path.read_bytes() != content:
        assert named(checked(folder), path, folder)


def test_an_empty_warehouse_is_no_ledger(tmp_path: Path) -> None:
    """Nothing to verify is not a success."""
    found = checked(tmp_path)
    assert not found.ok
    assert (found.size, found.root, found.rows) == (0, None, 0)


@pytest.mark.parametrize("options", [{"level": 7}, {"vkey": "me"}, {"state": (0, "")}])
def test_misuse_is_an_error(filled: Path, options: dict[str, object]) -> None:
    """A question that makes no sense is not answered."""
    with pytest.raises(LedgerError):
        checked(filled, **options)
