"""Velero's node-agent: one pod a node, there only while volumes are saved or brought back file by file.

A DaemonSet has no replicas, so asleep means deleted: nothing of it is left that could run, or be mistaken for running.
"""

import asyncio
import json
from typing import Any

from app.concurrency import while_watching
from app.errors import StackNotReady
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS, DAEMON_SETS, ENDPOINTS
from app.settings import StackSettings
from app.velero.models import MANAGED_BY, MANAGED_BY_LABEL
from app.velero.stack.manifests import LABELS, VELERO, Manifest, credentials_volume, stack_metadata, velero_environment
from app.velero.stack.troubles import raise_on_trouble

#: Both names are Velero's: it looks for this DaemonSet, and for its pods by their label.
NODE_AGENT = "node-agent"
POD_LABELS = LABELS | {"name": NODE_AGENT, "role": NODE_AGENT}
CONFIGURATION = "node-agent-config"
#: Volumes of one node at the same time; Velero's own default of one looks for the next only every five seconds.
VOLUMES_AT_ONCE = 4
POLL_SECONDS = 0.1
#: Where every Kubernetes has its cluster DNS.
_DNS = ("kube-system", "kube-dns")


def configuration_manifest(settings: StackSettings) -> Manifest:
    """The node-agent's own settings."""
    concurrency = {"loadConcurrency": {"globalConfig": VOLUMES_AT_ONCE}}
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": stack_metadata(settings, CONFIGURATION),
        "data": {"config.json": json.dumps(concurrency)},
    }


def node_agent_manifest(settings: StackSettings) -> Manifest:
    """The DaemonSet. The pods that move data take account, environment and volumes from it."""
    pod = {
        "serviceAccountName": VELERO,
        "terminationGracePeriodSeconds": 5,
        # Every file of every pod must be readable, whoever owns it; no further privilege is needed for that.
        "securityContext": {"runAsUser": 0},
        "containers": [_container(settings)],
        "volumes": [
            {"name": "host-pods", "hostPath": {"path": f"{settings.kubelet_directory}/pods"}},
            {"name": "scratch", "emptyDir": {}},
            credentials_volume(),
        ],
    }
    return {
        "apiVersion": DAEMON_SETS.api_version,
        "kind": DAEMON_SETS.kind,
        "metadata": stack_metadata(settings, NODE_AGENT),
        "spec": {
            "selector": {"matchLabels": {"name": NODE_AGENT}},
            "template": {"metadata": {"labels": POD_LABELS}, "spec": pod},
        },
    }


def _container(settings: StackSettings) -> Manifest:
    return {
        "name": NODE_AGENT,
        "image": settings.images.velero,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": ["node-agent", "server", f"--node-agent-configmap={CONFIGURATION}"],
        "env": [
            *velero_environment(),
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [
            {"name": "host-pods", "mountPath": "/host_pods", "mountPropagation": "HostToContainer"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "cloud-credentials", "mountPath": "/credentials"},
        ],
    }


async def wake_node_agent(kube: KubeClient, settings: StackSettings) -> None:
    """A node-agent on every node, and cluster DNS up, by which the pods that move data find MinIO.

    The stack must be awake. Somebody else's node-agent is used as it is. Raises ``StackNotReady``.
    """
    found = await kube.find(DAEMON_SETS, NODE_AGENT, settings.namespace)
    if found is None or _is_ours(found):
        await kube.apply(CONFIG_MAPS, configuration_manifest(settings))
        await kube.apply(DAEMON_SETS, node_agent_manifest(settings))
    try:
        async with asyncio.timeout(settings.wake_timeout_seconds):
            await while_watching(_wait_until_ready(kube, settings), raise_on_trouble(kube, settings))
    except TimeoutError:
        raise StackNotReady(
            f"the node-agent was not up on every node within {settings.wake_timeout_seconds:g} s",
            remedy=f"See `kubectl -n {settings.namespace} describe daemonset {NODE_AGENT}` and the cluster's DNS.",
        ) from None


async def _wait_until_ready(kube: KubeClient, settings: StackSettings) -> None:
    while not is_on_every_node(await kube.get(DAEMON_SETS, NODE_AGENT, settings.namespace)):
        await asyncio.sleep(POLL_SECONDS)
    while not await _names_are_answered(kube):
        await asyncio.sleep(POLL_SECONDS)


def is_on_every_node(daemon_set: dict[str, Any]) -> bool:
    """Whether the latest specification is ready wherever it is wanted."""
    status, generation = daemon_set.get("status") or {}, daemon_set["metadata"].get("generation", 0)
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    return 0 < wanted <= ready and bool(status.get("observedGeneration", generation) >= generation)


async def _names_are_answered(kube: KubeClient) -> bool:
    """A cluster without a DNS of the usual name is believed to answer."""
    namespace, name = _DNS
    endpoints = await kube.find(ENDPOINTS, name, namespace)
    return endpoints is None or any(bool(subset.get("addresses")) for subset in endpoints.get("subsets") or ())


async def remove_node_agent(kube: KubeClient, settings: StackSettings) -> None:
    """No node-agent of ours any more; gone already is success."""
    found = await kube.find(DAEMON_SETS, NODE_AGENT, settings.namespace)
    if found is not None and _is_ours(found):
        await kube.delete(DAEMON_SETS, NODE_AGENT, settings.namespace)


def _is_ours(found: dict[str, Any]) -> bool:
    return (found["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY
