"""Whether Velero, from its own pod, can use a store, tried before anything depends on it."""

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

    Raises ``StoreNotReachedFromCluster`` with what Velero says of it.
    """
    if isinstance(place, ExternalPlace):
        await kube.apply(SECRETS, manifests.external_credentials_manifest(settings, place))
        manifest = manifests.external_location_manifest(settings, PROBE_LOCATION, place)
    else:
        manifest = manifests.adopted_location_manifest(settings, PROBE_LOCATION, place)
    # One that an interrupted run has left may have been validated long ago.
    await kube.delete(BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace)
    try:
        await kube.apply(BACKUP_STORAGE_LOCATIONS, manifest)
        await kube.wait_for(
            BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace, _is_available, timeout_seconds=PROBE_SECONDS
        )
    except StepTimeout as error:
        raise await _not_reached(kube, settings, manifest) from error
    finally:
        await kube.delete(BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace)


def _is_available(found: dict[str, Any] | None) -> bool:
    return found is not None and parse_location(found).status.phase == phases.AVAILABLE


async def _not_reached(
    kube: KubeClient, settings: StackSettings, manifest: manifests.Manifest
) -> StoreNotReachedFromCluster:
    url = manifest["spec"]["config"]["s3Url"]
    found = await kube.find(BACKUP_STORAGE_LOCATIONS, PROBE_LOCATION, settings.namespace)
    said = parse_location(found).status.message if found is not None else ""
    return StoreNotReachedFromCluster(
        f"Velero cannot use {url} from its pod: {said or 'no answer in time'}"[:1000],
        remedy="The cluster may know the store by another address: KECS_STATE_STORAGE__CLUSTER_ENDPOINT.",
        endpoint=url,
    )
