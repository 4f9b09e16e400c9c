"""Volumes in backups and restores, as the server sees them: asked of the node-agent by objects, and waited for."""

import asyncio
from typing import Any

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import (
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    RESTORE_NAME_LABEL,
    Object,
    annotations_of,
    label_value,
    labels_of,
    name_of,
    namespace_of,
    phase_of,
    spec_of,
    status_of,
)
from app.sandbox.times import now, timestamp
from app.sandbox.velero.archive import Item
from app.sandbox.velero.kinds import BACKUP_REPOSITORIES, POD_VOLUME_BACKUPS, POD_VOLUME_RESTORES
from app.sandbox.velero.nodeagent import ended
from app.sandbox.velero.oplog import OperationLog
from app.sandbox.velero.world import World

WAIT_CONTAINER = "restore-wait"
POLL_SECONDS = 0.1
_PODS = ResourceType("", "v1", "pods", "Pod", namespaced=True)
_VOLUMES = ResourceType("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
_CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespaced=True)
#: Never taken by default (velero pkg/util/podvolume).
_NEVER = {"secret", "configMap", "projected", "downwardAPI", "hostPath"}
_CLAIM_ANNOTATION = "velero.io/pvc-name"


class PodVolumes:
    """What one backup saves of volumes; ``made`` are its PodVolumeBackups as they ended."""

    def __init__(self, world: World, backup: Object, log: OperationLog) -> None:
        self._world, self._backup, self._log = world, backup, log
        self.made: list[Object] = []

    async def save(self, items: list[Item]) -> None:
        """The volumes of every running pod among the items, if the backup says so; waits until all are saved."""
        if not spec_of(self._backup).get("defaultVolumesToFsBackup"):
            return
        names = []
        for pod in (item.content for item in items if item.resource.name == "pods"):
            volumes = [volume for volume in spec_of(pod).get("volumes") or () if await self._is_taken(pod, volume)]
            if volumes and phase_of(pod) == "Running" and await self._agent_runs(pod):
                await self._ensure_repository(namespace_of(pod))
                names += [await self._post(pod, volume) for volume in volumes]
        self.made = [await self._end_of(name) for name in names]
        for each in self.made:
            if phase_of(each) != "Completed":
                self._log.error(f"pod volume backup failed: {status_of(each).get('message', '')}", None)

    async def _is_taken(self, pod: Object, volume: Object) -> bool:
        mounted = {
            mount["name"] for container in spec_of(pod)["containers"] for mount in container.get("volumeMounts") or ()
        }
        if volume["name"] not in mounted or _NEVER & volume.keys() or "nfs" in volume:
            return False
        return not await self._lies_on_the_node(pod, volume)

    async def _lies_on_the_node(self, pod: Object, volume: Object) -> bool:
        claim_name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not claim_name:
            return False
        claim = await self._world.api.find(_CLAIMS, claim_name, namespace_of(pod))
        name = spec_of(claim or {}).get("volumeName")
        found = await self._world.api.find(_VOLUMES, name) if name else None
        if found is None or "hostPath" in spec_of(found):
            place = f"{namespace_of(pod)}/{name_of(pod)}"
            self._log.warn(
                f"Volume {volume['name']} in pod {place} is a hostPath volume which is not supported, skipping"
            )
            return True
        return False

    async def _agent_runs(self, pod: Object) -> bool:
        listed = await self._world.api.list(_PODS, self._world.options.namespace, "role=node-agent")
        node = spec_of(pod).get("nodeName")
        runs = any(phase_of(each) == "Running" and spec_of(each).get("nodeName") == node for each in listed.items)
        if not runs:
            self._log.error(f"daemonset pod not found in running state in node {node}", namespace_of(pod))
        return runs

    async def _ensure_repository(self, namespace: str) -> None:
        """Made at the first volume of a namespace, and Ready at once."""
        location = spec_of(self._backup)["storageLocation"]
        await ensure_repository(self._world, namespace, location)

    async def _post(self, pod: Object, volume: Object) -> str:
        name, uid = name_of(self._backup), self._backup["metadata"]["uid"]
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        owner = {"apiVersion": "velero.io/v1", "kind": "Backup", "name": name, "uid": uid, "controller": True}
        metadata: Object = {
            "generateName": f"{name}-",
            "labels": {BACKUP_NAME_LABEL: label_value(name), BACKUP_UID_LABEL: uid},
            "annotations": {_CLAIM_ANNOTATION: claim} if claim else {},
            "ownerReferences": [owner],
        }
        spec = {
            "node": spec_of(pod)["nodeName"],
            "pod": _reference(pod),
            "volume": volume["name"],
            "backupStorageLocation": spec_of(self._backup)["storageLocation"],
            "uploaderType": "kopia",
        }
        return name_of(await _create(self._world, POD_VOLUME_BACKUPS, metadata, spec))

    async def _end_of(self, name: str) -> Object:
        return await _end_of(self._world, POD_VOLUME_BACKUPS, name)

    def records(self) -> list[Object]:
        """Their entries in the backup's volumeinfo."""
        return [
            {
                "pvcName": annotations_of(each).get(_CLAIM_ANNOTATION, ""),
                "pvcNamespace": spec_of(each)["pod"]["namespace"],
                "backupMethod": "PodVolumeBackup",
                "skipped": False,
                "result": "succeeded" if phase_of(each) == "Completed" else "failed",
                "pvbInfo": {
                    "snapshotHandle": status_of(each).get("snapshotID", ""),
                    "size": (status_of(each).get("progress") or {}).get("totalBytes", 0),
                    "incrementalSize": status_of(each).get("incrementalBytes", 0),
                    "volumeName": spec_of(each)["volume"],
                    "podName": spec_of(each)["pod"]["name"],
                    "podNamespace": spec_of(each)["pod"]["namespace"],
                },
            }
            for each in self.made
        ]


