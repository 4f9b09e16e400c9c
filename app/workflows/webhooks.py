"""Which webhook configurations may come back: those whose backend answers, and those that may fail."""

from pathlib import Path
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import ENDPOINTS
from app.proof.archive import load_objects
from app.proof.models import ObjectKey
from app.workflows.world import InstanceSession


async def ready_webhooks(
    session: InstanceSession, archive: Path, wanted: set[ObjectKey]
) -> tuple[list[ObjectKey], list[ObjectKey]]:
    """Configurations to restore, and those left out because they would reject what they match."""
    kube = await session.kube()
    ready: list[ObjectKey] = []
    left_out: list[ObjectKey] = []
    for key, configuration in load_objects(archive, wanted.__contains__):
        harmless = [await is_harmless(kube, webhook) for webhook in configuration.get("webhooks") or []]
        (ready if all(harmless) else left_out).append(key)
    return ready, left_out


async def is_harmless(kube: KubeClient, webhook: dict[str, Any]) -> bool:
    """Whether a webhook that does not answer does no harm, or its Service has a ready endpoint."""
    service = (webhook.get("clientConfig") or {}).get("service")
    if webhook.get("failurePolicy", "Fail") == "Ignore" or service is None:
        return True
    endpoints = await kube.find(ENDPOINTS, service["name"], service["namespace"])
    return any(subset.get("addresses") for subset in (endpoints or {}).get("subsets") or [])
