import importlib
import inspect
from pathlib import Path

import pytest

import providers
from finops import config
from finops.config import Config, SourceConfig
from finops.errors import ConfigError
from providers import registry
from providers.base import Settings

FOLDER = Path(providers.__file__).parent


def configured(tmp_path: Path, sources: str) -> Config:
    path = tmp_path / "finops.toml"
    path.write_text(f'company = "Acme"\n[ledger]\norigin = "acme.example/finops"\n{sources}')
    return config.load(path)


def test_every_provider_is_in_the_registry() -> None:
    made = set()
    for file in FOLDER.glob("*.py"):
        module = importlib.import_module(f"providers.{file.stem}")
        for _, found in inspect.getmembers(module, inspect.isclass):
            is_own = found.__module__ == module.__name__ and file.stem != "base"
            if is_own and isinstance(getattr(found, "NAME", None), str):
                made.add(f"{module.__name__}:{found.__name__}")
    assert made == set(registry.PROVIDERS.values())


@pytest.mark.parametrize("name", registry.PROVIDERS)
def test_a_provider_keeps_the_contract(name: str) -> None:
    provider = registry.provider_class(name)
    assert name == provider.NAME
    assert provider.NEEDS
    assert provider.LOOKBACK_DAYS > 0
    assert issubclass(provider.settings_model, Settings)
    assert provider.settings_model is not Settings
    assert list(inspect.signature(provider.fetch).parameters) == ["self", "window", "store"]
    assert list(inspect.signature(provider.probes).parameters) == ["self"]
    tells = [getattr(provider, duty, None) for duty in ("charges", "workloads")]
    assert any(tells)
    for duty in filter(None, tells):
        assert list(inspect.signature(duty).parameters) == ["self", "delivery", "path"]


def test_an_unknown_provider() -> None:
    with pytest.raises(ConfigError, match=r"no provider 'asw'; write one of aws, .*focus"):
        registry.provider_class("asw")


def test_an_installed_package_adds_a_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "acme_cloud-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-cloud\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[{registry.GROUP}]\nacme-cloud = acme_cloud:Acme\n")
    (tmp_path / "acme_cloud.py").write_text("class Acme:\n    NAME = 'acme-cloud'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "acme-cloud" in registry.names()
    assert registry.provider_class("acme-cloud").NAME == "acme-cloud"


def test_bad_settings_name_file_key_and_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.connect("main", SourceConfig(provider="focus", settings={"pth": "x"}), tmp_path)
    assert str(caught.value).splitlines() == [
        "finops.toml: sources.main.path: is missing; add it",
        "finops.toml: sources.main.pth: unknown key; did you mean 'path'?",
    ]


def test_every_bad_source_is_named_at_once(tmp_path: Path) -> None:
    sources = """
        [sources.good]
        provider = "focus"
        path = "bills"
        [sources.no-path]
        provider = "focus"
        [sources.unknown]
        provider = "asw"
    """
    found = registry.check(configured(tmp_path, sources))
    assert [str(issue).partition(";")[0] for issue in found] == [
        "finops.toml: sources.no-path.path: is missing",
        "finops.toml: sources.unknown.provider: there is no provider 'asw'",
    ]


def test_nothing_wrong(tmp_path: Path) -> None:
    good = '[sources.good]\nprovider = "focus"\npath = "bills"'
    assert registry.check(configured(tmp_path, good)) == []
