"""Warehouses: empty, and with a ledger of two batches, the second one correcting the first."""

import shutil
from pathlib import Path

import pytest

from finops.ledger import reversals
from finops.warehouse import Warehouse, open_warehouse

from .entries import FACTS, facts, frame, ledger, partition


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Open an empty folder."""
    return open_warehouse("warehouse", tmp_path)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Append two batches once for all tests."""
    folder = tmp_path_factory.mktemp("filled")
    book = ledger(open_warehouse(str(folder)))
    other = partition(4)
    book.append([(facts("a"), frame(40)), (facts("b", other), frame(9, other))], FACTS)
    undone = reversals(book.live(partition()).head(3), reason="restated")
    book.append([(facts("c"), undone)], FACTS)
    return folder


@pytest.fixture
def copied(filled: Path, tmp_path: Path) -> Path:
    """Give a test its own copy of the filled ledger's folder, to damage."""
    return Path(shutil.copytree(filled, tmp_path / "copied"))
