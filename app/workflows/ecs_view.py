"""ECS clusters, services and tasks as the running cluster shows them, by the labels KECS writes."""

from typing import Any

from app.host.ecs_state import EcsObject, EcsState
from app.kubernetes.resources import DEPLOYMENTS, NAMESPACES, PODS
from app.proof.models import ObjectKey
from app.workflows.world import InstanceSession

CLUSTER, SERVICE, TASK = "kecs.dev/cluster", "kecs.dev/service", "kecs.dev/task-id"
_FINISHED = {"Succeeded", "Failed"}


async def view_cluster(session: InstanceSession) -> EcsState:
    """What there is now; pods of a service are left to it, finished ones are no running tasks."""
    kube = await session.kube()
    namespaces = (await kube.list(NAMESPACES, label_selector="kecs.dev/type=ecs-cluster")).items
    deployments = (await kube.list(DEPLOYMENTS, label_selector="kecs.dev/managed-by=kecs")).items
    pods = (await kube.list(PODS, label_selector=TASK)).items
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in _FINISHED]
    return EcsState(
        objects=[
            *(_cluster(found["metadata"]) for found in namespaces),
            *(_object("service", found["metadata"], SERVICE) for found in deployments),
            *(_object("task", found["metadata"], TASK) for found in running),
        ]
    )


async def list_finished(session: InstanceSession) -> set[ObjectKey]:
    """Pods that have ended: their tasks run no more, whatever an older copy of KECS's store says."""
    pods = (await (await session.kube()).list(PODS)).items
    return {
        ObjectKey(resource=PODS.group_resource, namespace=pod["metadata"]["namespace"], name=pod["metadata"]["name"])
        for pod in pods
        if (pod.get("status") or {}).get("phase") in _FINISHED
    }


def _cluster(metadata: dict[str, Any]) -> EcsObject:
    name = metadata["labels"].get(CLUSTER, metadata["name"])
    return EcsObject(kind="cluster", name=name, cluster=name, namespace=metadata["name"], object=metadata["name"])


def _object(kind: Any, metadata: dict[str, Any], label: str) -> EcsObject:
    labels = metadata.get("labels") or {}
    return EcsObject(
        kind=kind,
        name=labels.get(label, metadata["name"]),
        cluster=labels.get(CLUSTER, ""),
        namespace=metadata["namespace"],
        object=metadata["name"],
    )
