"""Backup sync: what only the bucket knows becomes a Backup CR, and a CR whose backup is gone goes too.

A tick every sixty seconds, the first at start: on a new cluster that one is lost, because the location
has not been validated yet.
"""

import asyncio
import json
import logging
from datetime import timedelta

from app.sandbox.apiclient import ApiError
from app.sandbox.objects import (
    STORAGE_LOCATION_LABEL,
    Object,
    label_value,
    labels_of,
    name_of,
    phase_of,
    spec_of,
    status_of,
)
from app.sandbox.times import now, parse_duration, parse_timestamp, timestamp
from app.sandbox.velero import layout
from app.sandbox.velero.bucket import Bucket, StoreError
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS, BACKUPS
from app.sandbox.velero.locations import available, open_bucket
from app.sandbox.velero.world import World

TICK_SECONDS = 60
_FINISHED = {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
log = logging.getLogger(__name__)


class BackupSync:
    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        while True:
            for location in list(self._world.cached(BACKUP_STORAGE_LOCATIONS).values()):
                if available(location) and self._due(location):
                    await self._sync(location)
            await asyncio.sleep(TICK_SECONDS)

    def _due(self, location: Object) -> bool:
        default = parse_duration(self._world.options.sync_period, timedelta(minutes=1))
        period = parse_duration(spec_of(location).get("backupSyncPeriod"), default)
        last = status_of(location).get("lastSyncedTime")
        return bool(period) and (not last or now() >= parse_timestamp(last) + period)

    async def _sync(self, location: Object) -> None:
        try:
            bucket = await open_bucket(self._world, location)
            # SeaweedFS keeps a folder whose last object is gone, MinIO does not.
            folders = await bucket.names_below(layout.BACKUPS)
            stored = {name for name in folders if await bucket.keys(f"{layout.BACKUPS}{name}/")}
            known = await self._world.api.list(BACKUPS, self._world.options.namespace)
            names = {name_of(backup) for backup in known.items}
            for name in sorted(stored - names):
                await self._import(bucket, name, name_of(location))
            for backup in known.items:
                if self._orphaned(backup, location, stored):
                    await self._world.api.delete(BACKUPS, name_of(backup), self._world.options.namespace)
            await self._world.patch_status(BACKUP_STORAGE_LOCATIONS, location, lastSyncedTime=timestamp(now()))
        except (StoreError, ApiError) as error:
            log.warning("Error syncing backups of %s: %s", name_of(location), error)

    @staticmethod
    def _orphaned(backup: Object, location: Object, stored: set[str]) -> bool:
        here = labels_of(backup).get(STORAGE_LOCATION_LABEL) == label_value(name_of(location))
        return here and phase_of(backup) in {"Completed", "PartiallyFailed"} and name_of(backup) not in stored

    async def _import(self, bucket: Bucket, name: str, location: str) -> None:
        raw = await bucket.find(layout.backup_metadata(name))
        if raw is None:
            return
        try:
            saved = json.loads(raw)
            if phase_of(saved) not in _FINISHED or name_of(saved) != name:
                return
        except (ValueError, LookupError, TypeError) as error:
            log.warning("Error getting metadata of backup %s: %s", name, error)
            return
        metadata = {
            "name": name,
            "namespace": self._world.options.namespace,
            "labels": labels_of(saved) | {STORAGE_LOCATION_LABEL: label_value(location)},
            "annotations": saved["metadata"].get("annotations") or {},
        }
        body = {
            "apiVersion": BACKUPS.api_version,
            "kind": BACKUPS.kind,
            "metadata": metadata,
            "spec": {**spec_of(saved), "storageLocation": location},
            "status": status_of(saved),
        }
        await self._world.api.create(BACKUPS, body, self._world.options.namespace)
        log.info("Successfully synced backup %s into cluster", name)
