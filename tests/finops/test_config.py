from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest

from finops import config
from finops.config import Config
from finops.errors import ConfigError

MINIMAL = """
company = "Acme"
[ledger]
origin = "acme.example/finops"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "finops.toml"


def read(path: Path, text: str) -> Config:
    path.write_text(dedent(text), encoding="utf-8")
    return config.load(path)


def complaints(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(path, text)
    assert [str(issue) for issue in caught.value.issues] == str(caught.value).splitlines()
    return str(caught.value).splitlines()


def test_every_mistake_is_named_at_once(path: Path, docstring: str) -> None:
    """
    base = "/elsewhere"
    compny = "Acme"

    [warehose]
    url = "./warehouse"

    [ledger]
    origin = "acme finops"

    [sources.Main]
    provider = "focus"

    [sources.other]
    path = "bills/"

    [alerts]
    thresholds = [50, 0, nan]
    print_onl = true

    [alerts.email]
    host = "smtp.example.com"
    port = 0
    security = "ssl"
    """
    found = complaints(path, docstring)
    assert [line.partition(";")[0] for line in found] == [
        "finops.toml: base: unknown key",
        "finops.toml: company: is missing",
        (
            "finops.toml: ledger.origin: 'acme finops' cannot sign a checkpoint: write a name like "
            "acme.example/finops, without spaces and plus signs"
        ),
        "finops.toml: sources.Main: a source is named in lower-case letters, digits, - and _",
        "finops.toml: sources.other.provider: is missing",
        "finops.toml: alerts.thresholds[1]: input should be greater than 0, not 0",
        "finops.toml: alerts.thresholds[2]: input should be a finite number, not NaN",
        "finops.toml: alerts.email.port: input should be greater than or equal to 1, not 0",
        (
            "finops.toml: alerts.email.security: input should be 'starttls', 'tls' or 'none', "
            "not 'ssl'"
        ),
        "finops.toml: alerts.email.sender: is missing",
        "finops.toml: alerts.print_onl: unknown key",
        "finops.toml: compny: unknown key",
        "finops.toml: warehose: unknown key",
    ]
    assert "did you mean 'company'?" in found[-2]
    assert "base" not in found[-1]


def test_a_key_of_the_program_s_own_is_unknown(path: Path) -> None:
    found = complaints(path, f'base = "x"\n{MINIMAL}')
    assert found == [
        (
            "finops.toml: base: unknown key; write one of alerts, company, ledger, organization, "
            "sources, tracking, warehouse"
        )
    ]


@pytest.mark.parametrize("sources", ["3", '"abc"', "[1]", "true"])
def test_sources_must_be_a_table(path: Path, sources: str) -> None:
    found = complaints(path, f"sources = {sources}\n{MINIMAL}")
    assert len(found) == 1
    assert found[0].startswith("finops.toml: sources: must be a table, not ")


def test_a_source_must_be_a_table(path: Path) -> None:
    assert complaints(path, f"sources.main = 1\n{MINIMAL}") == [
        "finops.toml: sources.main: must be a table, not 1"
    ]


def test_an_empty_origin_cannot_sign(path: Path) -> None:
    (found,) = complaints(path, MINIMAL.replace("acme.example/finops", ""))
    assert found.startswith("finops.toml: ledger.origin: '' cannot sign a checkpoint")


def test_the_least_that_works(path: Path) -> None:
    loaded = read(path, MINIMAL)
    assert loaded == config.load(path.parent)
    assert loaded.organization_path == path.parent / "organization.toml"
    assert loaded.ledger_key_path == path.parent / "keys" / "ledger.key"
    assert list(loaded.alerts.thresholds) == [Decimal(50), Decimal(80), Decimal(100)]


def test_what_a_provider_alone_knows_is_kept_exactly(path: Path) -> None:
    loaded = read(path, f'{MINIMAL}\n[sources.gpu-1]\nprovider = "runpod"\nprice = 0.1\na.b = 1')
    assert loaded.source("gpu-1").provider == "runpod"
    assert loaded.source("gpu-1").settings == {"price": Decimal("0.1"), "a": {"b": 1}}


@pytest.mark.parametrize(
    ("sources", "known"), [("", "none yet"), ('[sources.a]\nprovider="focus"', "a")]
)
def test_an_unknown_source(path: Path, sources: str, known: str) -> None:
    with pytest.raises(ConfigError, match=rf"there is no source 'b'; the sources are: {known}$"):
        read(path, f"{MINIMAL}\n{sources}").source("b")
