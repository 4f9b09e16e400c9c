"""Listing everything the cluster offers that a backup has to take."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesNotFound
from app.kubernetes.resources import Resource
from app.proof.models import Inventory, InventoryItem, ObjectKey
from app.velero.scope import Scope, in_scope

#: What a type must offer for Velero to take it (velero pkg/discovery/helper.go).
NEEDED_VERBS = frozenset({"list", "create", "get", "delete"})
LISTS_AT_ONCE = 8
#: Types served by two groups are stored once; Velero takes the first (velero pkg/backup/item_collector.go).
COHABITING = {
    "deployments": "apps",
    "daemonsets": "apps",
    "replicasets": "apps",
    "networkpolicies": "networking.k8s.io",
    "ingresses": "networking.k8s.io",
    "events": "",
}


async def take_inventory(kube: KubeClient, scope: Scope) -> Inventory:
    """Metadata of every object in scope; every list has ended when this returns."""
    discovery = await kube.discover()
    gate = asyncio.Semaphore(LISTS_AT_ONCE)

    async def listed(resource: Resource) -> list[InventoryItem]:
        async with gate:
            return await list_items(kube, resource, scope)

    wanted = [resource for resource in discovery.resources if is_taken(resource)]
    lists = await asyncio.gather(*(listed(resource) for resource in wanted))
    items = [item for found in lists for item in found]
    return Inventory(taken_at=datetime.now(UTC), items=items, failed_groups=discovery.failed_groups)


def is_taken(resource: Resource) -> bool:
    """Whether Velero would take this type at all."""
    home = COHABITING.get(resource.plural)
    return resource.verbs >= NEEDED_VERBS and (home is None or home == resource.group)


async def list_items(kube: KubeClient, resource: Resource, scope: Scope) -> list[InventoryItem]:
    """The objects of one type that are in scope and not already going."""
    if not scope.takes_type(resource):
        return []
    try:
        found = (await kube.list(resource, metadata_only=True)).items
    except KubernetesNotFound:
        return []  # the type went away between discovery and here
    return [_item(resource, each["metadata"]) for each in found if _counts(resource, each["metadata"], scope)]


def _counts(resource: Resource, metadata: dict[str, Any], scope: Scope) -> bool:
    return not metadata.get("deletionTimestamp") and in_scope(resource, metadata, scope)


def _item(resource: Resource, metadata: dict[str, Any]) -> InventoryItem:
    key = ObjectKey(resource=resource.group_resource, namespace=metadata.get("namespace", ""), name=metadata["name"])
    return InventoryItem(key=key, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
