"""Making a backup that only the bucket knows known to Velero, without waiting a minute for its sync."""

from collections.abc import Callable
from typing import Any

from app.documents import UnreadableDocument, read_json, read_packed_json
from app.errors import BackupNotFound
from app.storage import layout
from app.storage.errors import ObjectDamaged, ObjectNotFound
from app.workflows.world import InstanceSession


async def import_backup(session: InstanceSession, name: str) -> None:
    """Post the Backup with its status from the bucket's own metadata; one that is there already is success."""
    velero = await session.velero()
    if (found := await velero.find_backup(name)) is not None:
        # An import that was cut short may have left out its volumes.
        await velero.import_volumes(found, await pod_volume_backups(session, name))
        return
    store = await session.objects()
    try:
        content = await store.get(layout.metadata_key(name))
    except ObjectNotFound:
        raise BackupNotFound(
            f"backup {name!r} is not in the bucket of instance {session.instance!r}",
            remedy=f"List what there is with GET /instances/{session.instance}/backups.",
            backup=name,
        ) from None
    metadata = _readable(read_json, content, layout.metadata_key(name))
    await velero.import_backup(metadata, await pod_volume_backups(session, name))


async def pod_volume_backups(session: InstanceSession, name: str) -> list[dict[str, object]]:
    """The backup's PodVolumeBackups as the bucket has them; empty where no volume was saved."""
    store = await session.objects()
    try:
        packed = await store.get(layout.pod_volume_backups_key(name))
    except ObjectNotFound:
        return []
    volumes: list[dict[str, object]] = _readable(read_packed_json, packed, layout.pod_volume_backups_key(name)) or []
    return volumes


def _readable(read: Callable[[bytes], Any], content: bytes, key: str) -> Any:
    try:
        return read(content)
    except UnreadableDocument as error:
        raise ObjectDamaged(f"{key} cannot be read: {error}") from None
