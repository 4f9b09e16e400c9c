"""Holding the volumes of a backup against those it was to save."""

from pathlib import Path

from app.proof.archive import Archive
from app.proof.models import Finding, ObjectKey
from app.proof.stored import StoredBackup
from app.storage import layout
from app.velero.pod_volumes import PodVolumeOperation, read_pod_volume_backups
from app.velero.volumes import PodVolume


def settle_volumes(
    expected: list[PodVolume], stored: StoredBackup, archive: Archive
) -> tuple[list[PodVolume], list[Finding]]:
    """What became of each volume, with its bytes, and a finding for each that was to be saved and is not.

    A pod that the archive does not hold, or holds as another one, was ended meanwhile: nothing is said of its volumes
    that its own absence does not say.
    """
    saved = saved_volumes(stored.files.get(layout.pod_volume_backups_key(stored.name)))
    volumes, findings = [], []
    for volume in expected:
        found = next((each for each in saved if _is_of(each, volume)), None)
        if volume.protection != "protected":
            volumes.append(volume)
        elif found is not None:
            sizes = {"size_bytes": found.status.progress.total_bytes, "uploaded_bytes": found.status.incremental_bytes}
            volumes.append(volume.model_copy(update=sizes))
        elif _is_in(archive, volume):
            findings.append(Finding(code="volumes", detail=f"the volume {volume.place} was to be saved and is not"))
        else:
            gone = {"protection": "skipped", "reason": "its pod went while the backup was made"}
            volumes.append(volume.model_copy(update=gone))
    return volumes, findings


def saved_volumes(path: Path | None) -> list[PodVolumeOperation]:
    """The PodVolumeBackups of a file that was downloaded, those that ended well."""
    return [] if path is None else [each for each in read_pod_volume_backups(path.read_bytes()) if each.completed]


def _is_of(saved: PodVolumeOperation, volume: PodVolume) -> bool:
    """Of a claim that several pods share, one backup is made for all."""
    pod = saved.spec.pod
    if volume.claim and saved.claim:
        return (pod.namespace, saved.claim) == (volume.namespace, volume.claim)
    return (pod.namespace, pod.name, saved.spec.volume) == (volume.namespace, volume.pod, volume.volume)


def _is_in(archive: Archive, volume: PodVolume) -> bool:
    item = archive.items.get(ObjectKey(resource="pods", namespace=volume.namespace, name=volume.pod))
    return item is not None and item.uid == volume.pod_uid
