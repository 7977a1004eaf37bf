"""Every network provider's rig, by provider."""

from tests.stubs import rig_azure, rig_coreweave, rig_kubernetes, rig_runpod
from tests.stubs.rig import Rig

RIGS: dict[str, Rig] = {
    rig.provider: rig
    for rig in (rig_azure.RIG, rig_coreweave.RIG, rig_kubernetes.RIG, rig_runpod.RIG)
}
