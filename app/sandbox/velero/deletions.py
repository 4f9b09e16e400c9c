"""DeleteBackupRequests: a backup leaves the bucket together with its Restores and its CR."""

import asyncio
import logging

from app.sandbox.objects import (
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    Object,
    label_value,
    labels_of,
    name_of,
    phase_of,
    spec_of,
)
from app.sandbox.velero import layout
from app.sandbox.velero.bucket import StoreError
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS, BACKUPS, DELETE_BACKUP_REQUESTS, RESTORES
from app.sandbox.velero.locations import available, open_bucket
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

_UNFINISHED = {
    "Queued", "ReadyToStart", "InProgress", "WaitingForPluginOperations",
    "WaitingForPluginOperationsPartiallyFailed", "Finalizing", "FinalizingPartiallyFailed",
}  # fmt: skip
_RESTORE_POLLS = 60
log = logging.getLogger(__name__)


class Rejected(Exception):
    """The request ends Processed with this text among its errors; the backup stays."""


class DeletionController:
    """One request at a time. Success leaves neither the Backup nor any request for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("backup-deletion", self._reconcile)
        world.informer(DELETE_BACKUP_REQUESTS).subscribe(self._on_event)

    def _on_event(self, event: str, request: Object) -> None:
        if event != "DELETED" and phase_of(request) in {"", "New"}:
            self.queue.add(name_of(request))

    async def _reconcile(self, name: str) -> None:
        request = await self._world.find(DELETE_BACKUP_REQUESTS, name)
        if request is None or phase_of(request) not in {"", "New"}:
            return
        backup_name = str(spec_of(request).get("backupName") or "")
        try:
            await self._drop_requests(backup_name, keep=name)
            backup, location = await self._checked(backup_name)
            await self._claim(request, backup)
            await self._world.switches.reached("deletion", "InProgress", backup_name)
            await self._delete(backup, location)
        except (Rejected, StoreError) as error:
            log.warning("deletion of backup %s: %s", backup_name, error)
            await self._world.patch_status(DELETE_BACKUP_REQUESTS, request, phase="Processed", errors=[str(error)])
            return
        await self._drop_requests(backup_name, keep="")

    async def _drop_requests(self, backup_name: str, keep: str) -> None:
        listed = await self._world.api.list(DELETE_BACKUP_REQUESTS, self._world.options.namespace)
        for other in listed.items:
            if spec_of(other).get("backupName") == backup_name and name_of(other) != keep:
                await self._world.api.delete(DELETE_BACKUP_REQUESTS, name_of(other), self._world.options.namespace)

    async def _checked(self, name: str) -> tuple[Object, Object]:
        """The backup and its location, if the backup may be deleted."""
        if not name:
            raise Rejected("spec.backupName is required")
        backup = await self._world.find(BACKUPS, name)
        if backup is None:
            raise Rejected("backup not found")
        if phase_of(backup) in _UNFINISHED:
            raise Rejected("backup is still in progress")
        location_name = spec_of(backup).get("storageLocation", "")
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, location_name)
        if location is None:
            raise Rejected(f"backup storage location {location_name} not found")
        if spec_of(location).get("accessMode") == "ReadOnly":
            raise Rejected(
                f"cannot delete backup because backup storage location {location_name} is currently in read-only mode"
            )
        if not available(location):
            raise Rejected(
                f"cannot delete backup because backup storage location {location_name} "
                "is currently in Unavailable state"
            )
        return backup, location

    async def _claim(self, request: Object, backup: Object) -> None:
        labels = {
            BACKUP_NAME_LABEL: label_value(name_of(backup)),
            BACKUP_UID_LABEL: backup["metadata"]["uid"],
        }
        patch = {"metadata": {"labels": labels}, "status": {"phase": "InProgress"}}
        await self._world.patch(DELETE_BACKUP_REQUESTS, name_of(request), patch)
        await self._world.patch_status(BACKUPS, backup, phase="Deleting")

    async def _delete(self, backup: Object, location: Object) -> None:
        name, namespace = name_of(backup), self._world.options.namespace
        bucket = await open_bucket(self._world, location)
        # Restores first: their finalizer finds the bucket through this backup.
        await self._delete_restores(name)
        await bucket.delete_below(layout.backup_prefix(name))
        await self._world.api.delete(BACKUPS, name, namespace)

    async def _delete_restores(self, backup_name: str) -> None:
        """Polled each second for at most a minute, as the real server does."""
        namespace = self._world.options.namespace
        for attempt in range(_RESTORE_POLLS):
            listed = await self._world.api.list(RESTORES, namespace)
            names = [name_of(item) for item in listed.items if spec_of(item).get("backupName") == backup_name]
            if not names:
                return
            if attempt == 0:
                for name in names:
                    await self._world.api.delete(RESTORES, name, namespace)
            await asyncio.sleep(0.05 if attempt == 0 else 1)
        log.warning("restores of backup %s still exist", backup_name)


def requested_for(backup: Object, request: Object) -> bool:
    """Whether a request is for this very backup, not an older one of the same name."""
    same_uid = labels_of(request).get(BACKUP_UID_LABEL) in {None, backup["metadata"]["uid"]}
    return spec_of(request).get("backupName") == name_of(backup) and same_uid
