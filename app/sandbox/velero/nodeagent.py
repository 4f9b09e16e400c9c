"""The node-agent of one sandbox node: PodVolumeBackups and PodVolumeRestores from New to their end.

The real one starts a pod for each; this one reads and writes the kubelet's directories itself.
"""

import asyncio
import logging
from pathlib import Path

from app.sandbox.objects import Object, name_of, phase_of, spec_of, status_of
from app.sandbox.times import now, timestamp
from app.sandbox.velero import VERSION
from app.sandbox.velero.bucket import StoreError
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS, POD_VOLUME_BACKUPS, POD_VOLUME_RESTORES
from app.sandbox.velero.locations import open_bucket
from app.sandbox.velero.repository import Repository
from app.sandbox.velero.world import World
from app.sandbox.watching import Informer, WorkQueue

log = logging.getLogger(__name__)


async def serve_node(world: World, node: str, pods: Path) -> None:
    """Runs for ever; ``pods`` is where the kubelet keeps the volumes of this node's pods."""
    log.info("Sandbox node-agent emulator standing in for velero %s on node %s; not part of Velero", VERSION, node)
    agents = (_Backups(world, node, pods), _Restores(world, node, pods))
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(agent.queue.run())
            group.create_task(agent.informer.run())


class _Agent:
    """What the two kinds have in common: one at a time, and a failure is its end."""

    kind = POD_VOLUME_BACKUPS

    def __init__(self, world: World, node: str, pods: Path) -> None:
        self._world, self._node, self._pods = world, node, pods
        self.queue = WorkQueue(self.kind.plural, self._reconcile)
        self.informer = Informer(world.api, self.kind, world.options.namespace)
        self.informer.subscribe(lambda _event, item: self.queue.add(name_of(item)))

    async def _reconcile(self, name: str) -> None:
        found = await self._world.find(self.kind, name)
        if found is None or phase_of(found) not in {"", "New"} or not self._is_here(found):
            return
        await self._world.patch_status(self.kind, found, phase="InProgress", startTimestamp=timestamp(now()))
        try:
            status = {"phase": "Completed"} | await self._work(found)
        except (StoreError, OSError, LookupError) as error:
            status = {"phase": "Failed", "message": f"data path failed: {error}"}
        await self._world.patch_status(self.kind, found, completionTimestamp=timestamp(now()), **status)

    async def _repository(self, operation: Object, namespace: str) -> Repository:
        name = spec_of(operation)["backupStorageLocation"]
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, name)
        if location is None:
            raise StoreError(f"backup storage location {name} not found")
        return Repository(await open_bucket(self._world, location), namespace)

    def _directory(self, operation: Object) -> Path:
        spec = spec_of(operation)
        return self._pods / str(spec["pod"]["uid"]) / "volumes" / str(spec["volume"])

    def _is_here(self, operation: Object) -> bool:
        return str(spec_of(operation).get("node", self._node)) == self._node

    async def _work(self, operation: Object) -> Object:
        raise NotImplementedError


class _Backups(_Agent):
    async def _work(self, operation: Object) -> Object:
        repository = await self._repository(operation, spec_of(operation)["pod"]["namespace"])
        saved = await repository.save(self._directory(operation))
        status: Object = {
            "snapshotID": saved.id,
            "path": f"/{operation['metadata']['uid']}",
            "progress": {"totalBytes": saved.bytes, "bytesDone": saved.bytes},
        }
        return status | ({"incrementalBytes": saved.new_bytes} if saved.new_bytes else {})


class _Restores(_Agent):
    kind = POD_VOLUME_RESTORES

    async def _work(self, operation: Object) -> Object:
        """The file below ``.velero`` is what the pod's init container waits for; it stays there."""
        spec, directory = spec_of(operation), self._directory(operation)
        repository = await self._repository(operation, spec["sourceNamespace"])
        restored = await repository.restore(spec["snapshotID"], directory)
        done = directory / ".velero" / operation["metadata"]["labels"]["velero.io/restore-uid"]
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
        return {"node": self._node, "progress": {"totalBytes": restored, "bytesDone": restored}}


async def wait_for_data(volumes: list[Path], restore_uid: str) -> None:
    """The init container of a restored pod: until every volume has its data."""
    while not all((volume / ".velero" / restore_uid).exists() for volume in volumes):
        await asyncio.sleep(0.05)


def ended(operation: Object) -> bool:
    """Whether nothing more will come of it."""
    return status_of(operation).get("phase") in {"Completed", "Failed", "Canceled"}
