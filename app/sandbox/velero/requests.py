"""DownloadRequests and ServerStatusRequests: answered as soon as they are seen."""

from datetime import timedelta

from app.sandbox.objects import Object, name_of, phase_of, spec_of, status_of
from app.sandbox.times import now, timestamp
from app.sandbox.velero import VERSION, layout
from app.sandbox.velero.kinds import (
    BACKUP_STORAGE_LOCATIONS,
    BACKUPS,
    DOWNLOAD_REQUESTS,
    RESTORES,
    SERVER_STATUS_REQUESTS,
)
from app.sandbox.velero.locations import open_bucket
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

_URL_SECONDS = 600
_PLUGINS = (
    {"name": "velero.io/aws", "kind": "ObjectStore"},
    {"name": "velero.io/pod", "kind": "BackupItemAction"},
    {"name": "velero.io/service", "kind": "RestoreItemAction"},
)


class DownloadController:
    """A signed URL, ten minutes valid. If anything it needs is missing the request just never gets processed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("download-request", self._reconcile)
        world.informer(DOWNLOAD_REQUESTS).subscribe(self._on_event)

    def _on_event(self, event: str, request: Object) -> None:
        if event == "ADDED":
            self.queue.add(name_of(request))

    async def _reconcile(self, name: str) -> None:
        request = await self._world.find(DOWNLOAD_REQUESTS, name)
        if request is None:
            return
        if "expiration" in status_of(request):  # the second visit, when the URL has expired
            await self._world.api.delete(DOWNLOAD_REQUESTS, name, self._world.options.namespace)
            return
        expiration = timestamp(now() + timedelta(seconds=_URL_SECONDS))
        status = {"expiration": expiration}
        if (url := await self._url(spec_of(request).get("target") or {})) is not None:
            status |= {"phase": "Processed", "downloadURL": url}
        await self._world.patch(DOWNLOAD_REQUESTS, name, {"status": status})
        self.queue.add_later(name, _URL_SECONDS)

    async def _url(self, target: Object) -> str | None:
        kind, name = str(target.get("kind", "")), str(target.get("name", ""))
        key = layout.download_key(kind, name)
        backup_name = name
        if kind.startswith("Restore"):
            restore = await self._world.find(RESTORES, name)
            backup_name = spec_of(restore).get("backupName", "") if restore else ""
        backup = await self._world.find(BACKUPS, backup_name) if backup_name else None
        if key is None or backup is None:
            return None
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, spec_of(backup).get("storageLocation", ""))
        if location is None:
            return None
        return await (await open_bucket(self._world, location)).signed_url(key, _URL_SECONDS)


class StatusController:
    """The server's version; an end-to-end sign of life. Deleted a minute after it was answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("server-status-request", self._reconcile)
        world.informer(SERVER_STATUS_REQUESTS).subscribe(self._on_event)

    def _on_event(self, event: str, request: Object) -> None:
        if event == "ADDED":
            self.queue.add(name_of(request))

    async def _reconcile(self, name: str) -> None:
        request = await self._world.find(SERVER_STATUS_REQUESTS, name)
        if request is None:
            return
        if phase_of(request) == "Processed":
            await self._world.api.delete(SERVER_STATUS_REQUESTS, name, self._world.options.namespace)
            return
        await self._world.patch_status(
            SERVER_STATUS_REQUESTS,
            request,
            phase="Processed",
            processedTimestamp=timestamp(now()),
            serverVersion=VERSION,
            plugins=list(_PLUGINS),
        )
        self.queue.add_later(name, 60)
