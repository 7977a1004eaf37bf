"""`finops diff`, as an analyst asks why October changed."""

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.conftest import Finops, fingerprint

SEPTEMBER = ("--from", "2024-09-01", "--to", "2024-10-01")
DIFF = ("diff", "--period", "2024-09", "--since")


@pytest.fixture
def moved(ran: Path, finops: Finops) -> Path:
    """An installation whose storage went from one cost center to another after checkpoint 2."""
    head = finops("ledger", "head").out
    (ran / "head").write_text(head, encoding="utf-8")
    rules = ran / "organization.toml"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(
        text.replace('"Storage" }\ncost_center = "web"', '"Storage" }\ncost_center = "ai"'),
        encoding="utf-8",
    )
    assert finops("run", *SEPTEMBER).code == 0
    return ran


def test_who_pays_more_and_why(moved: Path, finops: Finops) -> None:
    before = fingerprint(moved / "warehouse")
    ran = finops(*DIFF, "2")
    assert ran.code == 0, ran.err
    assert "moved by the rules" in ran.out
    assert "storage was changed" in ran.out
    told = json.loads(finops(*DIFF, "2", "--json").out)
    by_center = {each["cost_center"]: Decimal(each["change"]) for each in told["changes"]}
    assert set(by_center) == {"ai", "web"}
    assert by_center["ai"] == -by_center["web"] > 0
    assert fingerprint(moved / "warehouse") == before


def test_a_kept_checkpoint_says_the_same_as_its_number(moved: Path, finops: Finops) -> None:
    by_file, by_number = (finops(*DIFF, since, "--json").out for since in ("head", "2"))
    assert by_file == by_number


def test_nothing_since_the_head(moved: Path, finops: Finops) -> None:
    assert "No cost of 2024-09 changed" in finops(*DIFF, "3").out


NO_CHECKPOINT = {
    "0": "no checkpoint of 0 batches; it holds 3",
    "4": "no checkpoint of 4 batches; it holds 3",
    "99999999999999999999": "it holds 3",
    "nowhere": "no number and no file that can be read",
    "organization.toml": "organization.toml has a malformed signature line",
}


def test_no_such_checkpoint(moved: Path, finops: Finops) -> None:
    for since, says in NO_CHECKPOINT.items():
        ran = finops(*DIFF, since)
        assert ran.code == 2
        assert says in ran.err


def test_a_checkpoint_of_another_history(moved: Path, finops: Finops) -> None:
    note = (moved / "head").read_text(encoding="utf-8")
    (moved / "head").write_text(note.replace("\n2\n", "\n3\n"), encoding="utf-8")
    ran = finops(*DIFF, "head")
    assert ran.code == 2
    assert "no valid signature" in ran.err


def test_a_checkpoint_of_a_history_that_was_rewritten(
    acme: Path, tmp_path: Path, finops: Finops
) -> None:
    finops("run", *SEPTEMBER)
    shutil.copytree(acme / "warehouse", tmp_path / "backup")
    rules = acme / "organization.toml"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(text.replace("ai = 0.3, vision = 0.3", "ai = 0.4, vision = 0.2"), "utf-8")
    finops("run", *SEPTEMBER)
    (acme / "head").write_text(finops("ledger", "head").out, encoding="utf-8")
    shutil.rmtree(acme / "warehouse")
    shutil.move(tmp_path / "backup", acme / "warehouse")
    rules.write_text(text.replace("ai = 0.3, vision = 0.3", "ai = 0.2, vision = 0.4"), "utf-8")
    finops("run", *SEPTEMBER)
    ran = finops(*DIFF, "head")
    assert ran.code == 2
    assert "is of another ledger, or this one was rewritten" in ran.err


def test_an_empty_ledger(acme: Path, finops: Finops) -> None:
    ran = finops(*DIFF, "1")
    assert ran.code == 2
    assert "the ledger is empty" in ran.err
