"""Pods as both sides of a comparison wait for them: by the same look, as often, to the same end."""

import time
from collections import Counter

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import PODS
from tests.product import Product
from tests.waiting import eventually

STACK = "velero"
DEADLINE_SECONDS = 900
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


async def running(product: Product, wanted: Pods) -> float:
    """Seconds until as many pods run in every namespace."""
    began = time.perf_counter()

    async def all_of_them() -> bool:
        return await running_pods(kube) >= wanted

    async with product.kube() as kube:
        await eventually(all_of_them, DEADLINE_SECONDS)
    return time.perf_counter() - began


async def asleep(kube: KubeClient) -> None:
    """Until no pod of the stack is left."""

    async def no_pods() -> bool:
        return not (await kube.list(PODS, STACK)).items

    await eventually(no_pods, DEADLINE_SECONDS)
