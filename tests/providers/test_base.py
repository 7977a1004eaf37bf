"""What all providers' settings share: addresses hold no credential, and no message repeats one."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finops.config import SourceConfig
from finops.errors import ConfigError
from finops.warehouse import open_warehouse
from providers import registry
from providers.aws import AwsSettings
from providers.azure import AzureSettings
from providers.base import Provider, without_user

SECRET = "S3CRETPW"
NEEDED: dict[str, dict[str, Any]] = {
    "azure": {"export": "bills"},
    "coreweave": {"rate_card": "rates.csv"},
    "gcp": {"recorded": "saved"},
    "github_actions": {"organization": "acme"},
}
ADDRESSES = [
    ("azure", "query_url"),
    ("coreweave", "api_url"),
    ("coreweave", "prometheus_url"),
    ("gcp", "api_url"),
    ("github_actions", "api_url"),
    ("jenkins", "url"),
    ("kubernetes", "prometheus_url"),
    ("kubernetes", "url"),
    ("lambda_labs", "api_url"),
    ("runpod", "api_url"),
    ("runpod", "v1_url"),
]
every_address = pytest.mark.parametrize(("provider", "setting"), ADDRESSES)


def connect(provider: str, settings: dict[str, Any]) -> Provider:
    config = SourceConfig(provider=provider, settings={**NEEDED.get(provider, {}), **settings})
    return registry.connect("main", config, Path())


@every_address
@pytest.mark.parametrize(
    "value",
    [
        f"http://admin:{SECRET}@127.0.0.1",
        f"https://{SECRET}@host/path",
        f"https://host/?token={SECRET}",
        f"https://host/#{SECRET}",
        f"admin:{SECRET}@host",
        f"ftp://{SECRET}",
        f"https://host:{SECRET}",
        f"https://[{SECRET}",
        f"https:///{SECRET}",
    ],
)
def test_an_address_with_more_than_a_place_is_refused_and_not_repeated(
    provider: str, setting: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"sources.main.{setting}: .*write") as caught:
        connect(provider, {setting: value})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.issues)


@every_address
def test_an_address_may_have_a_port_and_a_path(provider: str, setting: str) -> None:
    assert provider == connect(provider, {setting: "https://host:8443/below/"}).NAME


def test_every_setting_that_is_an_address_is_tested() -> None:
    found = [
        (provider, name)
        for provider in sorted(registry.PROVIDERS)
        for name in sorted(registry.provider_class(provider).settings_model.model_fields)
        if name.endswith("url")
    ]
    assert found == ADDRESSES


@pytest.mark.parametrize("value", [f"s3://KEY:{SECRET}@bucket/x/", f"https://{SECRET}@host/x.csv"])
def test_a_key_in_the_path_of_a_bill_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(ConfigError, match=r"sources\.main\.path: ") as caught:
        connect("focus", {"path": value})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("place", ["s3://KEY:SECRET@bucket/exports/x", "https://u:pw@host/c/r/x"])
def test_places_with_a_user_are_refused_without_repeating_it(place: str) -> None:
    with pytest.raises(ValueError, match="holds a user or a password") as caught:
        without_user(place)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("place", ["s3://bucket/odd@key", "folder@home", "https://host/c/r/x"])
def test_places_without_a_user(place: str) -> None:
    assert without_user(place) == place


def test_exports_and_the_warehouse_take_no_keys() -> None:
    with pytest.raises(ValidationError, match="holds a user or a password"):
        AwsSettings(export="s3://KEY:SECRET@bucket/exports/x")
    with pytest.raises(ValidationError, match="holds a user or a password"):
        AzureSettings(export="https://u:pw@account.blob.core.windows.net/c/root/x")
    with pytest.raises(ConfigError, match="holds a key") as caught:
        open_warehouse("s3://KEY:SECRET@bucket")
    assert "SECRET" not in str(caught.value)
