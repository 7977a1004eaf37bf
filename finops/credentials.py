"""Credentials: from the environment, or from a vault that the surroundings opened.

Flows that run on a Prefect server open Prefect's secret blocks. A credential is read when it is
needed and kept nowhere; messages name the variable, never the value.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from finops.errors import ConfigError

Vault = Callable[[str], str | None]
"""Gives the credential that an environment variable of this name would hold, if it has one."""

_vault: ContextVar[Vault | None] = ContextVar("vault", default=None)


@contextmanager
def also_from(vault: Vault) -> Iterator[None]:
    """Look into `vault`, in the `with` block, for what the environment does not hold."""
    before = _vault.set(vault)
    try:
        yield
    finally:
        _vault.reset(before)


def find(variable: str) -> str | None:
    """Read a credential; `None` when there is none."""
    value = os.environ.get(variable, "").strip()
    vault = _vault.get()
    if not value and vault is not None:
        value = (vault(variable) or "").strip()
    return value or None


def read(variable: str, needed_for: str, advice: str = "") -> str:
    """Read a credential; raises `ConfigError` naming the variable when there is none."""
    value = find(variable)
    if value is None:
        raise ConfigError(
            f"{needed_for}: set the environment variable {variable}, or make a Prefect secret "
            f"block named {block_name(variable)}{f'; {advice}' if advice else ''}"
        )
    return value


def block_name(variable: str) -> str:
    """Name the vault's entry for a variable: `RUNPOD_API_KEY` is `runpod-api-key`."""
    return variable.lower().replace("_", "-")
