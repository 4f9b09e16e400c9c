"""What the node knows of the cluster: informers, and writes that show in them at once.

A controller that acts again before its own write has come back through the watch would make things twice; so each
answer of the API server goes into the cache as soon as it is there.
"""

import asyncio

from app.sandbox.apiclient import ApiError, KubernetesApi, ResourceType
from app.sandbox.objects import Object, name_of, namespace_of
from app.sandbox.watching import Informer

PODS = ResourceType("", "v1", "pods", "Pod", namespaced=True)
NODES = ResourceType("", "v1", "nodes", "Node", namespaced=False)
SERVICES = ResourceType("", "v1", "services", "Service", namespaced=True)
ENDPOINTS = ResourceType("", "v1", "endpoints", "Endpoints", namespaced=True)
SECRETS = ResourceType("", "v1", "secrets", "Secret", namespaced=True)
CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", namespaced=True)
CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespaced=True)
VOLUMES = ResourceType("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", namespaced=True)
REPLICA_SETS = ResourceType("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)
STATEFUL_SETS = ResourceType("apps", "v1", "statefulsets", "StatefulSet", namespaced=True)
DAEMON_SETS = ResourceType("apps", "v1", "daemonsets", "DaemonSet", namespaced=True)
JOBS = ResourceType("batch", "v1", "jobs", "Job", namespaced=True)
SLICES = ResourceType("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", namespaced=True)

WATCHED = (PODS, SERVICES, ENDPOINTS, CLAIMS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, JOBS)


class ClusterState:
    """Cached objects by type; ``changed`` is set by every event."""

    def __init__(self, api: KubernetesApi) -> None:
        self.api = api
        self.changed = asyncio.Event()
        self.informers = {resource.plural: Informer(api, resource, "") for resource in WATCHED}
        for informer in self.informers.values():
            informer.subscribe(lambda _kind, _item: self.changed.set())

    def all(self, resource: ResourceType) -> list[Object]:
        """Every cached object of a type."""
        return list(self.informers[resource.plural].objects.values())

    def find(self, resource: ResourceType, namespace: str, name: str) -> Object | None:
        """One cached object."""
        return self.informers[resource.plural].objects.get(f"{namespace}/{name}")

    async def create(self, resource: ResourceType, body: Object) -> Object | None:
        """Create an object; None if it is there already or its namespace is going."""
        try:
            created = await self.api.create(resource, body, namespace_of(body))
        except ApiError as error:
            if error.http_status in {403, 404, 409}:
                return None
            raise
        self._keep(resource, created)
        return created

    async def patch(self, resource: ResourceType, obj: Object, patch: Object, *, status: bool = False) -> Object | None:
        """Merge-patch an object, or its status; None if it is gone."""
        path = resource.path(namespace_of(obj), name_of(obj)) + ("/status" if status else "")
        try:
            patched = await self.api.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
        except ApiError as error:
            if error.not_found:
                return None
            raise
        self._keep(resource, patched)
        return patched

    async def set_status(self, resource: ResourceType, obj: Object, status: Object) -> None:
        """Write a status unless it says so already."""
        current = obj.get("status") or {}
        if any(current.get(key) != value for key, value in status.items()):
            await self.patch(resource, obj, {"status": status}, status=True)

    async def delete(self, resource: ResourceType, obj: Object, *, grace_seconds: int | None = None) -> None:
        """Delete an object, as far as it is still this one."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        options["preconditions"] = {"uid": obj["metadata"]["uid"]}
        try:
            answer = await self.api.request("DELETE", resource.path(namespace_of(obj), name_of(obj)), body=options)
        except ApiError as error:
            if error.http_status not in {404, 409}:
                raise
            return
        if (answer.get("metadata") or {}).get("deletionTimestamp") and grace_seconds != 0:
            self._keep(resource, answer)
        else:
            informer = self.informers[resource.plural]
            informer.objects.pop(informer.key(obj), None)

    def _keep(self, resource: ResourceType, obj: Object) -> None:
        informer = self.informers.get(resource.plural)
        if informer is None:
            return
        known = informer.objects.get(informer.key(obj))
        if known is None or _version(known) < _version(obj):
            informer.objects[informer.key(obj)] = obj


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def controller_uid(obj: Object) -> str:
    """UID of the controlling owner, or ""."""
    owners = obj["metadata"].get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def owner_reference(resource: ResourceType, owner: Object) -> Object:
    """The reference a controlled object carries."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name_of(owner),
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector's ``matchLabels`` (all the sandbox's workloads use) match."""
    wanted = selector.get("matchLabels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def is_ready(pod: Object) -> bool:
    """Whether a pod says it is ready and is not going."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def is_active(pod: Object) -> bool:
    """Whether a pod counts for its controller: not ended, not going."""
    ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and not pod["metadata"].get("deletionTimestamp")
