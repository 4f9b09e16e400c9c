"""The life of a Backup: queue, run, upload, finalise."""

import asyncio
import json
import logging
from typing import Any

import aiohttp

from app.sandbox.apiclient import ApiError
from app.sandbox.objects import (
    Object,
    merge_patch_between,
    name_of,
    namespace_of,
    phase_of,
    spec_of,
    status_of,
)
from app.sandbox.times import now, timestamp
from app.sandbox.velero import layout
from app.sandbox.velero.archive import Item, gzipped_json, write_archive
from app.sandbox.velero.bucket import Bucket, StoreError
from app.sandbox.velero.collector import Collector
from app.sandbox.velero.damage import damage_backup
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS, BACKUPS
from app.sandbox.velero.locations import open_bucket
from app.sandbox.velero.oplog import OperationLog
from app.sandbox.velero.podvolumes import PodVolumes
from app.sandbox.velero.preparing import Prepared, prepare
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

log = logging.getLogger(__name__)


class BackupQueue:
    """New -> Queued -> ReadyToStart. What runs is remembered in memory only, as in the real server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: set[str] = set()
        self.queue = WorkQueue("backup-queue", self._reconcile)
        world.informer(BACKUPS).subscribe(self._on_event)

    def _on_event(self, event: str, backup: Object) -> None:
        name, phase = name_of(backup), phase_of(backup)
        if event == "DELETED" or phase not in {"", "New", "Queued", "ReadyToStart", "InProgress"}:
            self._running.discard(name)
            for other, waiting in self._world.cached(BACKUPS).items():
                if phase_of(waiting) == "Queued":
                    self.queue.add(other)
        elif phase in {"", "New", "Queued"}:
            self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        backup = await self._world.find(BACKUPS, name)
        if backup is None:
            return
        if phase_of(backup) in {"", "New"}:
            waiting = sum(phase_of(other) == "Queued" for other in self._world.cached(BACKUPS).values())
            await self._world.patch_status(BACKUPS, backup, phase="Queued", queuePosition=waiting + 1)
        elif phase_of(backup) == "Queued" and self._may_run(backup):
            self._running.add(name)
            await self._world.switches.reached("backup", "Queued", name)
            await self._world.patch_status(BACKUPS, backup, phase="ReadyToStart", queuePosition=None)

    def _may_run(self, backup: Object) -> bool:
        """A backup that is ahead and takes the same namespaces blocks, even one nobody runs any more."""
        if len(self._running) >= self._world.options.concurrent_backups:
            return False
        ahead = (other for other in self._world.cached(BACKUPS).values() if name_of(other) != name_of(backup))
        return not any(phase_of(other) in {"ReadyToStart", "InProgress"} and _overlap(backup, other) for other in ahead)


def _overlap(first: Object, second: Object) -> bool:
    mine, other = (set(spec_of(backup).get("includedNamespaces") or ["*"]) for backup in (first, second))
    return "*" in mine | other or bool(mine & other)


class BackupController:
    """Runs one Backup at a time, and only one it has *seen* become ReadyToStart: after a restart of the server
    such a Backup waits until somebody edits it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("backup", self._reconcile)
        world.informer(BACKUPS).subscribe(self._on_event)

    def _on_event(self, event: str, backup: Object) -> None:
        if event == "MODIFIED" and phase_of(backup) == "ReadyToStart":
            self.queue.add(name_of(backup))

    async def _reconcile(self, name: str) -> None:
        backup = await self._world.find(BACKUPS, name)
        if backup is None or phase_of(backup) != "ReadyToStart":
            return
        await self._world.switches.reached("backup", "ReadyToStart", name)
        prepared = await prepare(self._world, backup)
        status = prepared.patch["status"]
        if prepared.errors:
            status |= {"phase": "FailedValidation", "validationErrors": prepared.errors}
            await self._world.patch(BACKUPS, name, prepared.patch)
            return
        status |= {"phase": "InProgress", "startTimestamp": timestamp(now())}
        backup = await self._world.patch(BACKUPS, name, prepared.patch)
        await self._world.switches.reached("backup", "InProgress", name)
        if self._world.switches.vanishes():
            await self._world.api.delete(BACKUPS, name, self._world.options.namespace)
            return
        run = BackupRun(self._world, backup, prepared)
        try:
            outcome = await run.execute()
        except (StoreError, ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.exception("backup failed")
            outcome = run.failed(str(error))
        await self._world.patch(BACKUPS, name, {"status": outcome})


class BackupRun:
    """One execution: collect, write, upload. Whatever it raises ends the Backup as Failed."""

    def __init__(self, world: World, backup: Object, prepared: Prepared) -> None:
        self._world, self._backup, self._prepared = world, backup, prepared
        self._name = name_of(backup)
        self._log = OperationLog(f"backup={world.options.namespace}/{self._name}")
        self._volumes = PodVolumes(world, backup, self._log)

    def failed(self, reason: str) -> Object:
        return {"phase": "Failed", "failureReason": reason, "completionTimestamp": timestamp(now())}

    async def execute(self) -> Object:
        """The status that is to be patched: Finalizing, or Failed."""
        if self._prepared.location is None:
            raise StoreError("the backup storage location is gone")
        bucket = await open_bucket(self._world, self._prepared.location)
        try:
            exists = await bucket.exists(layout.backup_metadata(self._name))
        except StoreError as error:
            raise StoreError(
                f"backup execution failed: error checking if backup already exists in object storage: {error}"
            ) from error
        if exists:
            return self.failed("backup already exists in object storage")
        items = await self._collect()
        await self._volumes.save(items)
        contents = await asyncio.to_thread(write_archive, items)
        await self._world.switches.reached("backup", "Uploading", self._name)
        return await self._upload(bucket, items, contents)

    async def _collect(self) -> list[Item]:
        self._log.info("Setting up backup log")
        collector = Collector(self._world.api, self._world.discovery, self._prepared.scope, self._log)
        items = await collector.collect()
        for item in items:
            place = f"{namespace_of(item.content)}/".lstrip("/")
            self._log.info(f"Backed up {item.resource.name} {place}{name_of(item.content)}")
        if (spec_of(self._backup).get("hooks") or {}).get("resources"):
            self._log.warn("hooks are not run by the sandbox's Velero emulator", None)
        if self._world.switches.backup_phase(self._name) == "PartiallyFailed":
            self._log.error("error backing up item: asked for by a fault switch", None)
        await self._world.patch_status(
            BACKUPS, self._backup, progress={"totalItems": len(items), "itemsBackedUp": len(items)}
        )
        return items

    async def _upload(self, bucket: Bucket, items: list[Item], contents: bytes) -> Object:
        """Log, metadata, tarball, then the small files; metadata and tarball are taken back if one fails."""
        forced = self._world.switches.backup_phase(self._name)
        total = {"totalItems": len(items), "itemsBackedUp": len(items)}
        outcome: Object = {"phase": "FinalizingPartiallyFailed" if self._log.errors else "Finalizing"}
        if forced == "Failed":
            outcome = self.failed("backup failed: asked for by a fault switch")
        outcome |= {"progress": total}
        outcome |= {
            name: count for name, count in (("errors", self._log.errors), ("warnings", self._log.warnings)) if count
        }
        metadata = {**self._backup, "status": {**status_of(self._backup), **outcome}}
        await bucket.put(layout.backup_file(self._name, "logs.gz"), self._log.text())
        await bucket.put(layout.backup_metadata(self._name), json.dumps(metadata).encode())
        try:
            await bucket.put(layout.backup_contents(self._name), contents)
            for suffix, data in self._small_files(items).items():
                await bucket.put(layout.backup_file(self._name, suffix), data)
        except StoreError:
            await bucket.delete(layout.backup_metadata(self._name))
            await bucket.delete(layout.backup_contents(self._name))
            raise
        return outcome

    def _small_files(self, items: list[Item]) -> dict[str, bytes]:
        return {
            "podvolumebackups.json.gz": gzipped_json(self._volumes.made),
            "volumesnapshots.json.gz": gzipped_json([]),
            "itemoperations.json.gz": gzipped_json([]),
            "resource-list.json.gz": gzipped_json(_resource_list(items)),
            "results.gz": self._log.results(),
            "volumeinfo.json.gz": gzipped_json(_volume_info(items) + self._volumes.records()),
        }


def _resource_list(items: list[Item]) -> dict[str, list[str]]:
    """``apps/v1/Deployment`` -> sorted ``namespace/name``."""
    listed: dict[str, list[str]] = {}
    for resource, obj in items:
        namespace = namespace_of(obj)
        entry = f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)
        listed.setdefault(f"{resource.api_version}/{resource.kind}", []).append(entry)
    return {kind: sorted(names) for kind, names in sorted(listed.items())}


