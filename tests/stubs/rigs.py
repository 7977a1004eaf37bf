"""Every network provider's rig, by provider."""

from tests.stubs import rig_gcp, rig_runpod
from tests.stubs.rig import Rig

RIGS: dict[str, Rig] = {rig.provider: rig for rig in (rig_gcp.RIG, rig_runpod.RIG)}
