"""Credentials from Prefect: a secret block stands in for an environment variable."""

from prefect.blocks.system import Secret
from prefect.context import FlowRunContext, TaskRunContext

from finops import credentials


def prefect_secret(variable: str) -> str | None:
    """Read the secret block that stands for `variable`; none outside a flow run."""
    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return None
    try:
        block = Secret.load(credentials.block_name(variable))
    except ValueError:  # there is no such block
        return None
    assert isinstance(block, Secret), "called outside an event loop"
    return str(block.get())
