"""Listing everything the cluster offers that a backup has to take."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES, Resource
from app.proof.models import Inventory, InventoryItem, ObjectKey
from app.velero.models import EXCLUDE_LABEL
from app.velero.scope import Scope, collected, decider


async def take_inventory(kube: KubeClient, scope: Scope) -> Inventory:
    """Metadata of every object in scope; every list has ended when this returns."""
    discovery = await kube.discover()
    hidden = await _hidden_namespaces(kube)
    types = list(collected(discovery.resources, scope))
    lists = await side_by_side(*(kube.find_all(resource, metadata_only=True) for resource in types))
    taken_at = datetime.now(UTC)
    items = await asyncio.to_thread(_items, zip(types, lists, strict=True), scope, hidden)
    return Inventory(taken_at=taken_at, items=items, failed_groups=discovery.failed_groups)


async def _hidden_namespaces(kube: KubeClient) -> set[str]:
    """Namespaces that a label keeps out of backups with all that is in them, which does not tell by itself."""
    found = (await kube.list(NAMESPACES, label_selector=f"{EXCLUDE_LABEL}=true", metadata_only=True)).items
    return {namespace["metadata"]["name"] for namespace in found}


def _items(
    lists: Iterable[tuple[Resource, list[dict[str, Any]]]], scope: Scope, hidden: set[str]
) -> list[InventoryItem]:
    """What is in scope and not already going; there may be tens of thousands, so run it in a thread."""
    items = []
    for resource, found in lists:
        kind, takes = resource.group_resource, decider(resource, scope)
        items += [
            _item(kind, each["metadata"])
            for each in found
            if each["metadata"].get("namespace", "") not in hidden and takes(each["metadata"])
        ]
    return items


def _item(kind: str, metadata: dict[str, Any]) -> InventoryItem:
    key = ObjectKey(resource=kind, namespace=metadata.get("namespace", ""), name=metadata["name"])
    return InventoryItem(key=key, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
