"""What can go wrong between us and Velero, beyond the errors every part shares."""

from app.errors import ServiceError


class InvalidScope(ServiceError):
    """What was asked to be saved or restored cannot be said to Velero."""

    code, status, title = "invalid-scope", 422, "The scope is not valid"


class BackupDeletionFailed(ServiceError):
    """Velero did not delete a backup."""

    code, status, title = "backup-deletion-failed", 502, "Velero did not delete the backup"
