"""A job's statuses and the ways between them."""

from enum import StrEnum


class JobStatus(StrEnum):
    """``cancelling`` is still active: the instance's slot is held until the task has really ended."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.CANCELLING})
ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})

#: For the partial indexes, which want their conditions as text.
ACTIVE_SQL = "status IN ('queued', 'running', 'cancelling')"
ENDED_SQL = "status IN ('succeeded', 'failed', 'cancelled')"