def _volume_info(items: list[Item]) -> list[dict[str, Any]]:
    """Claims are directories of the node here, which no backup can hold, so each is listed as skipped."""
    volumes = {name_of(obj): obj for resource, obj in items if resource.name == "persistentvolumes"}
    claims = [obj for resource, obj in items if resource.name == "persistentvolumeclaims"]
    return [
        {
            "pvcName": name_of(claim),
            "pvcNamespace": namespace_of(claim),
            "pvName": (volume_name := spec_of(claim).get("volumeName", "")),
            "snapshotDataMoved": False,
            "preserveLocalSnapshot": False,
            "skipped": True,
            "skippedReason": _skip_reason(volumes.get(volume_name)),
        }
        for claim in claims
    ]


def _skip_reason(volume: Object | None) -> str:
    if volume is not None and "hostPath" in spec_of(volume):
        return "hostPath volumes are not supported for pod volume backup"
    return "no applicable volumesnapshotter found and not selected for pod volume backup"


class BackupFinalizer:
    """Finalizing -> Completed, FinalizingPartiallyFailed -> PartiallyFailed; also for what a restart left behind."""

    _DONE = {"Finalizing": "Completed", "FinalizingPartiallyFailed": "PartiallyFailed"}

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("backup-finalizer", self._reconcile)
        world.informer(BACKUPS).subscribe(self._on_event)

    def _on_event(self, event: str, backup: Object) -> None:
        if event != "DELETED" and phase_of(backup) in self._DONE:
            self.queue.add(name_of(backup))

    async def _reconcile(self, name: str) -> None:
        backup = await self._world.find(BACKUPS, name)
        if backup is None or phase_of(backup) not in self._DONE:
            return
        await self._world.switches.reached("backup", "Finalizing", name)
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, spec_of(backup).get("storageLocation", ""))
        if location is None:
            raise StoreError("the backup storage location is gone")
        final = {"phase": self._DONE[phase_of(backup)], "completionTimestamp": timestamp(now())}
        finished = {**backup, "status": {**status_of(backup), **final}}
        try:
            bucket = await open_bucket(self._world, location)
            await bucket.put(layout.backup_metadata(name), json.dumps(finished).encode())
            await damage_backup(bucket, name, self._world.switches)
        except StoreError:
            # As in the real one: the CR says Completed although the bucket still says Finalizing.
            log.exception("error uploading backup metadata")
        await self._world.patch(BACKUPS, name, merge_patch_between(backup, finished))
