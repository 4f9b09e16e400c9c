"""The record of requests that change something: who asked for what, and how it was answered."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from app.access.models import AuditEvent
from app.db import Database
from app.queries import now, reads, writes


class AuditStore:
    """The audit events of one host."""

    def __init__(self, database: Database, host: str) -> None:
        self.database = database
        self.host = host

    @writes
    def add(self, session: Session, *, caller: str, method: str, path: str, status: int) -> None:
        """Record one answered request."""
        event = AuditEvent(at=now(), host=self.host, caller=caller, method=method, path=path, status=status)
        session.add(event)

    @reads
    def list(self, session: Session, *, before: int | None, limit: int) -> Sequence[AuditEvent]:
        """Newest first; ``before`` is the id of the last one of the page before."""
        query = select(AuditEvent).where(col(AuditEvent.host) == self.host).order_by(col(AuditEvent.id).desc())
        if before is not None:
            query = query.where(col(AuditEvent.id) < before)
        return session.execute(query.limit(limit)).scalars().all()
