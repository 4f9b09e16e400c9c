"""One execution of a Restore against the live cluster."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby

import aiohttp

from app.sandbox.apiclient import ApiError, ResourceType
from app.sandbox.objects import (
    BACKUP_NAME_LABEL,
    RESTORE_NAME_LABEL,
    Object,
    labels_of,
    merge_patch_between,
    name_of,
    namespace_of,
    status_of,
)
from app.sandbox.velero.archive import ArchiveKey
from app.sandbox.velero.oplog import OperationLog
from app.sandbox.velero.podvolumes import PodVolumeData
from app.sandbox.velero.restore_plan import CRDS, PlannedItem
from app.sandbox.velero.scope import NAMESPACES
from app.sandbox.velero.switches import RestoreFaults
from app.sandbox.velero.transforming import (
    RestoreRules,
    merged_service_account,
    not_restored,
    restored_form,
    stripped,
)
from app.sandbox.velero.world import World

_NAMESPACES = ResourceType("", "v1", NAMESPACES, "Namespace", namespaced=False)
_PARALLEL = 8
_READY_SECONDS = 600
_PROGRESS_SECONDS = 1.0
_UNUSABLE = (LookupError, TypeError, ValueError)  # an object of the tarball that is not what it should be


class Restorer:
    """Creates objects kind by kind; what goes wrong with one object is an error in the log and stops nothing."""

    def __init__(
        self,
        world: World,
        rules: RestoreRules,
        log: OperationLog,
        contents: dict[ArchiveKey, bytes],
        on_progress: Callable[[int], Awaitable[object]],
    ) -> None:
        """``on_progress`` gets the number of items that are done, at most once per second."""
        self._world, self._rules, self._log, self._contents = world, rules, log, contents
        self._on_progress, self._told_at = on_progress, time.monotonic()
        self._limit = asyncio.Semaphore(_PARALLEL)
        self._namespaces: dict[str, asyncio.Task[None]] = {}
        self.update_existing = False
        self.volumes: PodVolumeData | None = None
        self.faults: RestoreFaults = world.switches.restore_faults()
        self.outcomes: dict[str, list[str]] = {}
        self.count = 0

    async def restore(self, items: Iterable[PlannedItem]) -> None:
        """Items must come grouped by kind; a kind ends before the next begins."""
        for kind, group in groupby(items, key=lambda item: item.key.resource):
            batch = list(group)
            self._log.info(f"Attempting to restore {len(batch)} {kind}")
            async with asyncio.TaskGroup() as tasks:
                for item in batch:
                    tasks.create_task(self._restore(item))
            if kind == CRDS:
                await self._wait_for_definitions(batch)

    async def _restore(self, item: PlannedItem) -> None:
        target = self._rules.target_namespace(item.key.namespace)
        async with self._limit:
            try:
                outcome = await self._restore_one(item, target)
            except (ApiError, aiohttp.ClientError, TimeoutError, *_UNUSABLE) as error:
                outcome = "failed"
                path = "/".join(part for part in (item.key.resource, target, item.key.name) if part)
                self._log.error(f"error restoring {path}: {error}", target)
            self.count += 1
            await self._tell()
        if outcome:
            place = f"{target}/{item.key.name}" if target else item.key.name
            kind = f"{item.resource.api_version}/{item.resource.kind}"
            self.outcomes.setdefault(kind, []).append(f"{place}({outcome})")

    async def _tell(self) -> None:
        if time.monotonic() - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            await self._on_progress(self.count)

    async def _restore_one(self, item: PlannedItem, target: str) -> str:
        """created, updated, skipped; empty for what a restore never touches."""
        kind = item.key.resource
        reason = not_restored(kind, item.content)
        wanted = None if reason else restored_form(kind, item.content, self._rules)
        if wanted is None:
            self._log.info(f"Skipping {kind} {item.key.namespace}/{item.key.name}: {reason or 'volume re-provisioned'}")
            return ""
        if self.faults.refuses(item.key):
            raise ApiError(500, "InternalError", "refused by a fault switch")
        wanted = self.faults.changed(item.key, wanted)
        if target:
            await self._ensure_namespace(target, item.key.namespace)
        if kind == "pods" and self.volumes is not None:
            wanted = self.volumes.waiting(wanted)
        try:
            created = await self._world.api.create(item.resource, wanted, target)
        except ApiError as error:
            if not error.already_exists:
                raise
            return await self._meet_existing(item, wanted, target)
        if kind == "pods" and self.volumes is not None:
            await self.volumes.ask_for(created)
        return "created"

    async def _meet_existing(self, item: PlannedItem, wanted: Object, namespace: str) -> str:
        found = await self._world.api.get(item.resource, name_of(wanted), namespace)
        live = stripped(found)
        labelled = stripped(found)
        ours = {label: labels_of(wanted)[label] for label in (BACKUP_NAME_LABEL, RESTORE_NAME_LABEL)}
        labelled["metadata"]["labels"] = labels_of(labelled) | ours
        if labelled == {name: value for name, value in wanted.items() if name != "status"}:
            if self.update_existing:
                await self._patch(item, wanted, {"metadata": {"labels": ours}})
            return "skipped"
        if item.key.resource == "serviceaccounts":
            await self._patch(item, wanted, merge_patch_between(live, merged_service_account(live, wanted)))
            return "updated"
        if not self.update_existing:
            if item.key.resource != NAMESPACES:
                self._log.warn(_existing_text(item, wanted), namespace)
            return "skipped"
        return await self._update(item, wanted, live, ours)

    async def _update(self, item: PlannedItem, wanted: Object, live: Object, ours: dict[str, str]) -> str:
        """A refused update is a warning; then only the labels say that the restore has been here."""
        try:
            await self._patch(item, wanted, merge_patch_between(live, wanted))
        except ApiError as error:
            self._log.warn(f"{_existing_text(item, wanted)}: {error}", namespace_of(wanted))
            try:
                await self._patch(item, wanted, {"metadata": {"labels": ours}})
            except ApiError as again:
                self._log.warn(f"error patching labels of {name_of(wanted)}: {again}", namespace_of(wanted))
            return "failed"
        return "updated"

    async def _patch(self, item: PlannedItem, wanted: Object, patch: Object) -> None:
        if patch:
            await self._world.api.merge_patch(item.resource, name_of(wanted), patch, namespace_of(wanted))

    async def _ensure_namespace(self, target: str, original: str) -> None:
        """Once per namespace, whoever comes first."""
        task = self._namespaces.get(target)
        if task is None:
            task = self._namespaces[target] = asyncio.create_task(self._make_namespace(target, original))
        await asyncio.shield(task)

    async def _make_namespace(self, target: str, original: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while (found := await self._world.api.find(_NAMESPACES, target)) is not None:
            if not found["metadata"].get("deletionTimestamp"):
                return
            if time.monotonic() > deadline:
                raise ApiError(500, "Timeout", f"timed out waiting for terminating namespace {target} to disappear")
            await asyncio.sleep(1)
        try:
            await self._world.api.create(_NAMESPACES, self._saved_namespace(target, original))
        except ApiError as error:
            if not error.already_exists:
                raise

    def _saved_namespace(self, target: str, original: str) -> Object:
        saved = self._contents.get(ArchiveKey(NAMESPACES, "", original))
        if saved is not None:
            wanted = restored_form(NAMESPACES, json.loads(saved), self._rules)
            if wanted is not None:
                return wanted
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target}}

    async def _wait_for_definitions(self, items: list[PlannedItem]) -> None:
        """Until each is Established; afterwards discovery knows the new kinds."""
        deadline = time.monotonic() + _READY_SECONDS
        for item in items:
            delay = 0.02
            while time.monotonic() < deadline:
                found = await self._world.api.find(item.resource, item.key.name)
                if found is None or _established(found):
                    break
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
        await self._world.discovery.refresh()


def _established(definition: Object) -> bool:
    conditions = status_of(definition).get("conditions") or ()
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def _existing_text(item: PlannedItem, wanted: Object) -> str:
    return (
        f'could not restore, {item.resource.kind} "{name_of(wanted)}" already exists. '
        "Warning: the in-cluster version is different than the backed-up version"
    )
