"""The server process: start-up checks in Velero's order, then every controller until the process ends."""

import asyncio
import base64
import logging
from collections.abc import Coroutine
from typing import Any

from app.sandbox.apiclient import ApiError, ResourceType
from app.sandbox.objects import name_of, phase_of
from app.sandbox.times import now, timestamp
from app.sandbox.velero import VERSION, kinds
from app.sandbox.velero.backups import BackupController, BackupFinalizer, BackupQueue
from app.sandbox.velero.deletions import DeletionController
from app.sandbox.velero.expiry import ExpiryController
from app.sandbox.velero.locations import LocationController
from app.sandbox.velero.repositories import RepositoryController
from app.sandbox.velero.requests import DownloadController, StatusController
from app.sandbox.velero.restores import RestoreController, RestoreFinalizer
from app.sandbox.velero.sync import BackupSync
from app.sandbox.velero.world import World

_SECRETS = ResourceType("", "v1", "secrets", "Secret", namespaced=True)
_NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False)
_REPOSITORY_SECRET = "velero-repo-credentials"  # noqa: S105 - a name
_REPOSITORY_PASSWORD = b"static-passw0rd"
log = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot run here; the process ends with status 1."""


async def serve(world: World) -> None:
    """Runs for ever. Raises StartError if the cluster is not ready for Velero."""
    log.info("Sandbox Velero emulator standing in for velero %s; no part of the Velero project", VERSION)
    await world.switches.reached("server", "Started", "velero")
    warming = asyncio.create_task(world.buckets.warm())
    await world.discovery.refresh()
    await _check(world)
    world.kubernetes_version = await world.api.request("GET", "/version")
    await _ensure_repository_secret(world)
    await _fail_interrupted(world)
    await warming
    tasks = _controllers(world)
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task)
        for informer in world.informers.values():
            group.create_task(informer.run())
        for informer in world.informers.values():
            await informer.synced.wait()
        log.info("Server started")
        if "backup-sync" not in world.options.disabled:
            group.create_task(BackupSync(world).run())


async def _check(world: World) -> None:
    namespace = world.options.namespace
    if await world.api.find(_NAMESPACES, namespace) is None:
        raise StartError(f'namespaces "{namespace}" not found')
    missing = [kind.kind for kind in kinds.ALL_KINDS if world.discovery.find(kind.name) is None]
    if missing:
        raise StartError(f"Velero custom resources not found - apply the custom resource definitions: {missing}")


async def _ensure_repository_secret(world: World) -> None:
    namespace = world.options.namespace
    if await world.api.find(_SECRETS, _REPOSITORY_SECRET, namespace) is not None:
        return
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _REPOSITORY_SECRET, "namespace": namespace},
        "type": "Opaque",
        "data": {"repository-password": base64.b64encode(_REPOSITORY_PASSWORD).decode()},
    }
    try:
        await world.api.create(_SECRETS, secret, namespace)
    except ApiError as error:
        if not error.already_exists:
            raise


async def _fail_interrupted(world: World) -> None:
    """What another process was doing when it ended is Failed; nothing is taken up again."""
    for kind, what in ((kinds.BACKUPS, "backup"), (kinds.RESTORES, "restore")):
        for item in (await world.api.list(kind, world.options.namespace)).items:
            if phase_of(item) == "InProgress":
                reason = f'found a {what} with status "InProgress" during the server starting, mark it as "Failed"'
                log.warning("%s %s: %s", what, name_of(item), reason)
                await world.patch_status(
                    kind, item, phase="Failed", failureReason=reason, completionTimestamp=timestamp(now())
                )


def _controllers(world: World) -> list[Coroutine[Any, Any, None]]:
    """The loops of everything that is not disabled; made before the informers run, so that none misses an event."""
    locations = LocationController(world)
    loops = [locations.queue.run(), locations.tick(), world.discovery.keep_fresh()]
    for name, controller in (
        ("backup-queue", BackupQueue),
        ("backup", BackupController),
        ("backup-finalizer", BackupFinalizer),
        ("backup-deletion", DeletionController),
        ("download-request", DownloadController),
        ("restore", RestoreController),
        ("restore-finalizer", RestoreFinalizer),
        ("server-status-request", StatusController),
        ("backup-repo", RepositoryController),
    ):
        if name not in world.options.disabled:
            loops.append(controller(world).queue.run())
    if "gc" not in world.options.disabled:
        expiry = ExpiryController(world)
        loops += [expiry.queue.run(), expiry.tick()]
    return loops
