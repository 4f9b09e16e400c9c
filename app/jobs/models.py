"""The tables: jobs, their steps and events, backups, figures, and who works for a host. Times are aware UTC."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from app.columns import json_column, large_column, time_column
from app.jobs.states import ACTIVE_SQL, ENDED_SQL, JobStatus

#: Most jobs come without a key, and are in no index of keys.
KEYED_SQL = "idempotency_key IS NOT NULL"
#: Of backups, those that are gone are most.
KEPT_SQL = "status <> 'deleted'"
# Indexes that are partial here are so on PostgreSQL too, by the migrations. To say it here would load that dialect at
# every start: 25 ms.


class Job(SQLModel, table=True):
    """One accepted operation."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_one_active_per_instance", "host", "instance", unique=True, sqlite_where=text(ACTIVE_SQL)),
        # One for each set of filters, newest first: a page costs the same whatever is asked for, and no planner can
        # choose badly. SQLite's knows nothing of how rare a value is. Measured in docs/scale.md.
        Index("job_by_instance", "instance", "id"),
        Index("job_by_instance_and_status", "instance", "status", "id"),
        Index("job_by_instance_and_type", "instance", "type", "id"),
        Index("job_by_instance_status_and_type", "instance", "status", "type", "id"),
        Index("job_by_status", "status", "id"),
        Index("job_by_status_and_type", "status", "type", "id"),
        Index("job_by_type", "type", "id"),
        # For what a host asks of its own jobs: how long the newest took, and which are old. Of ended jobs alone: so
        # no planner looks here for the active ones.
        Index("job_ended", "host", "id", sqlite_where=text(ENDED_SQL)),
        Index("job_ended_by_instance", "host", "instance", "id", sqlite_where=text(ENDED_SQL)),
        Index("job_by_idempotency_key", "host", "idempotency_key", unique=True, sqlite_where=text(KEYED_SQL)),
    )

    id: str = Field(primary_key=True, description="UUIDv7, so ids sort by time.")
    type: str
    instance: str
    host: str = Field(description="Only the service of this host runs the job.")
    status: str = Field(default=JobStatus.QUEUED)
    request: dict[str, Any] = Field(sa_column=json_column(nullable=False))
    labels: dict[str, str] = Field(default_factory=dict, sa_column=json_column(nullable=False))
    result: dict[str, Any] | None = Field(default=None, sa_column=json_column())
    error: dict[str, Any] | None = Field(default=None, sa_column=json_column())
    warnings: list[dict[str, Any]] = Field(default_factory=list, sa_column=json_column(nullable=False))
    step: str | None = None
    progress: dict[str, Any] | None = Field(default=None, sa_column=json_column())
    attempt: int = 0
    backup: str | None = None
    created_at: datetime = Field(sa_column=time_column(nullable=False))
    started_at: datetime | None = Field(default=None, sa_column=time_column())
    finished_at: datetime | None = Field(default=None, sa_column=time_column())
    deadline_at: datetime = Field(sa_column=time_column(nullable=False))
    power_off_begun_at: datetime | None = Field(default=None, sa_column=time_column())
    idempotency_key: str | None = Field(default=None, description="The caller's; a second request with it is this job.")
    fingerprint: str | None = Field(default=None, description="SHA-256 of method, path and body sent with that key.")


class JobStep(SQLModel, table=True):
    """One step of a job, once it was begun; a finished one is never run again."""

    __tablename__ = "job_step"

    job_id: str = Field(primary_key=True, foreign_key="job.id")
    key: str = Field(primary_key=True, description="Name, and the try where it is not the first: `create-backup#2`.")
    status: str
    result: Any = Field(default=None, sa_column=json_column())
    error: dict[str, Any] | None = Field(default=None, sa_column=json_column())
    started_at: datetime = Field(sa_column=time_column(nullable=False))
    finished_at: datetime | None = Field(default=None, sa_column=time_column())


class JobEvent(SQLModel, table=True):
    """Something that happened to a job; ``id`` rises and is the cursor of those who follow."""

    __tablename__ = "job_event"

    id: int | None = Field(default=None, sa_column=large_column(primary_key=True))
    job_id: str = Field(foreign_key="job.id", index=True)
    at: datetime = Field(sa_column=time_column(nullable=False))
    type: str
    data: dict[str, Any] = Field(sa_column=json_column(nullable=False))


class BackupRecord(SQLModel, table=True):
    """One backup as history; a deleted one stays as a row for as long as jobs do."""

    __tablename__ = "backup"
    __table_args__ = (
        Index("backup_by_host", "host", "created_at"),
        Index("backup_by_instance", "host", "instance", "created_at", "name"),
        Index("backup_kept", "host", "instance", "created_at", "name", sqlite_where=text(KEPT_SQL)),
    )

    host: str = Field(primary_key=True)
    instance: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    instance_id: str
    job_id: str | None = None
    scope: str = Field(description="full, partial or unknown")
    status: str = Field(description="proven, accepted, unproven or deleted")
    pinned: bool = False
    size_bytes: int | None = Field(default=None, sa_column=large_column(nullable=True))
    items: int | None = None
    seconds: float | None = None
    created_at: datetime = Field(sa_column=time_column(nullable=False))
    proven_at: datetime | None = Field(default=None, sa_column=time_column())
    deleted_at: datetime | None = Field(default=None, sa_column=time_column())
    proof: dict[str, Any] | None = Field(default=None, sa_column=json_column())


class Figure(SQLModel, table=True):
    """How often something has ended one way on an instance; stays when the rows are removed it was counted from."""

    __tablename__ = "figure"

    host: str = Field(primary_key=True)
    instance: str = Field(primary_key=True)
    name: str = Field(primary_key=True, description="`jobs.<type>`, `backups`, `restores`, or `<operation>_seconds`.")
    label: str = Field(primary_key=True, description="A status, a result, or the upper limit of a histogram's bucket.")
    count: int = Field(default=0, sa_column=large_column())
    seconds: float = Field(default=0.0, description="Of all that was counted; 0 for what is no duration.")
    last_at: datetime = Field(sa_column=time_column(nullable=False))


class HostClaim(SQLModel, table=True):
    """The process that works a host's jobs, in a database that several hosts share."""

    __tablename__ = "host_claim"

    host: str = Field(primary_key=True)
    number: int = Field(description="One higher with each process; who finds another one than its own writes no more.")
    holder: str = Field(description="Which process on which machine, for those who are refused.")
    since: datetime = Field(sa_column=time_column(nullable=False))
