"""Pods as both sides of a comparison wait for them: by the same look, as often, to the same end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import PODS
from tests.product import Product

STACK = "velero"
DEADLINE_SECONDS = 900
#: How often a script would run the CLI, and how often a program would ask the API.
RUN_SECONDS, ASK_SECONDS = 0.5, 0.1
#: How many run, by namespace.
Pods = Counter[str]


async def running_pods(kube: KubeClient) -> Pods:
    """Those that run now, and are not on their way out; the stack's do not count."""
    pods = (await kube.list(PODS)).items
    return Counter(
        pod["metadata"]["namespace"]
        for pod in pods
        if pod["metadata"]["namespace"] != STACK
        and "deletionTimestamp" not in pod["metadata"]
        and (pod.get("status") or {}).get("phase") == "Running"
    )


async def running(product: Product, wanted: Pods) -> None:
    """Until as many pods run in every namespace."""

    async def all_of_them() -> bool:
        return await running_pods(kube) >= wanted

    async with product.kube() as kube:
        await until(all_of_them, ASK_SECONDS)


async def asleep(kube: KubeClient) -> None:
    """Until no pod of the stack is left."""
    await until(partial(_no_pods, kube), ASK_SECONDS)


async def _no_pods(kube: KubeClient) -> bool:
    return not (await kube.list(PODS, STACK)).items


async def until(condition: Callable[[], Awaitable[bool]], pause_seconds: float = RUN_SECONDS) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():
            await asyncio.sleep(pause_seconds)
