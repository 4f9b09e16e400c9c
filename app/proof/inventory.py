"""Listing everything the cluster offers that a backup has to take."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesNotFound
from app.kubernetes.resources import Resource
from app.proof.models import Inventory, InventoryItem, ObjectKey
from app.velero.scope import Scope, collected, in_scope

LISTS_AT_ONCE = 8


async def take_inventory(kube: KubeClient, scope: Scope) -> Inventory:
    """Metadata of every object in scope; every list has ended when this returns."""
    discovery = await kube.discover()
    gate = asyncio.Semaphore(LISTS_AT_ONCE)

    async def listed(resource: Resource) -> list[InventoryItem]:
        async with gate:
            return await list_items(kube, resource, scope)

    wanted = collected(discovery.resources, scope)
    lists = await asyncio.gather(*(listed(resource) for resource in wanted))
    items = [item for found in lists for item in found]
    return Inventory(taken_at=datetime.now(UTC), items=items, failed_groups=discovery.failed_groups)


async def list_items(kube: KubeClient, resource: Resource, scope: Scope) -> list[InventoryItem]:
    """The objects of one type that are in scope and not already going."""
    try:
        found = (await kube.list(resource, metadata_only=True)).items
    except KubernetesNotFound:
        return []  # the type went away between discovery and here
    return [_item(resource, each["metadata"]) for each in found if in_scope(resource, each["metadata"], scope)]


def _item(resource: Resource, metadata: dict[str, Any]) -> InventoryItem:
    key = ObjectKey(resource=resource.group_resource, namespace=metadata.get("namespace", ""), name=metadata["name"])
    return InventoryItem(key=key, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