class PodVolumeData:
    """What one restore brings back into pods."""

    def __init__(self, world: World, restore: Object, saved: list[Object], log: OperationLog) -> None:
        self._world, self._restore, self._saved, self._log = world, restore, saved, log
        self._posted: list[str] = []

    @classmethod
    async def of(cls, world: World, restore: Object, backup: str, log: OperationLog) -> "PodVolumeData":
        """By the PodVolumeBackups of the backup that are in the cluster."""
        listed = await world.api.list(POD_VOLUME_BACKUPS, world.options.namespace)
        mine = [each for each in listed.items if labels_of(each).get(BACKUP_NAME_LABEL) == label_value(backup)]
        return cls(world, restore, [each for each in mine if status_of(each).get("snapshotID")], log)

    def waiting(self, pod: Object) -> Object:
        """The pod with an init container that waits for the data, if there is any for it."""
        saved = self._of(pod)
        spec = pod["spec"]
        others = [each for each in spec.get("initContainers") or () if each["name"] != WAIT_CONTAINER]
        if not saved:
            return pod
        container = {
            "name": WAIT_CONTAINER,
            "image": "velero/velero:sandbox",
            "command": ["/velero-restore-helper"],
            "args": [self._restore["metadata"]["uid"]],
            "volumeMounts": [
                {"name": volume, "mountPath": f"/restores/{volume}"}
                for volume in sorted(str(spec_of(each)["volume"]) for each in saved)
            ],
        }
        return {**pod, "spec": {**spec, "initContainers": [container, *others]}}

    async def ask_for(self, pod: Object) -> None:
        """A PodVolumeRestore for each of the created pod's volumes."""
        name, uid = name_of(self._restore), self._restore["metadata"]["uid"]
        for saved in self._of(pod):
            spec = {
                "pod": _reference(pod),
                "volume": spec_of(saved)["volume"],
                "backupStorageLocation": spec_of(saved)["backupStorageLocation"],
                "snapshotID": status_of(saved)["snapshotID"],
                "sourceNamespace": spec_of(saved)["pod"]["namespace"],
                "uploaderType": "kopia",
            }
            labels = {RESTORE_NAME_LABEL: label_value(name), "velero.io/restore-uid": uid}
            owner = {"apiVersion": "velero.io/v1", "kind": "Restore", "name": name, "uid": uid, "controller": True}
            metadata = {"generateName": f"{name}-", "labels": labels, "ownerReferences": [owner]}
            await ensure_repository(self._world, spec["sourceNamespace"], spec["backupStorageLocation"])
            self._posted.append(name_of(await _create(self._world, POD_VOLUME_RESTORES, metadata, spec)))

    async def wait(self) -> None:
        """Until all have ended; each that failed is an error of the restore."""
        for name in self._posted:
            found = await _end_of(self._world, POD_VOLUME_RESTORES, name)
            if phase_of(found) != "Completed":
                self._log.error(f"pod volume restore failed: {status_of(found).get('message', '')}", None)

    def _of(self, pod: Object) -> list[Object]:
        place = (namespace_of(pod), name_of(pod))
        return [
            each for each in self._saved if (spec_of(each)["pod"]["namespace"], spec_of(each)["pod"]["name"]) == place
        ]


async def ensure_repository(world: World, namespace: str, location: str) -> None:
    """The BackupRepository of a namespace, Ready at once."""
    name = f"{namespace}-{location}-kopia"
    if await world.find(BACKUP_REPOSITORIES, name) is not None:
        return
    spec = {
        "volumeNamespace": namespace,
        "backupStorageLocation": location,
        "repositoryType": "kopia",
        "maintenanceFrequency": world.options.maintenance_frequency,
    }
    await _create(world, BACKUP_REPOSITORIES, {"name": name}, spec, phase="Ready", lastMaintenanceTime=timestamp(now()))


async def _create(world: World, kind: ResourceType, metadata: Object, spec: Object, **status: Any) -> Object:
    namespace = world.options.namespace
    body = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata | {"namespace": namespace},
        "spec": spec,
    }
    return await world.api.create(kind, body | ({"status": status} if status else {}), namespace)


async def _end_of(world: World, kind: ResourceType, name: str) -> Object:
    """Waited for as long as it takes: the real server's limit is four hours."""
    while (found := await world.find(kind, name)) is not None:
        if ended(found):
            return found
        await asyncio.sleep(POLL_SECONDS)
    return {"metadata": {"name": name}, "status": {"phase": "Canceled", "message": "it was deleted"}}


def _reference(pod: Object) -> Object:
    return {
        "kind": "Pod",
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "uid": pod["metadata"]["uid"],
    }
