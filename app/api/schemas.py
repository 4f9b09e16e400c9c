"""The wire form of jobs, events and backups; instances and requests have theirs in ``app.workflows.requests``."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.paging import Page
from app.api.problems import Problem
from app.jobs.models import BackupRecord, Job, JobEvent
from app.jobs.states import ACTIVE, JobStatus
from app.proof.models import Proof
from app.workflows.requests import InstanceView

JobType = Literal[
    "stop",
    "start",
    "backup",
    "restore",
    "validate",
    "rebuild",
    "delete-backup",
    "migrate",
    "move-storage",
    "stack-wake",
    "stack-sleep",
]


class Progress(BaseModel):
    """How far the current step is."""

    message: str = ""
    percent: int | None = None
    items_done: int | None = None
    items_total: int | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None


class JobWarning(BaseModel):
    """Something to know although the job went on; further members carry details of the `code`."""

    model_config = ConfigDict(extra="allow")

    code: str
    detail: str


class JobView(BaseModel):
    """One accepted operation."""

    id: str = Field(description="UUIDv7, so ids sort by time.")
    type: JobType
    instance_name: str
    host: str = Field(description="Whose service works it; several hosts may share one history.")
    status: JobStatus
    step: str | None = Field(description="The step that runs now; a second try of it ends in `#2`.")
    progress: Progress | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime
    attempt: int = Field(description="Runs of this job by successive processes of the service.")
    backup: str | None = Field(description="The backup it makes or restores.")
    result: dict[str, Any] | None = Field(description="How it ended, by type; null until it has succeeded.")
    warnings: list[JobWarning]
    error: Problem | None = Field(description="Why it failed.")
    labels: dict[str, str]
    links: dict[str, str]

    @classmethod
    def of(cls, job: Job) -> "JobView":
        """The document of a row."""
        links = {
            "self": f"/jobs/{job.id}",
            "events": f"/jobs/{job.id}/events",
            "instance": f"/instances/{job.instance}",
        }
        if job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
            links["retry"] = f"/jobs/{job.id}/retry"
        if job.status in ACTIVE:
            links["cancel"] = f"/jobs/{job.id}/cancel"
        if job.backup:
            links["backup"] = f"/instances/{job.instance}/backups/{job.backup}"
        labels = job.request.get("labels", {})
        return cls.model_validate(job.model_dump() | {"instance_name": job.instance, "labels": labels, "links": links})


class JobPage(Page):
    """Jobs, newest first."""

    jobs: list[JobView]


class EventView(BaseModel):
    """Something that happened to a job."""

    id: int = Field(description="Rises; give the last one seen as `after`.")
    job_id: str
    at: datetime
    type: str = Field(examples=["step.started", "step.succeeded", "warning", "job.succeeded"])
    data: dict[str, Any]

    @classmethod
    def of(cls, event: JobEvent) -> "EventView":
        """The document of a row."""
        return cls.model_validate(event.model_dump())


class BackupView(BaseModel):
    """One backup of an instance; a deleted one stays as history."""

    id: str = Field(description="Velero's name of the Backup.")
    instance_name: str
    job_id: str | None
    scope: Literal["full", "partial", "unknown"] = Field(description="`unknown` where only the bucket tells of it.")
    status: str = Field(description="`proven`, `accepted`, `unproven`, `failed` or `deleted`.")
    pinned: bool
    size_bytes: int | None
    items: int | None
    seconds: float | None = Field(description="How long making and proving it took.")
    created_at: datetime
    proven_at: datetime | None
    deleted_at: datetime | None
    links: dict[str, str]

    @classmethod
    def of(cls, record: BackupRecord) -> "BackupView":
        """The document of a row."""
        return cls.model_validate(_backup_fields(record))


class BackupDetail(BackupView):
    """One backup with what was checked of it."""

    proof: Proof | None = Field(description="Null if it was never proven on this host.")

    @classmethod
    def with_proof(cls, record: BackupRecord, proof: Proof | None) -> "BackupDetail":
        """The document of a row and its evidence on the host."""
        return cls.model_validate(_backup_fields(record) | {"proof": proof})


class BackupList(Page):
    """Backups, newest first."""

    backups: list[BackupView]


class InstanceList(BaseModel):
    """Instances, by name."""

    instances: list[InstanceView]


def _backup_fields(record: BackupRecord) -> dict[str, Any]:
    links = {"self": f"/instances/{record.instance}/backups/{record.name}", "instance": f"/instances/{record.instance}"}
    for name in ("logs", "results", "contents"):
        if record.status != "deleted":
            links[name] = f"{links['self']}/{name}"
    if record.job_id:
        links["job"] = f"/jobs/{record.job_id}"
    return record.model_dump() | {"id": record.name, "instance_name": record.instance, "links": links}
