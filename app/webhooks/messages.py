"""What a message says; the same models make its body and its description in OpenAPI."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.jobs.models import Job
from app.queries import now

TRIAL_TYPE: Literal["webhook.test"] = "webhook.test"


class EventType(StrEnum):
    """What can be subscribed to."""

    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    BACKUP_PROVEN = "backup.proven"
    RESTORE_FINISHED = "restore.finished"


class JobBrief(BaseModel):
    """A job at the moment the message tells of; `GET /jobs/{id}` has all of it."""

    id: str
    type: str
    status: str
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    backup: str | None = Field(description="The backup it makes or restores.")
    result: dict[str, Any] | None = Field(description="The plain values of how it ended, without the lists.")
    error: dict[str, Any] | None = Field(description="The problem document of why it failed.")
    warnings: list[dict[str, str]] = Field(description="`code` and `detail` of each.")

    @classmethod
    def of(cls, job: Job) -> "JobBrief":
        """The brief of a row."""
        return cls(
            **job.model_dump(include=set(cls.model_fields) - {"result", "error", "warnings"}),
            result=_plain_values(job.result),
            error=_plain_values(job.error),
            warnings=[{key: str(warning.get(key, "")) for key in ("code", "detail")} for warning in job.warnings],
        )


class JobNews(BaseModel):
    """What happened, and to which job of which instance."""

    instance_name: str
    job: JobBrief
    backup: str | None = Field(default=None, description="The proven or the restored backup.")
    size_bytes: int | None = Field(default=None, description="Of the proven backup.")
    links: dict[str, str] = Field(description="Paths below the service's address.")

    @classmethod
    def of(cls, job: Job, details: dict[str, Any]) -> "JobNews":
        """The news of a job; ``details`` are those the store tells."""
        backup = details.get("backup") or job.backup
        links = {"job": f"/jobs/{job.id}", "instance": f"/instances/{job.instance}"}
        if backup:
            links["backup"] = f"/instances/{job.instance}/backups/{backup}"
        return cls(
            instance_name=job.instance,
            job=JobBrief.of(job),
            backup=details.get("backup"),
            size_bytes=details.get("size_bytes"),
            links=links,
        )


class JobMessage(BaseModel):
    """The body of a message about a job."""

    type: EventType
    timestamp: datetime = Field(description="When it happened; `webhook-timestamp` is when it was sent.")
    data: JobNews


class TrialNews(BaseModel):
    """That is all a test says."""

    webhook_id: str
    description: str


class TrialMessage(BaseModel):
    """The body of a message asked for by `POST /webhooks/{id}/test`."""

    type: Literal["webhook.test"] = TRIAL_TYPE
    timestamp: datetime
    data: TrialNews


def job_body(event: str, job: Job, details: dict[str, Any]) -> str:
    """The body that tells of a job."""
    return _body(JobMessage(type=EventType(event), timestamp=now(), data=JobNews.of(job, details)))


def trial_body(webhook_id: str, description: str) -> str:
    """The body of a test."""
    return _body(TrialMessage(timestamp=now(), data=TrialNews(webhook_id=webhook_id, description=description)))


def _body(message: BaseModel) -> str:
    """Plain ASCII, so that no database and no odd character of an error can change a byte of it."""
    return json.dumps(message.model_dump(mode="json"), separators=(",", ":"))


def _plain_values(document: dict[str, Any] | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {key: value for key, value in document.items() if value is None or isinstance(value, str | int | float)}
