"""Putting the stack to sleep: no pod of it between jobs."""

from app.concurrency import side_by_side, together
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DEPLOYMENTS, STATEFUL_SETS
from app.settings import StackSettings
from app.velero.stack.manifests import MINIO, VELERO
from app.velero.stack.node_agent import remove_node_agent
from app.velero.stack.rbac import forbid_restoring
from app.velero.stack.state import StackState, scale_to_zero, stack_state, woken_by
from app.velero.unfinished import list_unfinished

__all__ = ["StackState", "sleep", "stack_state"]


async def sleep(kube: KubeClient, settings: StackSettings, *, force: bool = False) -> bool:
    """Scale Velero and MinIO to zero, without a node-agent; says whether nothing of ours runs now.

    Pods may still be going away.

    Left up are a resident stack and one that a person woke, unless ``force`` says that the person asks; always left
    alone are somebody else's Velero and one that works for somebody else.
    """
    state = await stack_state(kube, settings)
    if state != "awake":
        return state != "foreign"
    kept_up, unfinished = await together(_kept_up(kube, settings), list_unfinished(kube, settings.namespace))
    if (kept_up and not force) or any(not work.ours for work in unfinished):
        return False
    await side_by_side(
        forbid_restoring(kube, settings),
        scale_to_zero(kube, DEPLOYMENTS, VELERO, settings.namespace),
        scale_to_zero(kube, STATEFUL_SETS, MINIO, settings.namespace),
        remove_node_agent(kube, settings),
    )
    return True


async def _kept_up(kube: KubeClient, settings: StackSettings) -> bool:
    if settings.mode == "resident":
        return True
    return woken_by(await kube.find(DEPLOYMENTS, VELERO, settings.namespace)) == "user"
