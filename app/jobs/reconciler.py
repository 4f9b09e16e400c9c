"""The loop that runs jobs: level-triggered, so that recovery after a crash is its ordinary work.

Each turn reads the active jobs of this host and starts a task for every one that has none. It owns those tasks,
and it holds an instance's slot while the instance is brought to rest between jobs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from app.db import DatabaseError, shielded
from app.errors import ServiceError, StepTimeout, TooManyAttempts
from app.jobs.journal import Journal
from app.jobs.models import Job
from app.jobs.repository import JobStore, now
from app.jobs.states import ENDED, JobStatus
from app.logs import bound
from app.settings import WorkflowSettings

Runner = Callable[[Journal], Awaitable[dict[str, Any]]]

TICK_SECONDS = 1.0
SHUTDOWN_SECONDS = 10.0
#: Instances that had a job this lately are looked at once after a start of the service.
UNSETTLED_SINCE = timedelta(days=1)
LONGEST_SETTLE_DELAY_SECONDS = 60.0

logger = logging.getLogger(__name__)


class Reconciler:
    """Runs the jobs of one host; use as an async context manager."""

    def __init__(
        self,
        store: JobStore,
        runners: Mapping[str, Runner],
        settings: WorkflowSettings,
        on_idle: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._runners = runners
        self._settings = settings
        self._on_idle = on_idle
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._unsettled: dict[str, float] = {}
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._on_idle is not None:
            recent = await self._store.instances_with_jobs_since(now() - UNSETTLED_SINCE)
            self._unsettled = dict.fromkeys(recent, 0.0)
        self._loop = asyncio.create_task(self._run_forever(), name="reconciler")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop every task within a deadline; jobs stay active and go on with the next start."""
        tasks = [task for task in (self._loop, *self._tasks.values(), *self._settling.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
            for task in left:
                logger.error("task %s did not end in time", task.get_name(), extra={"action": "shutdown-overrun"})

    def wake(self) -> None:
        """Look at the jobs now instead of at the next tick."""
        self._wake.set()

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job as soon as it has ended, or as it is after ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self._store.get(job_id)).status not in ENDED:
                    news = self._news
                    if (await self._store.get(job_id)).status not in ENDED:
                        await news.wait()
        return await self._store.get(job_id)

    async def _run_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._turn()
            except ServiceError as error:
                logger.error("%s", error.detail, extra={"action": "reconcile-failed"})  # noqa: TRY400 - says it all
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()

    async def _turn(self) -> None:
        jobs = await self._store.active_jobs()
        for job in jobs:
            task = self._tasks.get(job.id)
            if task is None and job.instance not in self._settling:
                self._tasks[job.id] = asyncio.create_task(self._run(job), name=f"job {job.id}")
            elif task is not None and job.status == JobStatus.CANCELLING and job.id not in self._cancelled:
                self._cancelled.add(job.id)
                task.cancel()
        self._settle_idle({job.instance for job in jobs})

    def _settle_idle(self, busy: set[str]) -> None:
        clock = asyncio.get_running_loop().time()
        for instance, due in list(self._unsettled.items()):
            if instance not in busy and instance not in self._settling and due <= clock:
                self._settling[instance] = asyncio.create_task(self._settle(instance), name=f"settle {instance}")

    async def _settle(self, instance: str) -> None:
        """Bring an idle instance to rest; a failure is tried again later, with growing pauses."""
        assert self._on_idle is not None  # noqa: S101 - only instances noted because of it come here
        delay = 1.0
        try:
            while True:
                try:
                    await self._on_idle(instance)
                except (ServiceError, TimeoutError) as error:
                    logger.info("instance %s is not at rest: %s", instance, error, extra={"action": "settle-failed"})
                    if any(job.instance == instance for job in await self._store.active_jobs()):
                        return
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LONGEST_SETTLE_DELAY_SECONDS)
                else:
                    self._unsettled.pop(instance, None)
                    return
        except ServiceError as error:
            logger.warning("%s", error.detail, extra={"action": "settle-failed"})
        finally:
            self._settling.pop(instance, None)
            self.wake()

    async def _run(self, job: Job) -> None:
        """One attempt, to a recorded end; a cancelled service or a lost database leaves the job active."""
        with bound(job_id=job.id, instance=job.instance):
            try:
                await self._attempt(job)
            except asyncio.CancelledError:
                if (await shielded(self._store.get(job.id))).status == JobStatus.CANCELLING:
                    await shielded(self._store.finish(job.id, JobStatus.CANCELLED))
            except DatabaseError as error:
                logger.error("%s", error.detail, extra={"action": "store-failed"})  # noqa: TRY400 - says it all
                await asyncio.sleep(TICK_SECONDS)
            except ServiceError as error:
                await self._fail(job, error)
            except Exception:
                logger.exception("job %s failed unexpectedly", job.id, extra={"action": "job-crashed"})
                await self._fail(job, ServiceError("an unexpected error; the service's log has the details"))
            finally:
                self._tasks.pop(job.id, None)
                self._cancelled.discard(job.id)
                if self._on_idle is not None:
                    self._unsettled[job.instance] = 0.0
                self._announce()

    async def _attempt(self, queued: Job) -> None:
        if queued.status == JobStatus.CANCELLING:
            await self._store.finish(queued.id, JobStatus.CANCELLED)
            return
        job = await self._store.begin_attempt(queued.id)
        if job.attempt > self._settings.max_attempts:
            raise TooManyAttempts(
                f"the job was interrupted {job.attempt - 1} times; the cluster is left as it is",
                remedy="Look at the instance's state and submit the operation again.",
            )
        journal = await Journal.open(self._store, job, retry_timeout_seconds=self._settings.retry_timeout_seconds)
        seconds = (job.deadline_at - now()).total_seconds()
        if job.attempt > 1:
            seconds = max(seconds, self._settings.resume_grace_seconds)
        try:
            async with asyncio.timeout(seconds) as limit:
                result = await self._runners[job.type](journal)
        except TimeoutError:
            if not limit.expired():
                raise
            step = (await self._store.get(job.id)).step
            raise StepTimeout(
                f"the job's deadline passed during step {step!r}",
                remedy="Submit it again with a larger timeout_seconds.",
                step=step,
            ) from None
        await shielded(self._store.finish(job.id, JobStatus.SUCCEEDED, result=result))

    async def _fail(self, job: Job, error: ServiceError) -> None:
        logger.warning("job %s failed: %s", job.id, error.detail, extra={"action": "job-failed", "code": error.code})
        await shielded(self._store.finish(job.id, JobStatus.FAILED, error=error.problem()))

    def _announce(self) -> None:
        """Tell everybody who waits that some job has ended, and look for what may begin now."""
        news, self._news = self._news, asyncio.Event()
        news.set()
        self.wake()
