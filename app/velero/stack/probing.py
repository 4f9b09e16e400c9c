"""Whether Velero, from its own pod, can use a store, tried before anything depends on it."""

import contextlib
from typing import Any

from app import phases
from app.errors import StepTimeout, StoreNotReachedFromCluster
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import SECRETS
from app.settings import StackSettings
from app.velero.models import BACKUP_STORAGE_LOCATIONS, parse_location
from app.velero.stack import manifests
from app.velero.stack.manifests import ExternalPlace

#: Beside our own location for as long as the question takes.
PROBE_LOCATION = "kecs-state-probe"
PROBE_SECONDS = 20.0


async def probe_store(kube: KubeClient, settings: StackSettings, place: ExternalPlace | str) -> None:
    """Let Velero validate a store, or the MinIO at a Service's address; it must be awake.

    Raises ``StoreNotReachedFromCluster``, which may pass, with what Velero says of it.
    """
    if isinstance(place, ExternalPlace):
        await kube.apply(SECRETS, manifests.external_credentials_manifest(settings, place))
        manifest = manifests.external_location_manifest(settings, PROBE_LOCATION, place)
    else:
        manifest = manifests.adopted_location_manifest(settings, PROBE_LOCATION, place)
    # One that an interrupted run has left may have been validated long ago.
    await kube.delete(BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace)
    found = None
    try:
        await kube.apply(BACKUP_STORAGE_LOCATIONS, manifest)
        with contextlib.suppress(StepTimeout):
            found = await kube.wait_for(
                BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace, _is_judged, timeout_seconds=PROBE_SECONDS
            )
    finally:
        await kube.delete(BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace)
    status = parse_location(found).status if found is not None else None
    if status is None or status.phase != phases.AVAILABLE:
        url = manifest["spec"]["config"]["s3Url"]
        said = status.message if status is not None else "no answer in time"
        raise StoreNotReachedFromCluster(
            f"Velero cannot use {url} from its pod: {said}"[:1000],
            remedy="The cluster may know the store by another address: KECS_STATE_STORAGE__CLUSTER_ENDPOINT.",
            endpoint=url,
        )


def _is_judged(found: dict[str, Any] | None) -> bool:
    return found is not None and bool(parse_location(found).status.phase)
