"""Jobs: how an accepted operation goes on."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from app.api import live
from app.api.dependencies import RETRY_AFTER_SECONDS, Accepted, Running
from app.api.errors import InvalidCursor, InvalidPageToken, InvalidRequest
from app.api.operations import operation
from app.api.paging import PageRequest
from app.api.problems import declared
from app.api.schemas import EventView, JobPage, JobType, JobView
from app.db import DatabaseError
from app.errors import (
    BackupNotFound,
    BackupPinned,
    InstanceNotRunning,
    JobAlreadyFinished,
    JobNotFound,
    JobNotRetryable,
    JobOfAnotherHost,
    LastGoodBackup,
    PastPointOfNoReturn,
    RestoreOutstanding,
    VeleroBackupRequired,
)
from app.jobs.states import ENDED, JobStatus

router = APIRouter(tags=["jobs"])


class JobFilter(PageRequest):
    """Which jobs to list."""

    instance: str | None = None
    status: JobStatus | None = None
    type: JobType | None = None


@router.get("/jobs", responses=declared(InvalidRequest, InvalidPageToken, DatabaseError))
async def list_jobs(services: Running, wanted: Annotated[JobFilter, Query()]) -> JobPage:
    """Jobs, newest first."""
    jobs = await services.store.list_jobs(
        instance=wanted.instance, status=wanted.status, kind=wanted.type, before=wanted.before, limit=wanted.limit + 1
    )
    page = [JobView.of(job) for job in jobs[: wanted.limit]]
    return JobPage(jobs=page, **wanted.next_page("/jobs", page[-1].id if len(jobs) > wanted.limit else None))


@router.get("/jobs/{job_id}", responses=declared(JobNotFound, InvalidRequest, DatabaseError))
async def get_job(
    job_id: str,
    services: Running,
    response: Response,
    wait: Annotated[
        float | None,
        Query(ge=0, allow_inf_nan=False, description="Answer when the job has ended, at most this many seconds later."),
    ] = None,
) -> JobView:
    """One job; with `wait` a long poll. A failed job is still a 200: its `status` and `error` say so."""
    if wait:
        job = await services.reconciler.wait(job_id, min(wait, services.settings.server.max_wait_seconds))
    else:
        job = await services.store.get(job_id)
    if job.status not in ENDED:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return JobView.of(job)


_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {live.MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "Nothing will happen any more (only for a stream)"},
}


@router.get(
    "/jobs/{job_id}/events",
    response_model=list[EventView],
    responses=_STREAMED | declared(JobNotFound, InvalidRequest, InvalidCursor, DatabaseError),
)
async def list_job_events(
    job_id: str,
    services: Running,
    after: live.After = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    last_event_id: live.LastEventId = None,
) -> Response | list[EventView]:
    """What happened to the job, oldest first, at most a thousand events at a time.

    With `Accept: text/event-stream` a live stream (SSE) that ends with the job: `curl -N -H 'Accept:
    text/event-stream'`. Each message carries the event's `id`; send the last one seen as `Last-Event-ID` to go on.
    """
    await services.store.get(job_id)
    cursor = await live.read_cursor(services.store, after, last_event_id)
    if live.wants_stream(accept):
        return await live.Stream(services.store, job_id).answer(cursor or 0)
    return [EventView.of(event) for event in await services.store.events(job_id, cursor or 0)]


@router.get(
    "/events",
    response_model=list[EventView],
    responses=_STREAMED | declared(InvalidRequest, InvalidCursor, DatabaseError),
)
async def list_events(
    services: Running,
    after: live.After = None,
    instance: Annotated[str | None, Query(description="Only of this instance's jobs.")] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    last_event_id: live.LastEventId = None,
) -> Response | list[EventView]:
    """What happened to all jobs, oldest first, at most a thousand events at a time.

    With `Accept: text/event-stream` a live stream (SSE) of what happens from now on, or after the cursor. Old jobs are
    removed with all of their events: after a cursor from before, it goes on with the oldest event that is kept.
    """
    cursor = await live.read_cursor(services.store, after, last_event_id)
    if live.wants_stream(accept):
        begin = cursor if cursor is not None else await services.store.tail.newest_id()
        return await live.Stream(services.store, instance=instance).answer(begin)
    return [EventView.of(event) for event in await services.store.events(None, cursor or 0, instance)]


@router.post(
    "/jobs/{job_id}/retry",
    **operation(
        JobNotFound, JobNotRetryable, JobOfAnotherHost, RestoreOutstanding, InstanceNotRunning, BackupNotFound,
        LastGoodBackup, BackupPinned, VeleroBackupRequired,
    ),
)  # fmt: skip
async def retry_job(job_id: str, answer: Accepted) -> JobView:
    """Submit the operation of a failed or cancelled job again, as a new job, by the rules of now."""
    return await answer.to(lambda operations: operations.retry(job_id))


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    responses=declared(
        JobNotFound, InvalidRequest, JobAlreadyFinished, JobOfAnotherHost, PastPointOfNoReturn, DatabaseError
    ),
)
async def cancel_job(job_id: str, services: Running, response: Response) -> JobView:
    """Ask a job to end at its next safe place. Nothing is rolled back; after the power-off has begun it is refused."""
    job = await services.store.request_cancel(job_id)
    services.reconciler.wake()
    response.headers["Location"] = f"/jobs/{job.id}"
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return JobView.of(job)
