"""PodVolumeBackups and PodVolumeRestores: one volume of one pod, saved or brought back by the node-agent."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, TypeAdapter

from app import phases
from app.documents import read_packed_json
from app.velero.models import Metadata, VeleroModel, VolumeInfo, without_nulls

_CLAIM_ANNOTATION = "velero.io/pvc-name"


class PodReference(VeleroModel):
    """The pod a volume belongs to."""

    namespace: str
    name: str
    uid: str = ""


class DataProgress(VeleroModel):
    """Bytes of the volume's files: all of them, and those dealt with so far."""

    total_bytes: int = 0
    bytes_done: int = 0


class DataStatus(VeleroModel):
    """``incremental_bytes``: what was not in the repository yet."""

    phase: str = ""
    message: str = ""
    snapshot_id: str = Field(default="", alias="snapshotID")
    progress: DataProgress = Field(default_factory=DataProgress)
    incremental_bytes: int = 0


class DataSpec(VeleroModel):
    """``snapshot_id`` is set in a restore."""

    pod: PodReference
    volume: str
    snapshot_id: str = Field(default="", alias="snapshotID")


class PodVolumeOperation(VeleroModel):
    """A PodVolumeBackup or a PodVolumeRestore."""

    metadata: Metadata
    spec: DataSpec
    status: DataStatus = Field(default_factory=DataStatus)

    @property
    def claim(self) -> str:
        """The claim behind the volume, "" if it is none."""
        return self.metadata.annotations.get(_CLAIM_ANNOTATION, "")

    @property
    def completed(self) -> bool:
        """Whether it ended well."""
        return self.status.phase == phases.COMPLETED

    @property
    def place(self) -> str:
        """``shop/db (claim)`` or ``shop/web-1:cache``."""
        pod = self.spec.pod
        return (
            f"{pod.namespace}/{self.claim} (claim)" if self.claim else f"{pod.namespace}/{pod.name}:{self.spec.volume}"
        )


_OPERATIONS = TypeAdapter(list[PodVolumeOperation])
_RECORDS = TypeAdapter(list[VolumeInfo])


def parse_operation(document: Mapping[str, Any]) -> PodVolumeOperation:
    """One as the API server has it."""
    return PodVolumeOperation.model_validate(without_nulls(document))


def read_pod_volume_backups(packed: bytes) -> list[PodVolumeOperation]:
    """``<backup>-podvolumebackups.json.gz``; empty for what is not readable, which a proof says by itself."""
    try:
        return _OPERATIONS.validate_python(without_nulls(read_packed_json(packed) or []))
    except ValueError:
        return []


def read_replaced_volumes(packed: bytes) -> set[str]:
    """Names of PersistentVolumes whose data is in the backup: their claims get new ones, so they do not come back."""
    try:
        records = _RECORDS.validate_python(without_nulls(read_packed_json(packed) or []))
    except ValueError:
        return set()
    saved = (record for record in records if record.backup_method == "PodVolumeBackup" and not record.skipped)
    return {record.pv_name for record in saved} - {""}
