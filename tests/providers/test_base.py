"""What all providers' settings share: addresses hold no credential, and no message repeats one."""

from pathlib import Path
from typing import Any

import pytest

from finops.config import SourceConfig
from finops.errors import ConfigError
from providers import registry

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


def connect(provider: str, settings: dict[str, Any]) -> None:
    config = SourceConfig(provider=provider, settings={**NEEDED.get(provider, {}), **settings})
    registry.connect("main", config, Path())


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
    connect(provider, {setting: "https://host:8443/below/"})


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
