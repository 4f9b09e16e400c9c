"""Where people reach the bucket: the address for which Velero signs what the Velero CLI downloads."""

from app.kubernetes.client import KubeClient
from app.settings import StackSettings
from app.velero.client import ADOPTED_LOCATION, DEFAULT_LOCATION
from app.velero.models import BACKUP_STORAGE_LOCATIONS
from app.velero.stack.state import stack_state


async def publish(kube: KubeClient, settings: StackSettings, url: str | None) -> None:
    """Set the ``publicUrl`` of our location, or take it away; nothing to do where there is no location."""
    name = ADOPTED_LOCATION if await stack_state(kube, settings) == "foreign" else DEFAULT_LOCATION
    location = await kube.find(BACKUP_STORAGE_LOCATIONS, name, settings.namespace)
    if location is None or (location["spec"].get("config") or {}).get("publicUrl") == url:
        return
    patch = {"spec": {"config": {"publicUrl": url}}}
    await kube.merge_patch(BACKUP_STORAGE_LOCATIONS, name, patch, settings.namespace)
