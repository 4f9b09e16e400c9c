"""Velero's phases as open sets: a phase we do not know is "not finished", never an error.

Velero adds phases between releases (1.18 brought ``Queued`` and ``ReadyToStart``), so nothing here is an
enum. Source: velero pkg/apis/velero/v1/backup_types.go and restore_types.go.
"""

COMPLETED = "Completed"
PARTIALLY_FAILED = "PartiallyFailed"
FAILED = "Failed"
FAILED_VALIDATION = "FailedValidation"
IN_PROGRESS = "InProgress"
DELETING = "Deleting"
AVAILABLE = "Available"

#: Phases after which neither a Backup nor a Restore changes any more.
FINISHED = frozenset({COMPLETED, PARTIALLY_FAILED, FAILED, FAILED_VALIDATION})


def is_finished(phase: str) -> bool:
    """Whether a Backup or Restore in this phase has ended, well or badly."""
    return phase in FINISHED
