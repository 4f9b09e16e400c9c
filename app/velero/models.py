"""Velero's custom resources: their types, and thin models that keep every field they do not know.

Phases stay plain strings, see ``app.phases``. No kind has a status subresource: spec and status are written together.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app import phases
from app.kubernetes.resources import Resource

GROUP = "velero.io"


def _velero(plural: str, kind: str, version: str = "v1") -> Resource:
    return Resource(GROUP, version, plural, kind, namespaced=True)


BACKUPS = _velero("backups", "Backup")
RESTORES = _velero("restores", "Restore")
SCHEDULES = _velero("schedules", "Schedule")
DOWNLOAD_REQUESTS = _velero("downloadrequests", "DownloadRequest")
DELETE_BACKUP_REQUESTS = _velero("deletebackuprequests", "DeleteBackupRequest")
POD_VOLUME_BACKUPS = _velero("podvolumebackups", "PodVolumeBackup")
POD_VOLUME_RESTORES = _velero("podvolumerestores", "PodVolumeRestore")
BACKUP_REPOSITORIES = _velero("backuprepositories", "BackupRepository")
BACKUP_STORAGE_LOCATIONS = _velero("backupstoragelocations", "BackupStorageLocation")
VOLUME_SNAPSHOT_LOCATIONS = _velero("volumesnapshotlocations", "VolumeSnapshotLocation")
SERVER_STATUS_REQUESTS = _velero("serverstatusrequests", "ServerStatusRequest")
DATA_UPLOADS = _velero("datauploads", "DataUpload", "v2alpha1")
DATA_DOWNLOADS = _velero("datadownloads", "DataDownload", "v2alpha1")

#: Velero's server exits when one of these is missing.
ALL_TYPES = (
    BACKUPS,
    RESTORES,
    SCHEDULES,
    DOWNLOAD_REQUESTS,
    DELETE_BACKUP_REQUESTS,
    POD_VOLUME_BACKUPS,
    POD_VOLUME_RESTORES,
    BACKUP_REPOSITORIES,
    BACKUP_STORAGE_LOCATIONS,
    VOLUME_SNAPSHOT_LOCATIONS,
    SERVER_STATUS_REQUESTS,
    DATA_UPLOADS,
    DATA_DOWNLOADS,
)

JOB_LABEL = "kecs-state.dev/job"
TRY_LABEL = "kecs-state.dev/try"
INSTANCE_ID_LABEL = "kecs-state.dev/instance-id"
SCOPE_LABEL = "kecs-state.dev/scope"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "kecs-state"
#: Velero's own.
STORAGE_LOCATION_LABEL = "velero.io/storage-location"
BACKUP_NAME_LABEL = "velero.io/backup-name"
BACKUP_UID_LABEL = "velero.io/backup-uid"
EXCLUDE_LABEL = "velero.io/exclude-from-backup"

#: What a Backup says that failed only because its name is taken in the bucket. Such a CR shares its name with a
#: good backup, so it must never be the subject of a DeleteBackupRequest.
ALREADY_STORED = "already exists in object storage"
#: In Velero's reason for what it found unended when it started: its pod had ended, mostly for want of memory.
SERVER_STARTED = "during the server starting"


class VeleroModel(BaseModel):
    """camelCase on the wire; unknown fields are kept."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)


class Metadata(VeleroModel):
    """The part of ObjectMeta that is used."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Progress(VeleroModel):
    """Items so far; a Backup counts ``itemsBackedUp``, a Restore ``itemsRestored``."""

    total_items: int | None = None
    items_backed_up: int | None = None
    items_restored: int | None = None


class Status(VeleroModel):
    """What Backups and Restores have in common. An empty phase is a new object."""

    phase: str = ""
    validation_errors: list[str] = []
    failure_reason: str = ""
    warnings: int = 0
    errors: int = 0
    progress: Progress = Field(default_factory=Progress)
    start_timestamp: datetime | None = None
    completion_timestamp: datetime | None = None
    expiration: datetime | None = None
    format_version: str = ""


class BackupSpec(VeleroModel):
    """The fields of a Backup's specification that are read here."""

    storage_location: str = ""
    ttl: str = ""
    included_namespaces: list[str] | None = None
    excluded_namespaces: list[str] | None = None


