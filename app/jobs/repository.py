"""Every query on jobs, each in a short transaction of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, cast, func, insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, col, select
from uuid6 import uuid7

from app.db import Database
from app.errors import JobAlreadyFinished, JobNotFound, JobOfAnotherHost, OperationInProgress, PastPointOfNoReturn
from app.jobs.backups import BackupStore
from app.jobs.counting import count_end
from app.jobs.models import Job, JobEvent, JobStep
from app.jobs.states import ACTIVE_SQL, ENDED, JobStatus
from app.jobs.tail import Tail
from app.jobs.telling import Tell, tell_nobody
from app.queries import now, reads, writes
from app.settings import HistorySettings

MOST_EVENTS = 1000
#: Characters of JSON; a proof has about 1,500, the list of 60 objects 21,000.
LONGEST_KEPT_RESULT = 4000
#: Steps are written as plain statements: there are many of them, and the unit of work takes three times as long.
_JOB, _STEP, _EVENT = (SQLModel.metadata.tables[model.__tablename__] for model in (Job, JobStep, JobEvent))
#: The one read that every client does again and again. Measured: half the time of the session's own ``get``.
_ONE_JOB = _JOB.select().where(_JOB.c.id == bindparam("id"))


@dataclass(frozen=True)
class RequestKey:
    """A caller's idempotency key, and what it was sent with."""

    key: str
    fingerprint: str


