"""Fixtures of the domain's tests: a test's docstring may be its bill or its organization."""

from pathlib import Path

import pytest
from hypothesis import settings

from finops.warehouse.local import LocalWarehouse
from tests.finops.company import Company, csv

settings.register_profile("finops", deadline=None)  # a busy machine is no bug
settings.load_profile("finops")


@pytest.fixture
def docstring(request: pytest.FixtureRequest) -> str:
    text = request.function.__doc__
    assert text, f"{request.node.name} takes its input from a docstring"
    return str(text)


@pytest.fixture
def bill(docstring: str) -> bytes:
    """Give the test's docstring as a CSV bill, completed with what FOCUS demands."""
    return csv(docstring)


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(tmp_path / "warehouse")


@pytest.fixture
def company(docstring: str, tmp_path: Path) -> Company:
    """Found a company whose organization.toml is the test's docstring."""
    return Company.of(tmp_path / "company", docstring)