class PolicyReference(VeleroModel):
    """The ConfigMap of a filter policy."""

    kind: str = "configmap"
    name: str


class RestoreSpec(VeleroModel):
    """The fields of a Restore's specification that are read here."""

    backup_name: str = ""
    resource_policy: PolicyReference | None = None


class _Operation(VeleroModel):
    metadata: Metadata
    status: Status = Field(default_factory=Status)

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return self.metadata.name

    @property
    def uid(self) -> str:
        """``metadata.uid``."""
        return self.metadata.uid

    @property
    def phase(self) -> str:
        """Velero's phase; empty means new."""
        return self.status.phase

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or badly."""
        return phases.is_finished(self.phase)

    @property
    def reasons(self) -> list[str]:
        """Why it failed, in Velero's words."""
        return [*self.status.validation_errors, *([self.status.failure_reason] if self.status.failure_reason else [])]

    @property
    def reason(self) -> str:
        """The reasons in one line."""
        if self.reasons:
            return "; ".join(self.reasons)
        return f"{self.status.errors} errors and {self.status.warnings} warnings; its results name them"


class Backup(_Operation):
    """A Backup."""

    spec: BackupSpec = Field(default_factory=BackupSpec)

    @property
    def failed_as_taken(self) -> bool:
        """Whether it failed only because the bucket has a backup of that name."""
        return self.phase == phases.FAILED and ALREADY_STORED in self.status.failure_reason

    @property
    def interrupted(self) -> bool:
        """Whether it failed only because Velero was restarted meanwhile."""
        return self.phase == phases.FAILED and SERVER_STARTED in self.status.failure_reason


class Restore(_Operation):
    """A Restore."""

    spec: RestoreSpec = Field(default_factory=RestoreSpec)


class LocationStatus(VeleroModel):
    """``phase`` is empty until the first validation; ``last_validation_time`` is Velero's own text of it."""

    phase: str = ""
    message: str = ""
    last_validation_time: str | None = None


class BackupStorageLocation(VeleroModel):
    """Where Velero keeps backups."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: LocationStatus = Field(default_factory=LocationStatus)


class ResultLines(VeleroModel):
    """Messages of a Backup or Restore by where they arose."""

    velero: list[str] = []
    cluster: list[str] = []
    namespaces: dict[str, list[str]] = {}

    def lines(self) -> list[str]:
        """All messages, namespaced ones with their namespace in front."""
        named = [f"{namespace}: {line}" for namespace, lines in self.namespaces.items() for line in lines]
        return [*self.velero, *self.cluster, *named]


class Results(VeleroModel):
    """``<name>-results.gz`` of a Backup or Restore."""

    errors: ResultLines = Field(default_factory=ResultLines)
    warnings: ResultLines = Field(default_factory=ResultLines)


class VolumeInfo(VeleroModel):
    """One entry of ``<backup>-volumeinfo.json.gz``: what happened to a volume."""

    pvc_name: str = ""
    pvc_namespace: str = ""
    pv_name: str = ""
    backup_method: str = ""
    skipped: bool = False
    skipped_reason: str = ""


def parse_backup(document: Mapping[str, Any]) -> Backup:
    """A Backup as the API server or the bucket has it; ``null`` fields count as absent."""
    return Backup.model_validate(without_nulls(document))


def parse_restore(document: Mapping[str, Any]) -> Restore:
    """A Restore as the API server has it."""
    return Restore.model_validate(without_nulls(document))


def parse_location(document: Mapping[str, Any]) -> BackupStorageLocation:
    """A BackupStorageLocation as the API server has it."""
    return BackupStorageLocation.model_validate(without_nulls(document))


def created_at(document: Mapping[str, Any]) -> datetime | None:
    """``metadata.creationTimestamp`` as an aware time; Kubernetes keeps whole seconds."""
    text = (document.get("metadata") or {}).get("creationTimestamp")
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def without_nulls(value: Any) -> Any:
    """The same without fields that are ``null``, which Go writes for what is not set."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value
