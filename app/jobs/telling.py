"""How the store tells of what others want to hear, in the very transaction that makes it true."""

from typing import Any, Protocol

from sqlmodel import Session

from app.jobs.models import Job


class Tell(Protocol):
    """Writes down, on the session of the change, that something happened to a job."""

    def __call__(self, session: Session, event: str, job: Job, details: dict[str, Any]) -> None:
        """``event``: job.started, job.succeeded, job.failed, job.cancelled, backup.proven or restore.finished."""


def tell_nobody(session: Session, event: str, job: Job, details: dict[str, Any]) -> None:
    """For stores whose changes nobody waits for."""
