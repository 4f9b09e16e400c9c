"""Garbage collection: a Backup past its ``status.expiration`` gets a DeleteBackupRequest."""

import asyncio

from app.sandbox.objects import (
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    Object,
    label_value,
    name_of,
    phase_of,
    spec_of,
    status_of,
)
from app.sandbox.times import now, parse_timestamp
from app.sandbox.velero.deletions import requested_for
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS, BACKUPS, DELETE_BACKUP_REQUESTS
from app.sandbox.velero.locations import available
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

TICK_SECONDS = 3600
_GC_FAILURE = "velero.io/gc-failure"


class ExpiryController:
    """On every Backup that appears (also at start) and every hour; no look at its phase."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("gc", self._reconcile)
        world.informer(BACKUPS).subscribe(self._on_event)

    def _on_event(self, event: str, backup: Object) -> None:
        if event == "ADDED":
            self.queue.add(name_of(backup))

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for name in self._world.cached(BACKUPS):
                self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        backup = await self._world.find(BACKUPS, name)
        expiration = status_of(backup).get("expiration") if backup else None
        if backup is None or not expiration or now() < parse_timestamp(expiration) or phase_of(backup) == "Deleting":
            return
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, spec_of(backup).get("storageLocation", ""))
        if location is None or spec_of(location).get("accessMode") == "ReadOnly":
            reason = "BSLNotFound" if location is None else "BSLReadOnly"
            await self._world.patch(BACKUPS, name, {"metadata": {"labels": {_GC_FAILURE: reason}}})
        elif not available(location):
            self.queue.add_later(name, 5)
        elif not any(requested_for(backup, other) for other in self._world.cached(DELETE_BACKUP_REQUESTS).values()):
            await self._world.api.create(DELETE_BACKUP_REQUESTS, _request(backup), self._world.options.namespace)


def _request(backup: Object) -> Object:
    labels = {BACKUP_NAME_LABEL: label_value(name_of(backup)), BACKUP_UID_LABEL: backup["metadata"]["uid"]}
    return {
        "apiVersion": DELETE_BACKUP_REQUESTS.api_version,
        "kind": DELETE_BACKUP_REQUESTS.kind,
        "metadata": {"generateName": f"{name_of(backup)}-", "labels": labels},
        "spec": {"backupName": name_of(backup)},
        "status": {},
    }
