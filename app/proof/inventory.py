"""Listing everything the cluster offers that a backup has to take."""

from datetime import UTC, datetime
from typing import Any

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesNotFound
from app.kubernetes.resources import NAMESPACES, Resource
from app.proof.models import Inventory, InventoryItem, ObjectKey
from app.velero.models import EXCLUDE_LABEL
from app.velero.scope import Scope, collected, in_scope


async def take_inventory(kube: KubeClient, scope: Scope) -> Inventory:
    """Metadata of every object in scope; every list has ended when this returns."""
    discovery = await kube.discover()
    hidden = await _hidden_namespaces(kube)
    lists = await side_by_side(
        *(_list_items(kube, resource, scope) for resource in collected(discovery.resources, scope))
    )
    items = [item for found in lists for item in found if item.key.namespace not in hidden]
    return Inventory(taken_at=datetime.now(UTC), items=items, failed_groups=discovery.failed_groups)


async def _hidden_namespaces(kube: KubeClient) -> set[str]:
    """Namespaces that a label keeps out of backups with all that is in them, which does not tell by itself."""
    found = (await kube.list(NAMESPACES, label_selector=f"{EXCLUDE_LABEL}=true", metadata_only=True)).items
    return {namespace["metadata"]["name"] for namespace in found}


async def _list_items(kube: KubeClient, resource: Resource, scope: Scope) -> list[InventoryItem]:
    """The objects of one type that are in scope and not already going."""
    try:
        found = (await kube.list(resource, metadata_only=True)).items
    except KubernetesNotFound:
        return []  # the type went away between discovery and here
    return [_item(resource, each["metadata"]) for each in found if in_scope(resource, each["metadata"], scope)]


def _item(resource: Resource, metadata: dict[str, Any]) -> InventoryItem:
    key = ObjectKey(resource=resource.group_resource, namespace=metadata.get("namespace", ""), name=metadata["name"])
    return InventoryItem(key=key, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
