"""Whether a running Velero knows every type the API server offers.

It asks only at its start and then every five minutes, and leaves a type it does not know out of a backup without a
word. So a server that stays up between jobs is restarted when a type may be newer than its knowledge.
"""

from datetime import UTC, datetime, timedelta

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import API_SERVICES, CRDS, PODS
from app.settings import StackSettings
from app.velero.models import created_at
from app.velero.stack.manifests import VELERO

VELERO_PODS = f"deploy={VELERO}"
#: Velero's own refresh comes every five minutes, plus the time it takes.
YOUNG = timedelta(minutes=6)


async def knowledge_is_old(kube: KubeClient, settings: StackSettings, now: datetime | None = None) -> bool:
    """Whether a CRD or APIService is newer than Velero's pod, or young enough to have been missed."""
    moment = now or datetime.now(UTC)
    pods = (await kube.list(PODS, settings.namespace, label_selector=VELERO_PODS)).items
    started = [made for pod in pods if (made := created_at(pod)) is not None]
    lists = await side_by_side(*(kube.list(resource, metadata_only=True) for resource in (CRDS, API_SERVICES)))
    types = [made for found in lists for item in found.items if (made := created_at(item)) is not None]
    return is_old(started, types, moment)


def is_old(started: list[datetime], types: list[datetime], now: datetime) -> bool:
    """The rule itself: creation times of Velero's pods and of types, and the time it is now."""
    if not started or not types:
        return False
    newest = max(types)
    return newest >= min(started) or now - newest < YOUNG
