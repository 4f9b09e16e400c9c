"""The tables: jobs, their steps and events, and backups. Times are aware UTC everywhere."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Index, TypeDecorator, text
from sqlmodel import JSON, Column, Field, SQLModel

from app.jobs.states import ACTIVE_SQL, JobStatus


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out; SQLite itself keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """To the database: a naive time is a mistake of ours."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _time(*, nullable: bool = True) -> Any:
    return Column(UtcDateTime(), nullable=nullable)


def _json(*, nullable: bool = True) -> Any:
    return Column(JSON(none_as_null=True), nullable=nullable)


class Job(SQLModel, table=True):
    """One accepted operation."""

    __tablename__ = "job"
    __table_args__ = (
        Index(
            "job_one_active_per_instance",
            "host",
            "instance",
            unique=True,
            sqlite_where=text(ACTIVE_SQL),
            postgresql_where=text(ACTIVE_SQL),
        ),
        Index("job_by_instance", "instance", "id"),
    )

    id: str = Field(primary_key=True, description="UUIDv7, so ids sort by time.")
    type: str
    instance: str
    host: str = Field(description="Only the service of this host runs the job.")
    status: str = Field(default=JobStatus.QUEUED)
    request: dict[str, Any] = Field(sa_column=_json(nullable=False))
    labels: dict[str, str] = Field(default_factory=dict, sa_column=_json(nullable=False))
    result: dict[str, Any] | None = Field(default=None, sa_column=_json())
    error: dict[str, Any] | None = Field(default=None, sa_column=_json())
    warnings: list[dict[str, Any]] = Field(default_factory=list, sa_column=_json(nullable=False))
    step: str | None = None
    progress: dict[str, Any] | None = Field(default=None, sa_column=_json())
    attempt: int = 0
    backup: str | None = None
    created_at: datetime = Field(sa_column=_time(nullable=False))
    started_at: datetime | None = Field(default=None, sa_column=_time())
    finished_at: datetime | None = Field(default=None, sa_column=_time())
    deadline_at: datetime = Field(sa_column=_time(nullable=False))
    power_off_begun_at: datetime | None = Field(default=None, sa_column=_time())


class JobStep(SQLModel, table=True):
    """One step of a job, once it was begun; a finished one is never run again."""

    __tablename__ = "job_step"

    job_id: str = Field(primary_key=True, foreign_key="job.id")
    key: str = Field(primary_key=True, description="Name, and the try where it is not the first: `create-backup#2`.")
    status: str
    result: Any = Field(default=None, sa_column=_json())
    error: dict[str, Any] | None = Field(default=None, sa_column=_json())
    started_at: datetime = Field(sa_column=_time(nullable=False))
    finished_at: datetime | None = Field(default=None, sa_column=_time())


class JobEvent(SQLModel, table=True):
    """Something that happened to a job; ``id`` rises and is the cursor of those who follow."""

    __tablename__ = "job_event"

    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="job.id", index=True)
    at: datetime = Field(sa_column=_time(nullable=False))
    type: str
    data: dict[str, Any] = Field(sa_column=_json(nullable=False))


class BackupRecord(SQLModel, table=True):
    """One backup as history; a deleted one stays as a row."""

    __tablename__ = "backup"

    host: str = Field(primary_key=True)
    instance: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    instance_id: str
    job_id: str | None = None
    scope: str = Field(description="full, partial or unknown")
    status: str = Field(description="proven, unproven or deleted")
    pinned: bool = False
    size_bytes: int | None = None
    items: int | None = None
    seconds: float | None = None
    created_at: datetime = Field(sa_column=_time(nullable=False))
    proven_at: datetime | None = Field(default=None, sa_column=_time())
    deleted_at: datetime | None = Field(default=None, sa_column=_time())
    proof: dict[str, Any] | None = Field(default=None, sa_column=_json())
