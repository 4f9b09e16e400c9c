"""The step journal: what makes a workflow resumable without the workflow knowing it.

A step is a function; its name, and the try it belongs to, is its key. A step that ended is never run again: its
recorded result, or its recorded failure, is given back. The step that was in flight when a process died runs
again, so every step alone must bear that.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, get_type_hints

from pydantic import TypeAdapter

from app.db import DatabaseError
from app.errors import ServiceError, StepTimeout, TemporaryError, of_this_machine
from app.jobs.models import Job
from app.jobs.repository import JobStore
from app.logs import bound
from app.queries import now

P = ParamSpec("P")
T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
#: Progress is for people watching; more often than this would only cost writes.
PROGRESS_INTERVAL_SECONDS = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobView:
    """What a workflow may know of its own job."""

    id: str
    type: str
    instance: str
    request: dict[str, Any]
    attempt: int
    created_at: datetime
    deadline_at: datetime


@dataclass(frozen=True)
class RecordedStep:
    """How a step ended."""

    status: str
    result: Any
    error: dict[str, Any] | None


class RecordedFailure(ServiceError):
    """A failure given back from the journal, with the code and status it had."""

    def __init__(self, problem: dict[str, Any]) -> None:
        known = {"type", "title", "status", "detail", "code", "remedy"}
        extras = {key: value for key, value in problem.items() if key not in known}
        super().__init__(problem["detail"], remedy=problem.get("remedy", ""), **extras)
        # The class attributes describe a kind of error; this one is whatever was recorded.
        self.code, self.status, self.title = problem["code"], problem["status"], problem["title"]  # type: ignore[misc]


@dataclass
class _Shared:
    """What all views of one attempt share."""

    store: JobStore
    steps: dict[str, RecordedStep]
    retry_timeout_seconds: float
    power_off_begun: bool
    progress_at: float = 0.0


@dataclass(frozen=True)
class Journal:
    """One attempt of one job; ``with_try`` gives the view whose step keys carry another try.

    An error of the database is never a step's end: it goes through, and the job is taken up again.
    """

    job: JobView
    _shared: _Shared
    try_number: int = 1
    step_timeout_seconds: float | None = None

    @classmethod
    async def open(cls, store: JobStore, job: Job, *, retry_timeout_seconds: float) -> "Journal":
        """The journal of a job, with everything earlier attempts recorded."""
        steps = {
            step.key: RecordedStep(step.status, step.result, step.error)
            for step in await store.steps(job.id)
            if step.finished_at is not None
        }
        view = JobView(job.id, job.type, job.instance, job.request, job.attempt, job.created_at, job.deadline_at)
        return cls(view, _Shared(store, steps, retry_timeout_seconds, job.power_off_begun_at is not None))

    @property
    def power_off_begun(self) -> bool:
        """Whether this job has passed the point of no return, in this or an earlier attempt."""
        return self._shared.power_off_begun

    @property
    def last_try(self) -> int:
        """The try an earlier attempt was in; 1 for a first attempt."""
        return max((int(key.partition("#")[2] or 1) for key in self._shared.steps), default=1)

    @property
    def next_try(self) -> int:
        """The try to go on with: the last one, or a new one if its power-off had begun but did not happen."""
        return self.last_try + 1 if self.power_off_begun else self.last_try

    def with_try(self, number: int) -> "Journal":
        """The same job's journal for another try."""
        return replace(self, try_number=number)

    def bounded(self, seconds: float) -> "Journal":
        """The same journal with a deadline of its own for each step, besides the job's: ``StepTimeout``."""
        return replace(self, step_timeout_seconds=seconds)

    async def step(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step, or give back what it gave when it ran. Its result must survive JSON."""
        key = self._key(function)
        adapter: TypeAdapter[T] = TypeAdapter(get_type_hints(function)["return"])
        recorded = self._shared.steps.get(key)
        if recorded is not None:
            if recorded.error is not None:
                raise RecordedFailure(recorded.error)
            return adapter.validate_python(recorded.result)
        began = await self._shared.store.begin_step(self.job.id, key)
        self._shared.progress_at = -PROGRESS_INTERVAL_SECONDS
        try:
            with bound(step=key):
                value = await self._within_time(key, lambda: function(*args, **kwargs))
        except DatabaseError:
            raise
        except ServiceError as error:
            await self._end(key, began, RecordedStep("failed", None, error.problem()))
            raise
        await self._end(key, began, RecordedStep("succeeded", adapter.dump_python(value, mode="json"), None))
        return value

    async def optional_step(
        self,
        function: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T | None:
        """Run a step whose failure is only a warning; None then."""
        try:
            return await self.step(function, *args, **kwargs)
        except DatabaseError:
            raise
        except ServiceError as error:
            await self.warn(f"{self._name(function)}-failed", error.detail, cause=error.code)
            return None

    async def warn(self, code: str, detail: str, **extras: Any) -> None:
        """Add a warning to the job: something the user should know though the job goes on."""
        logger.warning("%s", detail, extra={"action": "warning", "code": code})
        await self._shared.store.add_warning(self.job.id, {"code": code, "detail": detail, **extras})

    async def progress(
        self,
        message: str,
        *,
        items_done: int | None = None,
        items_total: int | None = None,
        bytes_done: int | None = None,
        bytes_total: int | None = None,
    ) -> None:
        """Say how far the step is, in items or in bytes; written at most twice a second."""
        clock = asyncio.get_running_loop().time()
        if clock - self._shared.progress_at < PROGRESS_INTERVAL_SECONDS:
            return
        self._shared.progress_at = clock
        done, total = (items_done, items_total) if items_total else (bytes_done, bytes_total)
        progress = {
            "message": message,
            "percent": round(100 * done / total) if done and total else None,
            "items_done": items_done,
            "items_total": items_total,
            "bytes_done": bytes_done,
            "bytes_total": bytes_total,
        }
        await self._shared.store.set_progress(self.job.id, progress)

    async def record(self, *, backup: str) -> None:
        """Set the job's backup, for those who look at it meanwhile."""
        await self._shared.store.set_backup(self.job.id, backup)

    async def point_of_no_return(self) -> None:
        """Journal ``power_off_begun``: from here on the job cannot be cancelled. A cancel that came first wins."""
        if not await self._shared.store.pass_point_of_no_return(self.job.id):
            raise asyncio.CancelledError
        self._shared.power_off_begun = True

    async def _within_time(self, key: str, run: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self.step_timeout_seconds):
                return await self._retried(key, run)
        except TimeoutError as error:
            # Ours or one of a library; the job's own deadline would have come as a cancellation.
            raise StepTimeout(f"step {key!r} did not end in time", step=key) from error

    async def _retried(self, key: str, run: Callable[[], Awaitable[T]]) -> T:
        clock = asyncio.get_running_loop().time
        until = clock() + self._shared.retry_timeout_seconds
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                return await _explained(run)
            except TemporaryError as error:
                pause = max(error.retry_after_seconds or 0, delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                if clock() + pause > until:
                    raise
                data = {"step": key, "error": error.problem(), "pause_seconds": round(pause, 3)}
                await self._shared.store.add_event(self.job.id, "step.retried", data)
                await asyncio.sleep(pause)
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _end(self, key: str, began: datetime, step: RecordedStep) -> None:
        self._shared.steps[key] = step
        await self._shared.store.end_step(
            self.job.id, key, step.status, started_at=began, result=step.result, error=step.error
        )

    @staticmethod
    def _name(function: Callable[..., Any]) -> str:
        return function.__name__.replace("_", "-")

    def _key(self, function: Callable[..., Any]) -> str:
        name = self._name(function)
        return name if self.try_number == 1 else f"{name}#{self.try_number}"


async def _explained(run: Callable[[], Awaitable[T]]) -> T:
    """A full disk or the last descriptor may be met in any line of a step."""
    try:
        return await run()
    except OSError as error:
        known = of_this_machine(error)
        if known is None:
            raise
        raise known from error


def age_seconds(moment: datetime) -> float:
    """Seconds since a recorded time, by the wall clock that recorded it."""
    return (now() - moment).total_seconds()
