"""Velero through its custom resources: creating, adopting, waiting for, importing and deleting them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from app import phases
from app.concurrency import together
from app.errors import BackupFailed, RestoreFailed, StepTimeout
from app.kubernetes.client import KubeClient, WatchEvent
from app.kubernetes.errors import KubernetesAlreadyExists, KubernetesNotFound
from app.kubernetes.resources import CONFIG_MAPS, Resource
from app.names import velero_label_value
from app.velero.bodies import (
    asks_for_the_same,
    custom_resource,
    imported_backup,
    imported_volume,
    ours,
    policy_config_map,
)
from app.velero.errors import BackupDeletionFailed
from app.velero.models import (
    BACKUP_NAME_LABEL,
    BACKUP_STORAGE_LOCATIONS,
    BACKUP_UID_LABEL,
    BACKUPS,
    DELETE_BACKUP_REQUESTS,
    INSTANCE_ID_LABEL,
    JOB_LABEL,
    POD_VOLUME_BACKUPS,
    POD_VOLUME_RESTORES,
    RESTORES,
    SCOPE_LABEL,
    TRY_LABEL,
    Backup,
    Restore,
    created_at,
    parse_backup,
    parse_restore,
)
from app.velero.pod_volumes import PodVolumeOperation, parse_operation
from app.velero.restoring import RestorePlan
from app.velero.scope import Scope, backup_policy, backup_spec
from app.velero.unfinished import UnfinishedWork, list_unfinished

IDLE_SECONDS = 1.0
POLL_SECONDS = 0.1
#: How often a Restore is made again that Velero refused because its cache had not seen the Backup yet.
MOST_REFUSALS = 5
REFUSAL_PAUSE_SECONDS = 0.5
#: Our storage location beside somebody else's Velero; in our own stack it is ``default``.
ADOPTED_LOCATION = "kecs-state"
DEFAULT_LOCATION = "default"

OnBackup = Callable[[Backup], Awaitable[None]]
OnRestore = Callable[[Restore], Awaitable[None]]
_OnEvent = Callable[[dict[str, Any]], Awaitable[bool]]


class VeleroClient:
    """The custom resources of one Velero; ``namespace`` is where it lives.

    While it waits, it looks for itself whenever a watch has said nothing for ``idle_seconds``.
    """

    def __init__(self, kube: KubeClient, namespace: str = "velero", *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._kube = kube
        self._namespace = namespace
        self._idle_seconds = idle_seconds

    async def create_backup(
        self,
        name: str,
        spec: Mapping[str, Any],
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Backup:
        """Post a Backup; raises ``KubernetesAlreadyExists``."""
        body = custom_resource(BACKUPS, self._namespace, name, spec, ours(labels), annotations)
        return parse_backup(await self._kube.create(BACKUPS, body, self._namespace))

    async def adopt_or_create_backup(
        self,
        name: str,
        scope: Scope,
        *,
        job_id: str,
        try_number: int,
        instance_id: str,
        created_not_before: datetime,
    ) -> Backup:
        """Post the Backup of a try, with its filter policy, or adopt the one this very try has posted already.

        Adopted is only what names this job and try, asks for the same and is no older than ``created_not_before``
        (aware). Raises ``BackupFailed`` when the name belongs to anything else.
        """
        policy, location = await together(self.apply_policy(backup_policy(scope)), self._location())
        spec = backup_spec(scope, policy_name=policy, storage_location=location)
        labels = {
            JOB_LABEL: job_id,
            TRY_LABEL: str(try_number),
            INSTANCE_ID_LABEL: instance_id,
            SCOPE_LABEL: "full" if scope.full else "partial",
        }
        try:
            return await self.create_backup(name, spec, labels)
        except KubernetesAlreadyExists:
            found = await self._kube.get(BACKUPS, name, self._namespace)
        if not _is_this_try(found, spec, labels, created_not_before):
            raise BackupFailed(
                f"a Backup named {name!r} exists that this try has not made",
                remedy="Try again; the next try takes another name.",
                backup=name,
            )
        return parse_backup(found)

    async def find_backup(self, name: str) -> Backup | None:
        """The Backup, or None when it or Velero is not there."""
        found = await self._kube.find(BACKUPS, name, self._namespace)
        return parse_backup(found) if found is not None else None

    async def list_backups(self) -> list[Backup]:
        """Every Backup Velero knows, by name."""
        found = (await self._kube.list(BACKUPS, self._namespace)).items
        return sorted((parse_backup(item) for item in found), key=lambda backup: backup.name)

    async def wait_for_backup(
        self, name: str, *, timeout_seconds: float, on_progress: OnBackup | None = None
    ) -> Backup:
        """Watch until the Backup has ended, well or badly; the caller judges its phase.

        Raises ``BackupFailed`` when the Backup disappears and ``StepTimeout`` naming its last phase. One that failed
        because its name is taken in the bucket is deleted at once, plainly: a DeleteBackupRequest for it would
        delete the good backup of that name.
        """
        last = Backup.model_validate({"metadata": {"name": name}})

        async def on_event(document: dict[str, Any]) -> bool:
            nonlocal last
            last = parse_backup(document)
            if on_progress is not None:
                await on_progress(last)
            return last.finished

        try:
            await self._watch(BACKUPS, name, timeout_seconds, on_event)
        except KubernetesNotFound:
            raise BackupFailed(
                f"backup {name!r} was deleted while it ran", remedy="Try again; see who deletes Backups.", backup=name
            ) from None
        except TimeoutError:
            raise _timeout("backup", name, last.phase, timeout_seconds) from None
        if last.failed_as_taken:
            await self.delete_plain(name)
        return last

    async def import_backup(
        self, metadata: Mapping[str, Any], pod_volume_backups: list[dict[str, Any]] | None = None
    ) -> Backup:
        """Make a backup known to Velero from the bucket's own ``velero-backup.json``, status included.

        There is no status subresource, so a plain create keeps the phase, and a Restore may follow at once; Velero's
        own sync would take a minute. An expiration in the past is moved, else Velero would delete the backup. Raises
        ``BackupFailed`` for a backup that never ended. Already imported is success.
        """
        stored = parse_backup(metadata)
        if stored.phase not in {phases.COMPLETED, phases.PARTIALLY_FAILED}:
            raise BackupFailed(
                f"backup {stored.name!r} never ended: the bucket says {stored.phase or 'New'!r}",
                remedy="Choose another backup.",
                backup=stored.name,
            )
        body = imported_backup(metadata, self._namespace, await self._location())
        try:
            created = await self._kube.create(BACKUPS, body, self._namespace)
        except KubernetesAlreadyExists:
            created = await self._kube.get(BACKUPS, stored.name, self._namespace)
        backup = parse_backup(created)
        await self.import_volumes(backup, pod_volume_backups or [])
        return backup

    async def import_volumes(self, backup: Backup, pod_volume_backups: list[dict[str, Any]]) -> None:
        """The PodVolumeBackups of a Backup that is there, status included; imported already is success."""
        await asyncio.gather(*(self._import_volume(backup, volume) for volume in pod_volume_backups))

    async def _import_volume(self, backup: Backup, volume: Mapping[str, Any]) -> None:
        with contextlib.suppress(KubernetesAlreadyExists):
            body = imported_volume(volume, backup, self._namespace)
            await self._kube.create(POD_VOLUME_BACKUPS, body, self._namespace)

    async def list_volume_restores(self) -> list[PodVolumeOperation]:
        """The PodVolumeRestores of all Restores of the cluster; the latest of a volume last."""
        found = (await self._kube.list(POD_VOLUME_RESTORES, self._namespace)).items
        ordered = sorted(found, key=lambda item: str(item["metadata"].get("creationTimestamp", "")))
        return [parse_operation(item) for item in ordered]

    async def create_restore(
        self, name: str, plan: RestorePlan, *, job_id: str, instance_id: str = "", try_number: int = 1
    ) -> Restore:
        """Post a Restore with its filter policy; the one of that name that this job has made is adopted."""
        spec = dict(plan.spec)
        if plan.policy is not None:
            spec["resourcePolicy"] = {"kind": "configmap", "name": await self.apply_policy(plan.policy)}
        labels = {JOB_LABEL: job_id, TRY_LABEL: str(try_number)}
        if instance_id:
            labels[INSTANCE_ID_LABEL] = instance_id
        try:
            body = custom_resource(RESTORES, self._namespace, name, spec, ours(labels))
            return parse_restore(await self._kube.create(RESTORES, body, self._namespace))
        except KubernetesAlreadyExists:
            found = parse_restore(await self._kube.get(RESTORES, name, self._namespace))
        if found.metadata.labels.get(JOB_LABEL) != job_id:
            raise RestoreFailed(f"a Restore named {name!r} exists that this job has not made", restore=name)
        return found

    async def find_restore(self, name: str) -> Restore | None:
        """The Restore, or None when it or Velero is not there."""
        found = await self._kube.find(RESTORES, name, self._namespace)
        return parse_restore(found) if found is not None else None

    async def wait_for_restore(
        self, name: str, *, timeout_seconds: float, on_progress: OnRestore | None = None
    ) -> Restore:
        """Watch until the Restore has ended, well or badly; the caller judges its phase.

        Velero looks the Backup up in a cache that may not have it yet; a Restore refused for that reason is made
        again. Raises ``RestoreFailed`` when the Restore disappears, ``StepTimeout`` naming its last phase.
        """
        last = Restore.model_validate({"metadata": {"name": name}})

        async def on_event(document: dict[str, Any]) -> bool:
            nonlocal last
            last = parse_restore(document)
            if on_progress is not None:
                await on_progress(last)
            return last.finished

        try:
            async with asyncio.timeout(timeout_seconds):
                for refusals in range(MOST_REFUSALS + 1):
                    await self._watch(RESTORES, name, timeout_seconds, on_event)
                    if refusals == MOST_REFUSALS or not _refused_too_early(last):
                        break
                    await asyncio.sleep(REFUSAL_PAUSE_SECONDS)
                    await self._make_again(last)
        except KubernetesNotFound:
            raise RestoreFailed(f"restore {name!r} was deleted while it ran", restore=name) from None
        except TimeoutError:
            raise _timeout("restore", name, last.phase, timeout_seconds) from None
        if last.spec.resource_policy is not None:
            await self.delete_policy(last.spec.resource_policy.name)
        return last

    async def _make_again(self, refused: Restore) -> None:
        """The same Restore anew. A refused one has left nothing in the bucket, so its finalizer has nothing to do."""
        document = await self._kube.get(RESTORES, refused.name, self._namespace)
        await self._kube.merge_patch(RESTORES, refused.name, {"metadata": {"finalizers": None}}, self._namespace)
        await self._kube.delete(RESTORES, refused.name, self._namespace)
        await self._kube.wait_for(
            RESTORES, refused.name, self._namespace, lambda found: found is None, timeout_seconds=10
        )
        metadata = {key: document["metadata"][key] for key in ("name", "namespace", "labels")}
        body = {key: document[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}
        await self._kube.create(RESTORES, body, self._namespace)

    async def delete_backup(self, name: str, *, timeout_seconds: float) -> None:
        """Delete a backup with everything it has in the bucket; done when the Backup is gone. Gone is success.

        Raises ``BackupDeletionFailed`` with Velero's reasons, ``StepTimeout`` when it takes too long.
        """
        backup = await self.find_backup(name)
        if backup is None:
            return
        labels = {BACKUP_NAME_LABEL: velero_label_value(name), BACKUP_UID_LABEL: backup.uid}
        body = custom_resource(DELETE_BACKUP_REQUESTS, self._namespace, "", {"backupName": name}, ours(labels))
        body["metadata"]["generateName"] = f"{name}-"
        request = await self._kube.create(DELETE_BACKUP_REQUESTS, body, self._namespace)
        try:
            async with asyncio.timeout(timeout_seconds):
                while await self._kube.find(BACKUPS, name, self._namespace) is not None:
                    await self._raise_deletion_errors(name, request["metadata"]["name"])
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise _timeout("deletion of backup", name, "", timeout_seconds) from None

    async def _raise_deletion_errors(self, backup: str, request: str) -> None:
        found = await self._kube.find(DELETE_BACKUP_REQUESTS, request, self._namespace)
        status = (found or {}).get("status") or {}
        if status.get("phase") == "Processed" and status.get("errors"):
            raise BackupDeletionFailed(
                f"Velero did not delete backup {backup!r}: {'; '.join(status['errors'])[:500]}",
                remedy="What is left is tried again when the stack wakes next.",
                backup=backup,
            )

    async def delete_plain(self, name: str) -> bool:
        """Delete only the Backup object, never what the bucket holds; False if it was gone."""
        return await self._kube.delete(BACKUPS, name, self._namespace)

    async def unfinished(self) -> list[UnfinishedWork]:
        """Everything that waits for Velero or runs; empty where Velero's types are not installed."""
        return await list_unfinished(self._kube, self._namespace)

    async def apply_policy(self, policy: Mapping[str, Any]) -> str:
        """The ConfigMap that holds a filter policy; its name comes from its content, so equal policies share one."""
        manifest = await asyncio.to_thread(policy_config_map, policy, self._namespace)  # YAML is slow
        applied = await self._kube.apply(CONFIG_MAPS, manifest)
        return str(applied["metadata"]["name"])

    async def delete_policy(self, name: str) -> bool:
        """Remove a policy; False if it was gone."""
        return await self._kube.delete(CONFIG_MAPS, name, self._namespace)

    async def _location(self) -> str:
        adopted = await self._kube.find(BACKUP_STORAGE_LOCATIONS, ADOPTED_LOCATION, self._namespace)
        return DEFAULT_LOCATION if adopted is None else ADOPTED_LOCATION

    async def _watch(self, resource: Resource, name: str, timeout_seconds: float, on_event: _OnEvent) -> None:
        """Feed every state of one object to ``on_event`` until it says that this was the last.

        Raises ``KubernetesNotFound`` when the object is not there or disappears, TimeoutError at the deadline.
        """
        async with asyncio.timeout(timeout_seconds):
            document = await self._kube.get(resource, name, self._namespace)
            events: asyncio.Queue[WatchEvent] = asyncio.Queue()
            pump = asyncio.create_task(self._pump(resource, name, events), name=f"watch {name}")
            try:
                while not await on_event(document):
                    document = await self._next_state(resource, document, events, pump)
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def _pump(self, resource: Resource, name: str, events: asyncio.Queue[WatchEvent]) -> None:
        async for event in self._kube.watch(resource, self._namespace, name=name):
            events.put_nowait(event)

    async def _next_state(
        self, resource: Resource, last: dict[str, Any], events: asyncio.Queue[WatchEvent], pump: asyncio.Task[None]
    ) -> dict[str, Any]:
        """The object after its next change. When nothing is heard, it is looked at: it may have gone before the
        watch began, or have changed while the watch is dead, or wait for a kick."""
        name = last["metadata"]["name"]
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    event = await events.get()
            except TimeoutError:
                if pump.done():
                    pump.result()
                found = await self._kube.get(resource, name, self._namespace)
                if found["metadata"]["resourceVersion"] != last["metadata"]["resourceVersion"]:
                    return found
                if (found.get("status") or {}).get("phase") == "ReadyToStart":
                    await self._kick(name)
                continue
            if event.type == "DELETED":
                raise KubernetesNotFound(f"{resource.kind} {name!r} was deleted")
            return event.object

    async def _kick(self, name: str) -> None:
        """Edit a Backup, which wakes it: Velero ignores those it finds ReadyToStart when it starts."""
        kicked = {"kecs-state.dev/kicked-at": datetime.now(UTC).isoformat()}
        await self._kube.merge_patch(BACKUPS, name, {"metadata": {"annotations": kicked}}, self._namespace)


def _is_this_try(
    found: Mapping[str, Any], spec: Mapping[str, Any], labels: Mapping[str, str], not_before: datetime
) -> bool:
    made = created_at(found)
    theirs = found["metadata"].get("labels") or {}
    return (
        made is not None
        and made >= not_before.replace(microsecond=0)
        and all(theirs.get(key) == labels[key] for key in (JOB_LABEL, TRY_LABEL))
        and asks_for_the_same(found.get("spec") or {}, spec)
    )


def _refused_too_early(restore: Restore) -> bool:
    words = restore.reason.lower()
    return restore.phase == phases.FAILED_VALIDATION and "backup" in words and "not found" in words


def _timeout(what: str, name: str, phase: str, seconds: float) -> StepTimeout:
    state = f"; it is {phase or 'New'}" if what in {"backup", "restore"} else ""
    return StepTimeout(
        f"{what} {name!r} did not end within {seconds:g} s{state}",
        remedy="Look at Velero's log in the cluster, then try again.",
        phase=phase,
    )
