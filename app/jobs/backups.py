"""Every query on backups, each in a short transaction of its own."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import text, tuple_
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.db import Database
from app.jobs.counting import count_backup
from app.jobs.models import KEPT_SQL, BackupRecord, Job
from app.jobs.telling import Tell, tell_nobody
from app.queries import now, reads, writes


class BackupStore:
    """The backups of one host's instances."""

    def __init__(self, database: Database, host: str, tell: Tell = tell_nobody) -> None:
        self.database = database
        self.host = host
        self._tell = tell

    @writes
    def save(self, session: Session, record: BackupRecord) -> None:
        """Insert or replace the row of one backup; that a job has proven it is told and counted once."""
        before = session.get(BackupRecord, (record.host, record.instance, record.name))
        news = record.status == "proven" and (before is None or before.status != "proven")
        job = session.get(Job, record.job_id) if news and record.job_id else None
        count_backup(session, before, record)
        session.merge(record)
        if job is not None:
            self._tell(session, "backup.proven", job, {"backup": record.name, "size_bytes": record.size_bytes})

    @reads
    def kept(self, session: Session, instance: str) -> Sequence[BackupRecord]:
        """Every backup of an instance that is not deleted, newest first: a few, however long the history is."""
        return session.execute(self._newest_first(instance).where(text(KEPT_SQL))).scalars().all()

    @reads
    def recorded(self, session: Session, instance: str, names: Collection[str]) -> set[str]:
        """Which of these names have a row, be it of a deleted backup."""
        of_instance = col(BackupRecord.host) == self.host, col(BackupRecord.instance) == instance
        query = select(BackupRecord.name).where(*of_instance, col(BackupRecord.name).in_(names))
        return set(session.execute(query).scalars())

    @reads
    def find(self, session: Session, instance: str, name: str) -> BackupRecord | None:
        """One backup that is not deleted, if it is known."""
        record = session.get(BackupRecord, (self.host, instance, name))
        return record if record is not None and record.status != "deleted" else None

    @reads
    def page(
        self, session: Session, instance: str, *, status: str | None, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[BackupRecord]:
        """Newest first; ``before`` is the time and the name of the last one of the page before."""
        order = tuple_(col(BackupRecord.created_at), col(BackupRecord.name))
        query = self._newest_first(instance).limit(limit)
        if status is not None:
            query = query.where(col(BackupRecord.status) == status)
        if before is not None:
            query = query.where(order < before)
        return session.execute(query).scalars().all()

    @writes
    def pin(self, session: Session, instance: str, name: str, *, pinned: bool) -> BackupRecord:
        """Set or lift the pin of a known backup."""
        record = session.get_one(BackupRecord, (self.host, instance, name))
        record.pinned = pinned
        return record

    @writes
    def mark_deleted(self, session: Session, instance: str, name: str) -> None:
        """Keep the row of a deleted backup as history."""
        record = session.get(BackupRecord, (self.host, instance, name))
        if record is not None:
            record.status, record.deleted_at = "deleted", now()

    def _newest_first(self, instance: str) -> SelectOfScalar[BackupRecord]:
        return (
            select(BackupRecord)
            .where(col(BackupRecord.host) == self.host, col(BackupRecord.instance) == instance)
            .order_by(col(BackupRecord.created_at).desc(), col(BackupRecord.name).desc())
        )
