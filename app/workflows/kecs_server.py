"""Holding KECS's control plane at zero while a restore runs, and putting it back.

kecs-server recreates poorer copies of what a restore brings back, and its SIGTERM handler marks every task
STOPPED; so its pod is deleted without grace, and its replicas are remembered in an annotation on the
Deployment itself, where a lost database cannot forget them.
"""

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DEPLOYMENTS, PODS
from app.workflows.world import InstanceSession

NAMESPACE = "kecs-system"
DEPLOYMENT = "kecs-server"
REPLICAS_ANNOTATION = "kecs-state.dev/replicas-before-restore"


async def hold_kecs_server(session: InstanceSession) -> bool:
    """Scale kecs-server to zero; says whether there was one. Held already is success."""
    kube = await session.kube()
    deployment = await kube.find(DEPLOYMENTS, DEPLOYMENT, NAMESPACE)
    if deployment is None:
        return False
    replicas = deployment["spec"].get("replicas", 1)
    if replicas:
        patch = {
            "metadata": {
                "annotations": {REPLICAS_ANNOTATION: str(replicas)},
                "resourceVersion": deployment["metadata"]["resourceVersion"],
            },
            "spec": {"replicas": 0},
        }
        await kube.merge_patch(DEPLOYMENTS, DEPLOYMENT, patch, NAMESPACE)
    await _delete_pods(kube, deployment["spec"]["selector"]["matchLabels"])
    return True


async def _delete_pods(kube: KubeClient, labels: dict[str, str]) -> None:
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    for pod in (await kube.list(PODS, NAMESPACE, label_selector=selector)).items:
        await kube.delete(PODS, pod["metadata"]["name"], NAMESPACE, grace_seconds=0)


async def release_kecs_server(session: InstanceSession) -> bool:
    """Give kecs-server the replicas it had before it was held; says whether it was held."""
    kube = await session.kube()
    deployment = await kube.find(DEPLOYMENTS, DEPLOYMENT, NAMESPACE)
    remembered = ((deployment or {}).get("metadata", {}).get("annotations") or {}).get(REPLICAS_ANNOTATION)
    if deployment is None or remembered is None:
        return False
    patch = {"metadata": {"annotations": {REPLICAS_ANNOTATION: None}}, "spec": {"replicas": int(remembered)}}
    await kube.merge_patch(DEPLOYMENTS, DEPLOYMENT, patch, NAMESPACE)
    return True
