"""The errors that reach a user: each says what, why and what to do.

An error carries a stable ``code`` and an HTTP ``status`` as class attributes, so the same class serves
as the answer to a request and as the end of a job (RFC 9457 problem details in both places).
Adapters derive their own errors from these two roots in their own ``errors.py``.
"""

import errno
from typing import Any, ClassVar

#: What the system says of a disk without room, or of a file that may not grow.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class ServiceError(Exception):
    """A permanent failure: trying the same again will not help.

    ``extras`` become members of the problem document; they must be JSON values and never secrets.
    """

    code: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, remedy: str = "", **extras: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.extras = extras

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 document of this error, without the ``instance`` URI that only the API knows."""
        document: dict[str, Any] = {
            "type": f"urn:kecs-state:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.remedy:
            document["remedy"] = self.remedy
        return document | self.extras


class TemporaryError(ServiceError):
    """A failure that may pass by itself: a step tries again until its deadline."""

    code = "temporarily-unavailable"
    status = 503
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, remedy: str = "", retry_after_seconds: float | None = None, **extras: Any):
        super().__init__(detail, remedy=remedy, **extras)
        self.retry_after_seconds = retry_after_seconds


class VolumesNotSaved(ServiceError):
    code, status, title = "volumes-not-saved", 409, "Volumes would not be saved"


class InvalidInstanceName(ServiceError):
    code, status, title = "invalid-instance-name", 422, "Invalid instance name"


class InstanceNotFound(ServiceError):
    code, status, title = "instance-not-found", 404, "Instance not found"


class ClusterAbsent(ServiceError):
    code, status, title = "cluster-absent", 404, "The instance has no cluster"


class ClusterStateUnknown(TemporaryError):
    code, status, title = "cluster-state-unknown", 503, "Cluster state unknown"


class ClusterHalfOff(ServiceError):
    code, status, title = "cluster-half-off", 503, "Cluster is neither on nor off"


class ClusterCommandError(ServiceError):
    code, status, title = "cluster-command-failed", 502, "The power driver failed"


class InstanceNotRunning(ServiceError):
    code, status, title = "instance-not-running", 409, "Instance is not running"


class JobNotFound(ServiceError):
    code, status, title = "job-not-found", 404, "Job not found"


class BackupNotFound(ServiceError):
    code, status, title = "backup-not-found", 404, "Backup not found"


class BackupNotProven(ServiceError):
    code, status, title = "backup-not-proven", 409, "Backup is not proven"


class OperationInProgress(ServiceError):
    code, status, title = "operation-in-progress", 409, "Another job is active on this instance"


class RestoreOutstanding(ServiceError):
    code, status, title = "restore-outstanding", 409, "A restore is outstanding"


class NoRestoreOutstanding(ServiceError):
    code, status, title = "no-restore-outstanding", 409, "No restore is outstanding"


class JobAlreadyFinished(ServiceError):
    code, status, title = "job-already-finished", 409, "The job has already ended"


class PastPointOfNoReturn(ServiceError):
    code, status, title = "past-point-of-no-return", 409, "The power-off has begun"


class NotSupported(ServiceError):
    code, status, title = "not-supported", 422, "Not supported yet"


class VeleroBackupRequired(ServiceError):
    code, status, title = "velero-backup-required", 422, "Doing without Velero is not possible any more"


class ContradictingPolicy(ServiceError):
    code, status, title = "contradicting-policy", 422, "The policy contradicts itself or the settings"


class StorageNotOnHost(ServiceError):
    code, status, title = "storage-not-on-host", 409, "The backup storage is not on the host"


class StorageMoved(ServiceError):
    code, status, title = "storage-moved", 409, "The backup storage has moved"


class EncryptionKeyUnusable(ServiceError):
    code, status, title = "encryption-key-unusable", 409, "The encryption key is missing or another one"


class ExternalStoreNotConfigured(ServiceError):
    code, status, title = "external-store-not-configured", 409, "The settings do not lead to the external store"


class StoreNotReachedFromCluster(TemporaryError):
    code, status, title = "store-not-reached-from-cluster", 503, "The cluster cannot use the store"


class InsufficientStorage(ServiceError):
    code, status, title = "insufficient-storage", 507, "Not enough disk space"


class ImageMissing(ServiceError):
    code, status, title = "image-missing", 409, "A container image cannot be had"


class ForeignVelero(ServiceError):
    code, status, title = "foreign-velero", 409, "Someone else's Velero is installed"


class ForeignWork(ServiceError):
    code, status, title = "foreign-work-in-progress", 409, "Unfinished work that is not ours waits for Velero"


class WebhookRejectsBackups(ServiceError):
    code, status, title = "webhook-rejects-backups", 409, "An admission webhook rejects backups"


class StackNotReady(ServiceError):
    code, status, title = "stack-not-ready", 502, "Velero or MinIO did not become ready"


class BackupFailed(ServiceError):
    code, status, title = "backup-failed", 502, "Velero did not complete the backup"


class BackupInterrupted(ServiceError):
    code, status, title = "backup-interrupted", 502, "Velero was restarted during the backup"


class ProofFailed(ServiceError):
    code, status, title = "proof-failed", 502, "The backup could not be proven"


class ProofExpired(ServiceError):
    code, status, title = "proof-expired", 502, "The proof was too old to power off"


class BackupDamaged(ServiceError):
    code, status, title = "backup-damaged", 502, "The backup is damaged"


class BackupPinned(ServiceError):
    code, status, title = "backup-pinned", 423, "The backup is pinned"


class LastGoodBackup(ServiceError):
    code, status, title = "last-good-backup", 409, "It is the last good backup"


class JobOfAnotherHost(ServiceError):
    code, status, title = "job-of-another-host", 409, "The job belongs to another host"


class JobNotRetryable(ServiceError):
    code, status, title = "job-not-retryable", 409, "The job cannot be submitted again"


class RestoreFailed(ServiceError):
    code, status, title = "restore-failed", 502, "The restore did not bring everything back"


class StepTimeout(ServiceError):
    code, status, title = "step-timeout", 504, "A step did not finish in time"


class TooManyAttempts(ServiceError):
    code, status, title = "too-many-attempts", 500, "The job was interrupted too often"


class ShuttingDown(TemporaryError):
    code, status, title = "shutting-down", 503, "The service is shutting down"


class MigrationIncomplete(ServiceError):
    code, status, title = "migration-incomplete", 409, "A backup does not hold all that KECS tells of"


class NotMigrated(ServiceError):
    code, status, title = "not-migrated", 409, "The instance was not migrated"


class ResourcesExhausted(TemporaryError):
    code, status, title = "resources-exhausted", 503, "This machine has run out of something"


def of_this_machine(error: OSError) -> ServiceError | None:
    """What the system says of the machine as a whole, in our words; None for an error that is about one thing."""
    path = f" (at {error.filename})" if error.filename else ""
    if error.errno in DISK_FULL:
        return InsufficientStorage(
            f"no space left on this machine's disk{path}", remedy="Free space on that disk, then try again."
        )
    if error.errno in _EXHAUSTED:
        return ResourcesExhausted(
            f"this machine gives the service no more: {error.strerror}{path}",
            remedy="Raise the limit (ulimit -n for open files), or end what uses so much.",
        )
    return None
