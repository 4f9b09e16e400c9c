"""The loop that runs jobs: level-triggered, so that recovery after a crash is its ordinary work.

Each turn reads the active jobs of this host and starts a task for every one that has none. It owns those tasks,
and it holds an instance's slot while the instance is brought to rest between jobs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from app.concurrency import set_within
from app.db import DatabaseError
from app.errors import ServiceError, StepTimeout, TooManyAttempts
from app.jobs.journal import Journal
from app.jobs.models import Job
from app.jobs.repository import JobStore
from app.jobs.states import ENDED, JobStatus
from app.logs import bound
from app.queries import now
from app.settings import WorkflowSettings

Runner = Callable[[Journal], Awaitable[dict[str, Any]]]

TICK_SECONDS = 1.0
SHUTDOWN_SECONDS = 10.0
#: Instances that had a job this lately are looked at once after a start of the service.
UNSETTLED_SINCE = timedelta(days=1)
FIRST_SETTLE_DELAY_SECONDS = 1.0
LONGEST_SETTLE_DELAY_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Unsettled:
    """An instance that must be brought to rest: when to try (the loop's clock), and how long to pause after that."""

    due: float = 0.0
    delay_seconds: float = FIRST_SETTLE_DELAY_SECONDS


class Reconciler:
    """Runs the jobs of one host; use as an async context manager."""

    def __init__(
        self,
        store: JobStore,
        runners: Mapping[str, Runner],
        settings: WorkflowSettings,
        on_idle: Callable[[str], Awaitable[float]] | None = None,
    ) -> None:
        self._store = store
        self._runners = runners
        self._settings = settings
        self._on_idle = on_idle
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        #: When the jobs begun by this process must end, by the loop's clock.
        self._limits: dict[str, float] = {}
        self._unsettled: dict[str, _Unsettled] = {}
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._on_idle is not None:
            recent = await self._store.instances_with_jobs_since(now() - UNSETTLED_SINCE)
            self._unsettled = dict.fromkeys(recent, _Unsettled())
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

    def settle(self, instance: str) -> None:
        """Bring an instance to rest as soon as it is idle: what rest means has changed."""
        if self._on_idle is not None:
            self._unsettled[instance] = _Unsettled()
            self.wake()

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job as soon as it has ended, or as it is after ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self._store.get(job_id)).status not in ENDED:
                    news = self._news
                    if (await self._store.get(job_id)).status not in ENDED:
                        await set_within(news, TICK_SECONDS)  # of another host's job there is no news
        return await self._store.get(job_id)

    async def _run_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._turn()
            except ServiceError as error:
                logger.error("%s", error.detail, extra={"action": "reconcile-failed"})  # noqa: TRY400 - says it all
            except Exception:
                # Nothing may end this loop: without it no job would ever run again.
                logger.exception("the jobs could not be looked at", extra={"action": "reconcile-failed"})
            await set_within(self._wake, TICK_SECONDS)

    async def _turn(self) -> None:
        jobs = await self._store.active_jobs()
        for job in jobs:
            task = self._tasks.get(job.id)
            if task is None and job.instance not in self._settling and self._has_room_for(job):
                self._tasks[job.id] = asyncio.create_task(self._run(job), name=f"job {job.id}")
            elif task is not None and job.status == JobStatus.CANCELLING and job.id not in self._cancelled:
                self._cancelled.add(job.id)
                task.cancel()
        self._limits = {job.id: self._limits[job.id] for job in jobs if job.id in self._limits}
        self._settle_idle({job.instance for job in jobs})

    def _has_room_for(self, job: Job) -> bool:
        """Whether it may begin now; one that is to end needs no room for that, and holds its instance meanwhile."""
        return len(self._tasks) < self._settings.max_jobs_at_once or job.status == JobStatus.CANCELLING

    def _settle_idle(self, busy: set[str]) -> None:
        clock = asyncio.get_running_loop().time()
        for instance, unsettled in self._unsettled.items():
            if instance not in busy and instance not in self._settling and unsettled.due <= clock:
                self._settling[instance] = asyncio.create_task(self._settle(instance), name=f"settle {instance}")

    async def _settle(self, instance: str) -> None:
        """Bring an idle instance to rest, again when it asks for that; a failure is tried again later.

        The slot is free meanwhile.
        """
        assert self._on_idle is not None  # noqa: S101 - only instances noted because of it come here
        asked = self._unsettled[instance]
        try:
            with bound(instance=instance):
                again_seconds = await self._on_idle(instance)
        except (ServiceError, TimeoutError) as error:
            logger.info("instance %s is not at rest: %s", instance, error, extra={"action": "settle-failed"})
            self._settle_later(instance)
        except Exception:
            logger.exception("instance %s could not be brought to rest", instance, extra={"action": "settle-crashed"})
            self._settle_later(instance)
        else:
            if self._unsettled[instance] is asked:  # else somebody has asked for it again meanwhile
                del self._unsettled[instance]
                if again_seconds:
                    self._unsettled[instance] = _Unsettled(asyncio.get_running_loop().time() + again_seconds)
        finally:
            self._settling.pop(instance, None)
            self.wake()

    def _settle_later(self, instance: str) -> None:
        delay = self._unsettled[instance].delay_seconds
        due = asyncio.get_running_loop().time() + delay
        self._unsettled[instance] = _Unsettled(due, min(delay * 2, LONGEST_SETTLE_DELAY_SECONDS))

    async def _run(self, job: Job) -> None:
        """One attempt; a lost database leaves the job active, to be taken up again at a later turn."""
        with bound(job_id=job.id, instance=job.instance):
            try:
                await self._run_to_its_end(job)
            except DatabaseError as error:
                logger.error("%s", error.detail, extra={"action": "store-failed"})  # noqa: TRY400 - says it all
                await asyncio.sleep(TICK_SECONDS)
            except Exception:
                logger.exception("job %s has no recorded end", job.id, extra={"action": "job-crashed"})
                await asyncio.sleep(TICK_SECONDS)
            finally:
                self._tasks.pop(job.id, None)
                self._cancelled.discard(job.id)
                self.settle(job.instance)
                self._announce()

    async def _run_to_its_end(self, job: Job) -> None:
        """Run a job and record how it ended; the end of the service is not the job's, which stays active."""
        try:
            await self._attempt(job)
        except asyncio.CancelledError:
            if (await self._store.get(job.id)).status == JobStatus.CANCELLING:
                await self._store.finish(job.id, JobStatus.CANCELLED)
            else:
                await self._store.give_attempt_back(job.id)
        except DatabaseError:
            raise
        except ServiceError as error:
            await self._fail(job, error)
        except Exception:
            logger.exception("job %s failed unexpectedly", job.id, extra={"action": "job-crashed"})
            await self._fail(job, ServiceError("an unexpected error; the service's log has the details"))

    async def _attempt(self, known: Job) -> None:
        # A job taken up again by the same process, after an error of the database, is still in its old attempt.
        job = await self._store.begin_attempt(known.id, counted=known.id not in self._limits)
        if job.status == JobStatus.CANCELLING:
            await self._store.finish(job.id, JobStatus.CANCELLED)
        if job.status != JobStatus.RUNNING:
            return
        if job.attempt > self._settings.max_attempts:
            raise TooManyAttempts(
                f"the job was interrupted {job.attempt - 1} times; the cluster is left as it is",
                remedy="Look at the instance's state and submit the operation again.",
            )
        # Known from here on: an error of the database in the very next line must not count another attempt.
        until = self._limits.setdefault(job.id, self._limit(job, resumed=known.started_at is not None))
        journal = await Journal.open(self._store, job, retry_timeout_seconds=self._settings.retry_timeout_seconds)
        try:
            async with asyncio.timeout_at(until) as limit:
                result = await self._runners[job.type](journal)
        except TimeoutError:
            if not limit.expired():
                raise
            step = (await self._store.get(job.id)).step
            when = f"during step {step!r}" if step else "before it could begin"
            raise StepTimeout(
                f"the job's deadline passed {when}",
                remedy="Submit it again with a larger timeout_seconds.",
                step=step,
            ) from None
        await self._store.finish(job.id, JobStatus.SUCCEEDED, result=result)

    def _limit(self, job: Job, *, resumed: bool) -> float:
        """The loop's time at which the job must have ended; one that was interrupted gets its grace."""
        seconds = (job.deadline_at - now()).total_seconds()
        if resumed:
            seconds = max(seconds, self._settings.resume_grace_seconds)
        return asyncio.get_running_loop().time() + seconds

    async def _fail(self, job: Job, error: ServiceError) -> None:
        logger.warning("job %s failed: %s", job.id, error.detail, extra={"action": "job-failed", "code": error.code})
        await self._store.finish(job.id, JobStatus.FAILED, error=error.problem())

    def _announce(self) -> None:
        """Tell everybody who waits that some job has ended, and look for what may begin now."""
        news, self._news = self._news, asyncio.Event()
        news.set()
        self.wake()
