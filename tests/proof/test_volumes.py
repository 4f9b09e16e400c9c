"""What a proof says of volumes that were to be saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.proof.archive import Archive, ArchivedObject
from app.proof.models import ObjectKey
from app.proof.stored import StoredBackup
from app.proof.volumes import settle_volumes
from app.storage import layout
from app.velero.volumes import PodVolume
from tests.proof.backups import NAME, zipped

Settle = Callable[..., tuple[list[PodVolume], list[str]]]


def volume(**changes: Any) -> PodVolume:
    """One that was to be saved."""
    fields = {"namespace": "web", "pod": "api", "pod_uid": "u", "volume": "data", "type": "emptyDir"}
    return PodVolume.model_validate({**fields, "protection": "protected"} | changes)


def saved(phase: str = "Completed", claim: str = "", pod: str = "api", **status: Any) -> dict[str, Any]:
    """A PodVolumeBackup as the bucket has it."""
    annotations = {"velero.io/pvc-name": claim} if claim else None
    progress = {"totalBytes": 30, "bytesDone": 30}
    return {
        "metadata": {"name": "b-1", "annotations": annotations},
        "spec": {"pod": {"namespace": "web", "name": pod, "uid": "u"}, "volume": "data"},
        "status": {"phase": phase, "snapshotID": "s", "progress": progress} | status,
    }


@pytest.fixture
def settle(tmp_path: Path) -> Settle:
    """Judges volumes by the PodVolumeBackups of a backup that holds the pod ``web/api`` of UID ``u``."""
    key = ObjectKey(resource="pods", namespace="web", name="api")
    archive = Archive({key: ArchivedObject(uid="u", resource_version="1", controller="", not_restorable="")})

    def judge(expected: list[PodVolume], backups: list[dict[str, Any]]) -> tuple[list[PodVolume], list[str]]:
        path = tmp_path / "backups"
        path.write_bytes(zipped(backups))
        stored = StoredBackup(NAME, files={layout.pod_volume_backups_key(NAME): path})
        volumes, findings = settle_volumes(expected, stored, archive)
        return volumes, [finding.detail for finding in findings]

    return judge


def test_a_saved_volume_has_its_bytes(settle: Settle) -> None:
    """All of them, and those that had to be stored."""
    (found,), findings = settle([volume()], [saved(incrementalBytes=10)])
    assert (found.size_bytes, found.uploaded_bytes, findings) == (30, 10, [])


def test_nothing_new_to_store_is_none_at_all(settle: Settle) -> None:
    """Go leaves a zero out."""
    (found,), _ = settle([volume()], [saved()])
    assert found.uploaded_bytes == 0


@pytest.mark.parametrize("backups", [[], [saved("Failed")], [saved("Canceled")], [saved(pod="other")]])
def test_a_volume_without_a_good_backup_fails_the_proof(settle: Settle, backups: list[dict[str, Any]]) -> None:
    """Whatever Velero calls the whole."""
    _, findings = settle([volume()], backups)
    assert findings == ["the volume web/api:data (emptyDir) was to be saved and is not"]


def test_a_claim_saved_through_another_pod_is_saved(settle: Settle) -> None:
    """Velero takes a shared claim once."""
    (found,), findings = settle([volume(claim="db", type="persistentVolumeClaim")], [saved(claim="db", pod="other")])
    assert (found.size_bytes, findings) == (30, [])


def test_a_pod_that_went_meanwhile_takes_its_volumes_with_it(settle: Settle) -> None:
    """The same name with another UID is another pod."""
    (found,), findings = settle([volume(pod_uid="before")], [])
    assert (found.protection, findings) == ("skipped", [])


def test_volumes_nobody_asked_for_are_left_as_they_are(settle: Settle) -> None:
    """Named, and no reason to fail."""
    skipped = volume(protection="skipped")
    assert settle([skipped], []) == ([skipped], [])