class JobStore:
    """The jobs of one host; ``backups`` are those of its instances, ``tail`` the newest events of every job."""

    def __init__(
        self, database: Database, host: str, tell: Tell = tell_nobody, history: HistorySettings | None = None
    ) -> None:
        self.database = database
        self.host = host
        self.backups = BackupStore(database, host, tell)
        self.tail = Tail(database)
        self._tell = tell
        self._keep_days = (history or HistorySettings()).keep_days

    async def create(
        self,
        kind: str,
        instance: str,
        request: dict[str, Any],
        deadline_at: datetime,
        labels: dict[str, str] | None = None,
        key: RequestKey | None = None,
    ) -> Job:
        """Insert a queued job; the partial unique index refuses a second active one on the instance."""
        job = Job(
            id=str(uuid7()),
            type=kind,
            instance=instance,
            host=self.host,
            request=request,
            labels=labels or {},
            created_at=now(),
            deadline_at=deadline_at,
            idempotency_key=key.key if key else None,
            fingerprint=key.fingerprint if key else None,
        )
        try:
            await self._insert(job)
        except IntegrityError:
            active = await self.active_job(instance)
            if active is None:  # it ended between the insert and the look
                return await self.create(kind, instance, request, deadline_at, labels, key)
            raise OperationInProgress(
                f"job {active.id} ({active.type}) is active on instance {instance!r}",
                remedy=f"Wait for it (GET /jobs/{active.id}?wait=30) or cancel it.",
                instance_name=instance,
                job_id=active.id,
            ) from None
        return job

    @writes
    def _insert(self, session: Session, job: Job) -> None:
        session.add(job)
        session.flush()
        session.add(_event(job.id, "job.created", {"type": job.type, "instance": job.instance}))

    @reads
    def find_by_key(self, session: Session, key: str) -> Job | None:
        """The job that was accepted under an idempotency key."""
        query = select(Job).where(col(Job.host) == self.host, col(Job.idempotency_key) == key)
        return session.execute(query).scalars().first()

    @reads
    def get(self, session: Session, job_id: str) -> Job:
        """One job; raises ``JobNotFound``."""
        row = session.execute(_ONE_JOB, {"id": job_id}).mappings().one_or_none()
        if row is None:
            raise self._no_such(job_id)
        return Job.model_construct(**row)

    def check_own(self, job: Job) -> None:
        """Raise ``JobOfAnotherHost`` for a job that a shared history shows here and that only its host may touch."""
        if job.host != self.host:
            raise JobOfAnotherHost(
                f"job {job.id} is of host {job.host}, and this is host {self.host}",
                remedy="Ask the service of that host.",
                job_id=job.id,
                host=job.host,
            )

    @reads
    def list_jobs(
        self,
        session: Session,
        *,
        instance: str | None = None,
        status: str | None = None,
        kind: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Sequence[Job]:
        """Newest first; ``before`` is the id of the last job of the page before."""
        query = select(Job).order_by(col(Job.id).desc()).limit(limit)
        for column, wanted in ((Job.instance, instance), (Job.status, status), (Job.type, kind)):
            if wanted is not None:
                query = query.where(col(column) == wanted)
        if before is not None:
            query = query.where(col(Job.id) < before)
        return session.execute(query).scalars().all()

    @reads
    def active_jobs(self, session: Session) -> Sequence[Job]:
        """Every job of this host that has not ended, oldest first."""
        # In these words a planner knows the partial index again, which holds the active jobs alone.
        query = select(Job).where(col(Job.host) == self.host, text(ACTIVE_SQL)).order_by(col(Job.id))
        return session.execute(query).scalars().all()

    async def active_job(self, instance: str) -> Job | None:
        """The one active job of an instance, if any."""
        return next((job for job in await self.active_jobs() if job.instance == instance), None)

    @reads
    def instances_with_jobs_since(self, session: Session, since: datetime) -> set[str]:
        """Instances of this host that had a job lately; they may have been left unsettled by a crash."""
        # By the ids, which are in an index: of a long history only its end is read, at every start of the service.
        query = select(Job.instance).where(col(Job.host) == self.host, col(Job.id) >= lowest_id_of(since))
        return set(session.execute(query).scalars().all())

    @writes
    def begin_attempt(self, session: Session, job_id: str, *, counted: bool = True) -> Job:
        """Mark the job running, normally in one more attempt; one that is cancelling or has ended is left as it is."""
        job = self._locked(session, job_id)
        if job.status in {JobStatus.QUEUED, JobStatus.RUNNING}:
            job.status = JobStatus.RUNNING
            job.attempt += counted
            if job.started_at is None:
                job.started_at = now()
                self._tell(session, "job.started", job, {})
            session.add(_event(job_id, "job.started", {"attempt": job.attempt}))
        return job

    @writes
    def give_attempt_back(self, session: Session, job_id: str) -> None:
        """An attempt that ended because the service did, in order, counts for nothing."""
        job = self._locked(session, job_id)
        if job.status == JobStatus.RUNNING:
            job.attempt -= 1

    @writes
    def set_backup(self, session: Session, job_id: str, backup: str) -> None:
        """Name the backup a job makes or restores."""
        self._locked(session, job_id).backup = backup

    @writes
    def set_progress(self, session: Session, job_id: str, progress: dict[str, Any]) -> None:
        """Say how far the current step of a job is, in its row and as an event."""
        self._locked(session, job_id).progress = progress
        session.add(_event(job_id, "progress", progress))

    @writes
    def add_warning(self, session: Session, job_id: str, warning: dict[str, Any]) -> None:
        """Append a warning, once: a step that runs again must not say it twice."""
        job = self._locked(session, job_id)
        if warning not in job.warnings:
            job.warnings = [*job.warnings, warning]
            session.add(_event(job_id, "warning", warning))

    @writes
    def add_event(self, session: Session, job_id: str, kind: str, data: dict[str, Any]) -> None:
        """Append one event."""
        session.add(_event(job_id, kind, data))

    @writes
    def finish(
        self,
        session: Session,
        job_id: str,
        status: JobStatus,
        *,
        result: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """Write a job's end, and that of the step it ended in; an ended job is left as it is.

        Long results of its steps are let go of: they were for a process that goes on with the job, and the list of all
        objects alone would be half of the history.
        """
        job = self._locked(session, job_id)
        if job.status in ENDED:
            return
        job.status, job.result, job.error = status, result, error
        job.finished_at, job.step, job.progress = now(), None, None
        unfinished = select(JobStep).where(col(JobStep.job_id) == job_id, col(JobStep.finished_at).is_(None))
        how = JobStatus.FAILED if status == JobStatus.FAILED else JobStatus.CANCELLED
        for step in session.execute(unfinished).scalars().all():
            step.status, step.error, step.finished_at = how, error, now()
            seconds = (step.finished_at - step.started_at).total_seconds()
            session.add(_step_ended(job_id, step.key, how, seconds=seconds, error=error))
        long = func.length(cast(_STEP.c.result, Text)) > LONGEST_KEPT_RESULT
        session.execute(update(_STEP).where(_STEP.c.job_id == job_id, long).values(result=None))
        session.add(_event(job_id, f"job.{status}", {"error": error} if error else {}))
        count_end(session, job)
        self._tell(session, f"job.{status}", job, {})
        if (restored := (result or {}).get("restored")) is not None:
            self._tell(session, "restore.finished", job, {"backup": restored["backup"]})

    @writes
    def request_cancel(self, session: Session, job_id: str) -> Job:
        """Mark a job for cancelling, decided against the point of no return in one transaction."""
        job = self._locked(session, job_id)
        self.check_own(job)
        if job.status in ENDED:
            raise JobAlreadyFinished(f"job {job_id} has already {job.status}", job_id=job_id, job_status=job.status)
        if job.power_off_begun_at is not None:
            raise PastPointOfNoReturn(
                f"the power-off of instance {job.instance!r} has begun", remedy="Wait for its end.", job_id=job_id
            )
        if job.status != JobStatus.CANCELLING:
            job.status = JobStatus.CANCELLING
            session.add(_event(job_id, "job.cancelling", {}))
        return job

    @writes
    def pass_point_of_no_return(self, session: Session, job_id: str) -> bool:
        """Journal ``power_off_begun``; False when a cancel came first."""
        job = self._locked(session, job_id)
        if job.status == JobStatus.CANCELLING:
            return False
        job.power_off_begun_at = job.power_off_begun_at or now()
        session.add(_event(job_id, "power_off_begun", {}))
        return True

    @reads
    def steps(self, session: Session, job_id: str) -> Sequence[JobStep]:
        """The steps of a job in the order they were begun."""
        query = select(JobStep).where(col(JobStep.job_id) == job_id).order_by(col(JobStep.started_at))
        return session.execute(query).scalars().all()

    @writes
    def begin_step(self, session: Session, job_id: str, key: str) -> datetime:
        """Note that a step runs now, and give that time."""
        at = now()
        rows, this = session.connection(), (_STEP.c.job_id == job_id) & (_STEP.c.key == key)
        again = update(_STEP).where(this).values(status="running", started_at=at, finished_at=None)
        if not rows.execute(again).rowcount:
            rows.execute(insert(_STEP).values(job_id=job_id, key=key, status="running", started_at=at))
        rows.execute(update(_JOB).where(_JOB.c.id == job_id).values(step=key, progress=None))
        rows.execute(insert(_EVENT).values(_event(job_id, "step.started", {"step": key}).model_dump(exclude={"id"})))
        return at

    @writes
    def end_step(
        self,
        session: Session,
        job_id: str,
        key: str,
        status: str,
        *,
        started_at: datetime,
        result: Any = None,
        error: Any = None,
    ) -> None:
        """Record a step's end; from now on its result is what the journal gives back."""
        at = now()
        rows, this = session.connection(), (_STEP.c.job_id == job_id) & (_STEP.c.key == key)
        rows.execute(update(_STEP).where(this).values(status=status, result=result, error=error, finished_at=at))
        event = _step_ended(job_id, key, status, seconds=(at - started_at).total_seconds(), error=error)
        rows.execute(insert(_EVENT).values(event.model_dump(exclude={"id"})))

    @reads
    def events(
        self, session: Session, job_id: str | None, after: int = 0, instance: str | None = None
    ) -> Sequence[JobEvent]:
        """Events of one job or of all, with a higher id than ``after``, oldest first, at most a thousand at a time."""
        query = select(JobEvent).where(col(JobEvent.id) > after).order_by(col(JobEvent.id)).limit(MOST_EVENTS)
        if job_id is not None:
            query = query.where(col(JobEvent.job_id) == job_id)
        if instance is not None:
            query = query.join(Job).where(col(Job.instance) == instance)
        return session.execute(query).scalars().all()

    def _locked(self, session: Session, job_id: str) -> Job:
        """A job no other transaction can change meanwhile: a row lock where writers run side by side (Postgres)."""
        job = session.get(Job, job_id, with_for_update=True)
        if job is None:
            raise self._no_such(job_id)
        return job

    def _no_such(self, job_id: str) -> JobNotFound:
        return JobNotFound(
            f"there is no job {job_id[:64]!r}; a job is removed some time after it has ended, here after "
            f"{self._keep_days} days",
            remedy="List the jobs with GET /jobs. KECS_STATE_HISTORY__KEEP_DAYS says how long they are kept.",
        )


def lowest_id_of(moment: datetime) -> str:
    """What sorts right before every UUIDv7 made at that time or later (RFC 9562 5.7: milliseconds come first)."""
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


def _step_ended(job_id: str, key: str, status: str, *, seconds: float, error: dict[str, Any] | None) -> JobEvent:
    data = {"step": key, "seconds": round(seconds, 3)} | ({"error": error} if error else {})
    return _event(job_id, f"step.{status}", data)


def _event(job_id: str, kind: str, data: dict[str, Any]) -> JobEvent:
    return JobEvent(job_id=job_id, at=now(), type=kind, data=data)
