"""Watching that no ReplicaSet ever has more live pods than it was told to have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import PODS, REPLICA_SETS
from app.settings import StackSettings
from tests.product import Product

STACK_NAMESPACE = StackSettings().namespace


@asynccontextmanager
async def watched_surplus(product: Product) -> AsyncIterator[list[str]]:
    """What was seen too many; a power-off in between breaks the watch, which then ends."""
    surplus: list[str] = []
    async with product.kube() as kube:
        watching = asyncio.create_task(_watch(kube, surplus))
        try:
            yield surplus
        finally:
            assert not watching.done(), "the watch has ended, so nothing was seen"
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _watch(kube: KubeClient, surplus: list[str]) -> None:
    live: dict[str, set[str]] = {}
    highest: dict[str, int] = {}
    async for event in kube.watch(PODS):
        metadata = event.object["metadata"]
        owner = next(
            (each["name"] for each in metadata.get("ownerReferences") or [] if each["kind"] == "ReplicaSet"), ""
        )
        # The stack goes to sleep meanwhile: its ReplicaSet is at zero a moment before its pod is being deleted.
        if not owner or metadata["namespace"] == STACK_NAMESPACE:
            continue
        key = f"{metadata['namespace']}/{owner}"
        pods = live.setdefault(key, set())
        if event.type == "DELETED" or metadata.get("deletionTimestamp"):
            pods.discard(metadata["uid"])
            continue
        pods.add(metadata["uid"])
        replica_set = await kube.find(REPLICA_SETS, owner, metadata["namespace"])
        wanted = replica_set["spec"]["replicas"] if replica_set is not None else 0
        highest[key] = max(highest.get(key, 0), wanted)
        if len(pods) > highest[key]:
            surplus.append(f"{key}: {len(pods)} live pods, {highest[key]} wanted")
