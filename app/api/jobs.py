"""Jobs: how an accepted operation goes on."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from app.api.dependencies import RETRY_AFTER_SECONDS, Running
from app.api.errors import InvalidPageToken, InvalidRequest
from app.api.paging import PageWish, page_token
from app.api.problems import declared
from app.api.schemas import EventView, JobPage, JobType, JobView
from app.db import DatabaseError
from app.errors import JobAlreadyFinished, JobNotFound, PastPointOfNoReturn
from app.jobs.states import ENDED, JobStatus

router = APIRouter(tags=["jobs"])


class JobFilter(PageWish):
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
    page = JobPage(jobs=[JobView.of(job) for job in jobs[: wanted.limit]])
    if len(jobs) > wanted.limit:
        page.next_page_token = page_token(page.jobs[-1].id)
        query = wanted.model_dump(mode="json", exclude_defaults=True) | {"page_token": page.next_page_token}
        page.next_link = f"/jobs?{urlencode(query)}"
    return page


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


@router.get("/jobs/{job_id}/events", responses=declared(JobNotFound, InvalidRequest, DatabaseError))
async def list_job_events(
    job_id: str,
    services: Running,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="The `id` of the last event already seen.")] = 0,
) -> list[EventView]:
    """What happened to the job, oldest first, at most a thousand events at a time."""
    await services.store.get(job_id)
    return [EventView.of(event) for event in await services.store.events(job_id, after)]


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    responses=declared(JobNotFound, InvalidRequest, JobAlreadyFinished, PastPointOfNoReturn, DatabaseError),
)
async def cancel_job(job_id: str, services: Running, response: Response) -> JobView:
    """Ask a job to end at its next safe place. Nothing is rolled back; after the power-off has begun it is refused."""
    job = await services.store.request_cancel(job_id)
    services.reconciler.wake()
    response.headers["Location"] = f"/jobs/{job.id}"
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return JobView.of(job)
