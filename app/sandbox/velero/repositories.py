"""Maintenance of BackupRepositories: due by their frequency, when the server starts and when they change.

The real server starts a Job for each; here there is nothing to clean, so only the record of it is written.
"""

import asyncio
from datetime import timedelta

from app.sandbox.objects import Object, name_of, spec_of, status_of
from app.sandbox.times import now, parse_duration, parse_timestamp, timestamp
from app.sandbox.velero.kinds import BACKUP_REPOSITORIES
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

_KEPT = 3


class RepositoryController:
    """One at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("backup-repository", self._reconcile)
        self._seen: dict[str, Object] = {}
        world.informer(BACKUP_REPOSITORIES).subscribe(self._on_event)

    def _on_event(self, event: str, repository: Object) -> None:
        """Only a changed specification counts."""
        name = name_of(repository)
        if event != "DELETED" and self._seen.get(name) != spec_of(repository):
            self._seen[name] = spec_of(repository)
            self.queue.add(name)

    async def _reconcile(self, name: str) -> None:
        repository = await self._world.find(BACKUP_REPOSITORIES, name)
        if repository is None or not _is_due(repository):
            return
        began = timestamp(now())
        await asyncio.sleep(1)  # what counts whole seconds must see that time has passed
        done = {"result": "Succeeded", "startTimestamp": began, "completeTimestamp": timestamp(now())}
        recent = [*(status_of(repository).get("recentMaintenance") or ()), done][-_KEPT:]
        await self._world.patch_status(
            BACKUP_REPOSITORIES, repository, lastMaintenanceTime=done["completeTimestamp"], recentMaintenance=recent
        )


def _is_due(repository: Object) -> bool:
    last = status_of(repository).get("lastMaintenanceTime")
    frequency = parse_duration(spec_of(repository).get("maintenanceFrequency"), timedelta(hours=1))
    return status_of(repository).get("phase") == "Ready" and (not last or now() > parse_timestamp(last) + frequency)
