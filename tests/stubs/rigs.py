"""Every network provider's rig, by provider."""

from tests.stubs import (
    rig_coreweave,
    rig_jenkins,
    rig_kubernetes,
    rig_lambda_labs,
    rig_runpod,
)
from tests.stubs.rig import Rig

RIGS: dict[str, Rig] = {
    made.RIG.provider: made.RIG
    for made in (rig_coreweave, rig_jenkins, rig_kubernetes, rig_lambda_labs, rig_runpod)
}
