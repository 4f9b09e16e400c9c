"""The life of a Restore: validation, run, artefacts, finalising, and what its deletion must clean up."""

import asyncio
import logging
from typing import Any

import aiohttp

from app.sandbox.apiclient import ApiError, ResourceType
from app.sandbox.objects import RESTORE_FINALIZER, Object, labels_of, name_of, phase_of, spec_of, status_of
from app.sandbox.times import now, timestamp
from app.sandbox.velero import layout
from app.sandbox.velero.archive import ArchiveError, gzipped_json, read_archive
from app.sandbox.velero.bucket import Bucket, StoreError
from app.sandbox.velero.filters import NameFilter, matches_name
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS, BACKUPS, RESTORES
from app.sandbox.velero.locations import available, open_bucket
from app.sandbox.velero.oplog import OperationLog
from app.sandbox.velero.podvolumes import PodVolumeData
from app.sandbox.velero.policies import FilterPolicy
from app.sandbox.velero.preparing import read_policy
from app.sandbox.velero.restore_plan import CRDS, NON_RESTORABLE, RestoreScope, planned_items
from app.sandbox.velero.restoring import Restorer
from app.sandbox.velero.transforming import RestoreRules
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

_DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", namespaced=True)
_POLICIES = ("", "none", "update")
log = logging.getLogger(__name__)


