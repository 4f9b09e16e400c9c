"""Waiting, for a bounded time, until what was restored also runs."""

import asyncio

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DEPLOYMENTS, STATEFUL_SETS
from app.workflows.world import InstanceSession

POLL_SECONDS = 0.25


async def wait_for_workloads(session: InstanceSession) -> list[str]:
    """Deployments and StatefulSets that are still not ready when the time is up; normally none."""
    kube = await session.kube()
    not_ready = await list_not_ready(kube)
    try:
        async with asyncio.timeout(session.rules().workloads_timeout_seconds):
            while not_ready:
                await asyncio.sleep(POLL_SECONDS)
                not_ready = await list_not_ready(kube)
    except TimeoutError:
        return not_ready
    return []


async def list_not_ready(kube: KubeClient) -> list[str]:
    """``kind namespace/name (ready/desired)`` of every workload with fewer ready replicas than it wants."""
    found = []
    for resource in (DEPLOYMENTS, STATEFUL_SETS):
        for workload in (await kube.list(resource)).items:
            desired = workload["spec"].get("replicas", 1)
            ready = (workload.get("status") or {}).get("readyReplicas", 0)
            if ready < desired:
                metadata = workload["metadata"]
                found.append(f"{resource.kind} {metadata['namespace']}/{metadata['name']} ({ready}/{desired})")
    return found
