"""Every network provider's rig, by provider."""

from tests.stubs import rig_jenkins, rig_lambda_labs, rig_runpod
from tests.stubs.rig import Rig

RIGS: dict[str, Rig] = {
    rig.provider: rig for rig in (rig_jenkins.RIG, rig_lambda_labs.RIG, rig_runpod.RIG)
}
