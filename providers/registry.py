"""The one list of providers: a name and where its class is.

Nothing is imported until a source uses it. A package of yours adds a provider through the entry
point group `terradev_finops.providers`.
"""

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from finops.config import Config, SourceConfig
from finops.errors import ConfigError, Issue
from finops.settings import issues_of
from providers.base import Provider

PROVIDERS = {
    "aws": "providers.aws:Aws",
    "azure": "providers.azure:Azure",
    "coreweave": "providers.coreweave:CoreWeave",
    "focus": "providers.focus:Focus",
    "gcp": "providers.gcp:Gcp",
    "github_actions": "providers.github_actions:GitHubActions",
    "jenkins": "providers.jenkins:Jenkins",
    "kubernetes": "providers.kubernetes:Kubernetes",
    "lambda_labs": "providers.lambda_labs:LambdaLabs",
    "runpod": "providers.runpod:RunPod",
    "sdk": "providers.sdk:Sdk",
}
GROUP = "terradev_finops.providers"


def names() -> list[str]:
    """List every known provider, ours and those of installed packages."""
    return sorted({*PROVIDERS, *(point.name for point in entry_points(group=GROUP))})


def provider_class(name: str) -> type[Provider]:
    """Import the provider called `name`; raises `ConfigError` when there is none."""
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        return cast("type[Provider]", getattr(importlib.import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        return cast("type[Provider]", point.load())
    raise ConfigError(f"there is no provider {name!r}; write one of {', '.join(names())}")


def connect(source: str, config: SourceConfig, base: Path) -> Provider:
    """Make the provider of one configured source; raises `ConfigError` for bad settings."""
    made = provider_class(config.provider)
    try:
        settings = made.settings_model.model_validate(config.settings)
    except ValidationError as error:
        raise ConfigError.of(
            issues_of(error, f"finops.toml: sources.{source}", made.settings_model)
        ) from None
    return made(source, settings, base)


def check(config: Config) -> list[Issue]:
    """Find everything wrong with the configured sources, without touching the network."""
    found: list[Issue] = []
    for source, settings in config.sources.items():
        try:
            connect(source, settings, config.base)
        except ConfigError as error:
            found += error.issues or [Issue(f"finops.toml: sources.{source}.provider", str(error))]
    return found
