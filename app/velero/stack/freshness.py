"""Whether a running Velero knows every type the API server offers.

It asks only at its start and then every five minutes, and leaves a type it does not know out of a backup without a
word. So a server that stays up between jobs is restarted when a type may be newer than its start. Its own types, which
no backup holds, are no reason: they are made right before it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import API_SERVICES, CRDS, PODS
from app.settings import StackSettings
from app.velero.models import GROUP, created_at
from app.velero.stack.manifests import VELERO

VELERO_PODS = f"deploy={VELERO}"
#: A type may be served a moment later than its definition says, and Velero asks a moment after its pod was made.
MARGIN = timedelta(seconds=10)


async def knowledge_is_old(kube: KubeClient, settings: StackSettings) -> bool:
    """Whether a type may have come to be served after Velero asked for what there is."""
    pods, definitions, services = await side_by_side(
        kube.list(PODS, settings.namespace, label_selector=VELERO_PODS),
        kube.list(CRDS, metadata_only=True),
        kube.list(API_SERVICES),
    )
    started = [made for pod in pods.items if (made := created_at(pod)) is not None]
    since = [
        *(created_at(item) for item in definitions.items if not item["metadata"]["name"].endswith(f".{GROUP}")),
        *(available_since(item) for item in services.items if item["spec"].get("group") != GROUP),
    ]
    return is_old(started, [moment for moment in since if moment is not None])


def is_old(started: list[datetime], served_since: list[datetime]) -> bool:
    """The rule itself: when Velero's pods were made, and since when each type has been served."""
    return bool(started and served_since) and max(served_since) >= min(started) - MARGIN


def available_since(service: dict[str, Any]) -> datetime | None:
    """Since when an API group has been answering; None for one that does not: its types are in no backup anyway."""
    for condition in (service.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Available" and condition["status"] == "True":
            moment = condition.get("lastTransitionTime")
            return datetime.fromisoformat(moment).astimezone(UTC) if moment else created_at(service)
    return None
