"""Every network provider's rig, by provider."""

from tests.stubs import (
    rig_aws,
    rig_azure,
    rig_coreweave,
    rig_focus,
    rig_gcp,
    rig_github_actions,
    rig_jenkins,
    rig_kubernetes,
    rig_lambda_labs,
    rig_runpod,
)
from tests.stubs.rig import Rig

_MADE = (
    rig_aws,
    rig_azure,
    rig_coreweave,
    rig_focus,
    rig_gcp,
    rig_github_actions,
    rig_jenkins,
    rig_kubernetes,
    rig_lambda_labs,
    rig_runpod,
)

RIGS: dict[str, Rig] = {made.RIG.provider: made.RIG for made in _MADE}