class RestoreController:
    """One Restore at a time. Deleted ones give up their finalizer when their artefacts are gone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("restore", self._reconcile)
        world.informer(RESTORES).subscribe(self._on_event)

    def _on_event(self, event: str, restore: Object) -> None:
        deleting = "deletionTimestamp" in restore["metadata"]
        if event != "DELETED" and (deleting or phase_of(restore) in {"", "New"}):
            self.queue.add(name_of(restore))

    async def _reconcile(self, name: str) -> None:
        restore = await self._world.find(RESTORES, name)
        if restore is None:
            return
        if "deletionTimestamp" in restore["metadata"]:
            await self._clean_up(restore)
        elif phase_of(restore) in {"", "New"}:
            await self._process(restore)

    async def _process(self, restore: Object) -> None:
        name = name_of(restore)
        backup, errors = await self._source(restore)
        policy, policy_errors = await read_policy(
            self._world.api, self._world.options.namespace, spec_of(restore).get("resourcePolicy")
        )
        errors = _spec_errors(spec_of(restore)) + errors + policy_errors
        patch = _prepared(restore, backup)
        if errors or backup is None:
            patch["status"] = {"phase": "FailedValidation", "validationErrors": errors}
            await self._world.patch(RESTORES, name, patch)
            return
        patch["status"] = {"phase": "InProgress", "startTimestamp": timestamp(now())}
        restore = await self._world.patch(RESTORES, name, patch)
        await self._world.switches.reached("restore", "InProgress", name)
        try:
            outcome = await RestoreRun(self._world, restore, backup, policy).execute()
        except (StoreError, ArchiveError, ApiError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.exception("restore failed")
            outcome = {"phase": "Failed", "failureReason": str(error), "completionTimestamp": timestamp(now())}
        await self._world.patch(RESTORES, name, {"status": outcome})

    async def _source(self, restore: Object) -> tuple[Object | None, list[str]]:
        """The backup to restore from, if its location can be read."""
        name, schedule = spec_of(restore).get("backupName"), spec_of(restore).get("scheduleName")
        if bool(name) == bool(schedule):
            return None, ["Either a backup or schedule must be specified as a source for the restore, but not both"]
        if schedule:
            backup = self._newest_of(schedule)
            if backup is None:
                return None, ["No completed backups found for schedule"]
        else:
            backup = await self._world.find(BACKUPS, str(name))
            if backup is None:
                return None, [f'Error retrieving backup: backups.velero.io "{name}" not found']
        location_name = spec_of(backup).get("storageLocation", "")
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, location_name)
        if location is None:
            reason = f'backupstoragelocations.velero.io "{location_name}" not found'
            return None, [f"Error retrieving backup: error getting backup storage location: {reason}"]
        if not available(location):
            return None, [f"The BSL {location_name} is unavailable, cannot retrieve the backup"]
        return backup, []

    def _newest_of(self, schedule: str) -> Object | None:
        finished = [
            backup
            for backup in self._world.cached(BACKUPS).values()
            if labels_of(backup).get("velero.io/schedule-name") == schedule and phase_of(backup) == "Completed"
        ]
        return max(finished, key=lambda backup: str(status_of(backup).get("startTimestamp")), default=None)

    async def _clean_up(self, restore: Object) -> None:
        finalizers = restore["metadata"].get("finalizers") or []
        if RESTORE_FINALIZER not in finalizers:
            return
        bucket = await self._bucket_of(restore)
        if bucket is not None:
            await bucket.delete_below(layout.restore_prefix(name_of(restore)))
        rest = [finalizer for finalizer in finalizers if finalizer != RESTORE_FINALIZER]
        await self._world.patch(RESTORES, name_of(restore), {"metadata": {"finalizers": rest}})

    async def _bucket_of(self, restore: Object) -> Bucket | None:
        """None when nobody can tell any more where the artefacts are."""
        backup = await self._world.find(BACKUPS, spec_of(restore).get("backupName") or "-")
        if backup is None:
            return None
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, spec_of(backup).get("storageLocation", ""))
        return None if location is None else await open_bucket(self._world, location)


def _prepared(restore: Object, backup: Object | None) -> Object:
    """Finalizer and the kinds that are never restored are written before the run."""
    excluded = list(spec_of(restore).get("excludedResources") or ())
    excluded += [kind for kind in NON_RESTORABLE if kind not in excluded]
    finalizers = list(restore["metadata"].get("finalizers") or ())
    if RESTORE_FINALIZER not in finalizers:
        finalizers.append(RESTORE_FINALIZER)
    spec: Object = {
        "excludedResources": excluded,
        "itemOperationTimeout": spec_of(restore).get("itemOperationTimeout") or "4h0m0s",
    }
    if backup is not None:
        spec["backupName"] = name_of(backup)
    return {"metadata": {"finalizers": finalizers}, "spec": spec}


def _spec_errors(spec: Object) -> list[str]:
    wanted = set(spec.get("includedResources") or ()) & set(NON_RESTORABLE)
    errors = [f"{kind} are non-restorable resources" for kind in sorted(wanted)]
    for what in ("resource", "namespace"):
        included, excluded = spec.get(f"included{what.title()}s"), spec.get(f"excluded{what.title()}s")
        found = NameFilter.of(included, excluded).errors()
        errors += [f"Invalid included/excluded {what} lists: {problem}" for problem in found]
    if spec.get("labelSelector") and spec.get("orLabelSelectors"):
        errors.append(
            "encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified"
        )
    if str(spec.get("existingResourcePolicy") or "").lower() not in _POLICIES:
        errors.append(f"Invalid ExistingResourcePolicy: {spec['existingResourcePolicy']}")
    if spec.get("resourceModifier"):
        errors.append("resource modifiers are not part of the sandbox's Velero emulator")
    return errors


class RestoreRun:
    """One execution. Whatever it raises ends the Restore as Failed."""

    def __init__(self, world: World, restore: Object, backup: Object, policy: FilterPolicy) -> None:
        self._world, self._restore, self._backup, self._policy = world, restore, backup, policy
        self._name = name_of(restore)
        self._total = 0
        self._log = OperationLog(f"restore={world.options.namespace}/{self._name}")

    async def execute(self) -> Object:
        """The status that is to be patched: one of the Finalizing phases."""
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, spec_of(self._backup)["storageLocation"])
        if location is None:
            raise StoreError("the backup storage location is gone")
        bucket = await open_bucket(self._world, location)
        try:
            data = await bucket.get(layout.backup_contents(name_of(self._backup)))
        except StoreError as error:
            raise StoreError(f"error downloading backup: {error}") from error
        contents = await asyncio.to_thread(read_archive, data)
        restorer = Restorer(self._world, self._rules(), self._log, contents, self._tell)
        volumes = await PodVolumeData.of(self._world, self._restore, name_of(self._backup), self._log)
        restorer.volumes = volumes
        if (spec_of(self._restore).get("hooks") or {}).get("resources"):
            self._log.warn("hooks are not run by the sandbox's Velero emulator", None)
        restorer.update_existing = str(spec_of(self._restore).get("existingResourcePolicy")).lower() == "update"
        if await self._world.api.find(_DEPLOYMENTS, "velero", self._world.options.namespace) is None:
            # The real server's pod volume action reads it while it is made; without it nothing is restored.
            self._log.error('deployments.apps "velero" not found', None)
        else:
            await self._restore_all(restorer, contents)
            await volumes.wait()
        await self._upload(bucket, restorer)
        outcome: dict[str, Any] = {
            "phase": "FinalizingPartiallyFailed" if self._log.errors else "Finalizing",
            "progress": {"totalItems": restorer.count, "itemsRestored": restorer.count},
        }
        counts = (("errors", self._log.errors), ("warnings", self._log.warnings))
        return outcome | {name: count for name, count in counts if count}

    async def _restore_all(self, restorer: Restorer, contents: Any) -> None:
        """Definitions first, in a pass of their own: the rest is planned with the kinds they bring."""
        definitions = {key: data for key, data in contents.items() if key.resource == CRDS}
        await restorer.restore(planned_items(definitions, self._scope(), self._world.discovery))
        others = {key: data for key, data in contents.items() if key.resource != CRDS}
        items = list(planned_items(others, self._scope(), self._world.discovery))
        self._total = restorer.count + len(items)
        await self._tell(restorer.count)
        await self._world.switches.reached("restore", "Restoring", self._name)
        await restorer.restore(items)

    async def _tell(self, done: int) -> None:
        """Before the second pass is planned the total is what is done."""
        progress = {"totalItems": max(self._total, done), "itemsRestored": done}
        await self._world.patch_status(RESTORES, self._restore, progress=progress)

    def _scope(self) -> RestoreScope:
        return RestoreScope.of(spec_of(self._restore), self._world.discovery, self._policy)

    def _rules(self) -> RestoreRules:
        spec = spec_of(self._restore)
        status = spec.get("restoreStatus") or {}
        included, excluded = tuple(status.get("includedResources") or ()), tuple(status.get("excludedResources") or ())
        return RestoreRules(
            backup_name=name_of(self._backup),
            restore_name=self._name,
            namespace_mapping=spec.get("namespaceMapping") or {},
            preserve_node_ports=bool(spec.get("preserveNodePorts")),
            keeps_status=lambda kind: matches_name(kind, included) and not matches_name(kind, excluded),
        )

    async def _upload(self, bucket: Bucket, restorer: Restorer) -> None:
        """A log that cannot be stored is an error; the other artefacts are only missed in the server's log."""
        listed = {kind: sorted(entries) for kind, entries in sorted(restorer.outcomes.items())}
        try:
            await bucket.put(layout.restore_file(self._name, "logs.gz"), self._log.text())
        except StoreError as error:
            self._log.error(f"error uploading restore log: {error}", None)
        artefacts = {
            layout.restore_file(self._name, "results.gz"): self._log.results(),
            layout.restore_file(self._name, "resource-list.json.gz"): gzipped_json(listed),
            layout.restore_file(self._name, "itemoperations.json.gz"): gzipped_json([]),
            layout.restore_volume_info(self._name): gzipped_json([]),
        }
        for key, data in artefacts.items():
            try:
                await bucket.put(key, data)
            except StoreError:
                log.exception("error uploading %s", key)


class RestoreFinalizer:
    """Finalizing -> Completed, FinalizingPartiallyFailed -> PartiallyFailed."""

    _DONE = {"Finalizing": "Completed", "FinalizingPartiallyFailed": "PartiallyFailed"}

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("restore-finalizer", self._reconcile)
        world.informer(RESTORES).subscribe(self._on_event)

    def _on_event(self, event: str, restore: Object) -> None:
        if event != "DELETED" and phase_of(restore) in self._DONE:
            self.queue.add(name_of(restore))

    async def _reconcile(self, name: str) -> None:
        restore = await self._world.find(RESTORES, name)
        if restore is None or phase_of(restore) not in self._DONE:
            return
        await self._world.switches.reached("restore", "Finalizing", name)
        await self._world.patch_status(
            RESTORES, restore, phase=self._DONE[phase_of(restore)], completionTimestamp=timestamp(now())
        )
