"""Every query on what is old, of one host: found in a read, removed in short transactions, a few rows in each."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, text
from sqlmodel import Session, col, select

from app.access.models import AuditEvent
from app.db import Database
from app.jobs.models import BackupRecord, Job, JobEvent, JobStep
from app.jobs.repository import lowest_id_of
from app.jobs.states import ENDED_SQL
from app.queries import reads, writes
from app.webhooks.models import Delivery

#: Each with its steps and events, some sixty rows: others wait a few hundredths of a second for the lock.
JOBS_AT_ONCE = 50
#: Of everything else.
ROWS_AT_ONCE = 500


class HistoryStore:
    """The history of one host; nothing here touches another one's."""

    def __init__(self, database: Database, host: str) -> None:
        self.database = database
        self._host = host

    @reads
    def instances(self, session: Session) -> Sequence[str]:
        """The names of all instances with ended jobs or backups."""
        backups = select(BackupRecord.instance).where(col(BackupRecord.host) == self._host).distinct()
        names = set(session.execute(backups).scalars().all())
        # From name to name in the index: a DISTINCT would read every job.
        query = select(Job.instance).where(col(Job.host) == self._host, text(ENDED_SQL))
        query = query.order_by(col(Job.instance)).limit(1)
        name = session.execute(query).scalar()
        while name is not None:
            names.add(name)
            name = session.execute(query.where(col(Job.instance) > name)).scalar()
        return sorted(names)

    @reads
    def id_of_newest(self, session: Session, instance: str, number: int) -> str | None:
        """The id of an instance's job that so many newer ones and it make ``number``; None if it has had fewer."""
        query = select(Job.id).where(col(Job.host) == self._host, col(Job.instance) == instance, text(ENDED_SQL))
        return session.execute(query.order_by(col(Job.id).desc()).offset(number - 1).limit(1)).scalar()

    @reads
    def old_jobs(
        self, session: Session, instance: str, before: datetime, *, below: str, due: Collection[str]
    ) -> Sequence[str]:
        """Ids of an instance's jobs that may go, oldest first: ended before that time, with ids ``below`` that one.

        Not the one that made a backup there is a row of, nor one about a backup that is ``due``, nor one of which a
        message still waits to be sent. Nor the one that had the newest event of all: SQLite would give its id again,
        and those who follow events by their ids would miss what comes then.
        """
        makers = select(BackupRecord.job_id).where(
            col(BackupRecord.host) == self._host,
            col(BackupRecord.instance) == instance,
            col(BackupRecord.job_id).is_not(None),
        )
        told = select(Delivery.job_id).where(
            col(Delivery.host) == self._host, col(Delivery.status) == "pending", col(Delivery.job_id).is_not(None)
        )
        newest = select(JobEvent.job_id).order_by(col(JobEvent.id).desc()).limit(1)
        query = select(Job.id).where(
            col(Job.host) == self._host,
            col(Job.instance) == instance,
            text(ENDED_SQL),
            col(Job.id) < min(lowest_id_of(before), below),
            col(Job.finished_at) < before,
            col(Job.id).not_in(makers),
            col(Job.id).not_in(told),
            col(Job.id).not_in(newest),
            or_(col(Job.backup).is_(None), col(Job.backup).not_in(due)),
        )
        return session.execute(query.order_by(col(Job.id)).limit(JOBS_AT_ONCE)).scalars().all()

    @writes
    def remove_jobs(self, session: Session, ids: Sequence[str]) -> None:
        """Remove ended jobs with their steps and events, so that nobody ever sees half of one."""
        session.execute(delete(JobEvent).where(col(JobEvent.job_id).in_(ids)))
        session.execute(delete(JobStep).where(col(JobStep.job_id).in_(ids)))
        session.execute(delete(Job).where(col(Job.id).in_(ids)))

    @reads
    def old_backups(self, session: Session, instance: str, before: datetime, present: Collection[str]) -> Sequence[str]:
        """Names of backups deleted before that time of which nothing is ``present`` on the host.

        Without its row, what is left of a deleted backup would be taken for a backup of a lost database.
        """
        query = select(BackupRecord.name).where(
            col(BackupRecord.host) == self._host,
            col(BackupRecord.instance) == instance,
            col(BackupRecord.status) == "deleted",
            col(BackupRecord.deleted_at) < before,
            col(BackupRecord.name).not_in(present),
        )
        return session.execute(query.limit(ROWS_AT_ONCE)).scalars().all()

    @writes
    def remove_backups(self, session: Session, instance: str, names: Sequence[str]) -> None:
        """Remove the rows of deleted backups."""
        session.execute(
            delete(BackupRecord).where(
                col(BackupRecord.host) == self._host,
                col(BackupRecord.instance) == instance,
                col(BackupRecord.name).in_(names),
                col(BackupRecord.status) == "deleted",
            )
        )

    @reads
    def old_messages(self, session: Session, before: datetime) -> Sequence[str]:
        """Ids of messages that were sent, or given up, before that time; those that wait are never old."""
        query = select(Delivery.id).where(
            col(Delivery.host) == self._host,
            col(Delivery.status) != "pending",
            col(Delivery.id) < f"msg_{lowest_id_of(before)}",
            func.coalesce(Delivery.delivered_at, Delivery.created_at) < before,
        )
        return session.execute(query.order_by(col(Delivery.id)).limit(ROWS_AT_ONCE)).scalars().all()

    @writes
    def remove_messages(self, session: Session, ids: Sequence[str]) -> None:
        """Remove messages, unless somebody has asked to send one once more meanwhile."""
        session.execute(delete(Delivery).where(col(Delivery.id).in_(ids), col(Delivery.status) != "pending"))

    @reads
    def old_audit_events(self, session: Session, before: datetime) -> Sequence[int]:
        """Ids of audit events from before that time, among the oldest: they were written in the order of their ids."""
        query = select(AuditEvent.id, AuditEvent.at).where(col(AuditEvent.host) == self._host)
        rows = session.execute(query.order_by(col(AuditEvent.id)).limit(ROWS_AT_ONCE))
        return [number for number, at in rows if at < before]

    @writes
    def remove_audit_events(self, session: Session, ids: Sequence[int]) -> None:
        """Remove audit events."""
        session.execute(delete(AuditEvent).where(col(AuditEvent.id).in_(ids)))
