"""What of the stack is in a cluster, whose it is, and changing how many of it run."""

from typing import Any, Literal

from app.concurrency import side_by_side
from app.errors import ForeignVelero
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesConflict
from app.kubernetes.resources import DEPLOYMENTS, NAMESPACES, STATEFUL_SETS, Resource
from app.settings import StackSettings
from app.velero.models import MANAGED_BY, MANAGED_BY_LABEL
from app.velero.stack.manifests import MINIO, VELERO, WOKEN_BY

StackState = Literal["absent", "asleep", "awake", "foreign"]

MOST_CONFLICTS = 5


async def stack_state(kube: KubeClient, settings: StackSettings) -> StackState:
    """``foreign``: a Velero, or just its namespace, that this service has not made."""
    namespace, deployment, minio = await side_by_side(
        kube.find(NAMESPACES, settings.namespace),
        kube.find(DEPLOYMENTS, VELERO, settings.namespace),
        kube.find(STATEFUL_SETS, MINIO, settings.namespace),
    )
    if namespace is None:
        return "absent"
    if not _ours(namespace) or (deployment is not None and not _ours(deployment)):
        return "foreign"
    if deployment is None:
        return "absent"
    return "awake" if replicas(deployment) or (minio is not None and replicas(minio)) else "asleep"


def _ours(found: dict[str, Any]) -> bool:
    return (found["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY


def foreign_velero(settings: StackSettings) -> ForeignVelero:
    """The problem of a Velero that is not ours."""
    return ForeignVelero(
        f"namespace {settings.namespace!r} holds a Velero that this service has not installed",
        remedy="Remove it, let this service use another namespace (KECS_STATE_STACK__NAMESPACE), or use that Velero "
        "with KECS_STATE_STACK__ADOPT_FOREIGN=true.",
        namespace=settings.namespace,
    )


def replicas(workload: dict[str, Any]) -> int:
    """How many pods a Deployment or StatefulSet is meant to have."""
    wanted = (workload.get("spec") or {}).get("replicas")
    return 1 if wanted is None else int(wanted)


def woken_by(deployment: dict[str, Any] | None) -> str:
    """Who woke a Velero that is up: ``job``, ``user``, or nobody (an empty text)."""
    if deployment is None or not replicas(deployment):
        return ""
    return str((deployment["metadata"].get("annotations") or {}).get(WOKEN_BY, ""))


async def scale_to_zero(kube: KubeClient, resource: Resource, name: str, namespace: str) -> None:
    """No pods of a workload, and nobody who woke it; not there or at zero already is success.

    A change somebody makes at the same time is looked at before it is overwritten; raises ``KubernetesConflict``
    when that goes on.
    """
    for attempt in range(MOST_CONFLICTS):
        found = await kube.find(resource, name, namespace)
        if found is None or not replicas(found):
            return
        metadata: dict[str, Any] = {"resourceVersion": found["metadata"]["resourceVersion"]}
        if WOKEN_BY in (found["metadata"].get("annotations") or {}):
            metadata["annotations"] = {WOKEN_BY: None}
        try:
            await kube.merge_patch(resource, name, {"metadata": metadata, "spec": {"replicas": 0}}, namespace)
        except KubernetesConflict:
            if attempt == MOST_CONFLICTS - 1:
                raise
        else:
            return
