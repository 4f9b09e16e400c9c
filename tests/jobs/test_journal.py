"""The step journal: keys, results that survive JSON, deadlines, and what is told of a step."""

import asyncio
import errno
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from app.errors import InsufficientStorage, ServiceError
from app.jobs.journal import Journal, RecordedFailure
from app.jobs.models import Job
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from tests.jobs.conftest import make_job
from tests.jobs.running import run_job

TAKEN_AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Reading(BaseModel):
    """A result with types JSON does not know."""

    at: datetime
    tags: frozenset[str]


async def take_reading() -> list[Reading]:
    """A step."""
    return [Reading(at=TAKEN_AT, tags=frozenset({"a"}))]


async def nothing_done() -> None:
    """A step whose result is None."""


async def fail_once() -> None:
    """A step that fails."""
    raise ServiceError("it broke", remedy="mend it", piece="wheel")


async def open_journal(store: JobStore, job: Job) -> Journal:
    """The journal as a new process would open it."""
    return await Journal.open(store, job, retry_timeout_seconds=1)


async def test_a_recorded_result_comes_back_in_its_own_type(store: JobStore) -> None:
    """The workflow cannot tell a resumed step from one that ran."""
    job = await make_job(store)
    ran = await (await open_journal(store, job)).step(take_reading)
    assert await (await open_journal(store, job)).step(take_reading) == ran
    assert [step.key for step in await store.steps(job.id)] == ["take-reading"]


async def test_a_step_that_gives_back_none_is_not_run_again(store: JobStore) -> None:
    """None is a result like any other."""
    job = await make_job(store)
    await (await open_journal(store, job)).step(nothing_done)
    await (await open_journal(store, job)).step(nothing_done)
    assert [event.type for event in await store.events(job.id)].count("step.started") == 1


async def test_long_results_go_with_the_end_of_their_job(store: JobStore) -> None:
    """As long as it runs they are kept, however long; afterwards the list of all objects is nobody's any more."""
    short, long = ["proof"], ["object"] * 1_000

    async def prove() -> list[str]:
        return short

    async def list_objects() -> list[str]:
        return long

    other = await make_job(store, instance="other")
    await (await open_journal(store, other)).step(list_objects)
    job = await make_job(store)
    journal = await open_journal(store, job)
    await journal.step(prove)
    await journal.step(list_objects)
    assert [step.result for step in await store.steps(job.id)] == [short, long]

    await store.finish(job.id, JobStatus.SUCCEEDED, result={})

    assert [step.result for step in await store.steps(job.id)] == [short, None]
    assert [step.result for step in await store.steps(other.id)] == [long]


async def test_a_recorded_failure_comes_back_as_it_was(store: JobStore) -> None:
    """With its code, its remedy and its extras."""
    job = await make_job(store)
    with pytest.raises(ServiceError) as first:
        await (await open_journal(store, job)).step(fail_once)
    with pytest.raises(RecordedFailure) as again:
        await (await open_journal(store, job)).step(fail_once)
    assert again.value.problem() == first.value.problem()


async def test_a_step_that_meets_a_full_disk_says_so(store: JobStore) -> None:
    """Wherever in it the system says it first."""

    async def write() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/tmp/x")

    with pytest.raises(InsufficientStorage, match="/var/tmp/x"):
        await (await open_journal(store, await make_job(store))).step(write)


async def test_a_step_without_a_descriptor_is_tried_again(store: JobStore) -> None:
    """Others may give theirs back."""
    left = [OSError(errno.EMFILE, "Too many open files")]

    async def open_file() -> int:
        if left:
            raise left.pop()
        return 3

    assert await (await open_journal(store, await make_job(store))).step(open_file) == 3


async def test_another_try_has_steps_of_its_own(store: JobStore) -> None:
    """The key of a second try says so, and the journal knows which try was the last."""
    job = await make_job(store)
    journal = await open_journal(store, job)
    await journal.step(nothing_done)
    await journal.with_try(2).step(nothing_done)
    assert [step.key for step in await store.steps(job.id)] == ["nothing-done", "nothing-done#2"]
    assert (await open_journal(store, job)).last_try == 2


async def test_a_step_has_a_deadline_of_its_own_when_bounded(store: JobStore) -> None:
    """And the error names the step."""

    async def endless() -> None:
        await asyncio.Event().wait()

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.bounded(0.1).step(endless)
        return {}

    job = await run_job(store, run)
    assert job.error is not None
    assert (job.error["code"], job.error["step"]) == ("step-timeout", "endless")


async def test_a_step_cut_off_by_the_jobs_end_is_said_to_have_ended(store: JobStore) -> None:
    """No step of an ended job goes on "running"."""
    job = await make_job(store)
    await store.begin_step(job.id, "power-off")
    await store.finish(job.id, JobStatus.FAILED, error={"code": "step-timeout"})
    assert [step.status for step in await store.steps(job.id)] == ["failed"]


async def test_events_tell_the_whole_story_in_order(store: JobStore) -> None:
    """Ids rise, and nothing is left out."""

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.step(nothing_done)
        await journal.progress("halfway", items_done=1, items_total=2)
        await journal.warn("odd", "something is odd")
        await journal.point_of_no_return()
        return {}

    events = await store.events((await run_job(store, run)).id)
    assert [event.type for event in events] == [
        "job.created", "job.started", "step.started", "step.succeeded", "progress", "warning", "power_off_begun",
        "job.succeeded",
    ]  # fmt: skip
    assert sorted(event.id or 0 for event in events) == [event.id for event in events]


async def test_progress_is_written_sparingly(store: JobStore) -> None:
    """A chatty step does not cost a write for each word."""
    job = await make_job(store)
    journal = await open_journal(store, job)
    for done in range(50):
        await journal.progress("saving", items_done=done, items_total=50)
    assert [event.type for event in await store.events(job.id)].count("progress") < 5


async def test_a_warning_said_twice_is_kept_once(store: JobStore) -> None:
    """A step that runs again after a crash says the same again."""
    job = await make_job(store)
    for _ in range(2):
        await (await open_journal(store, job)).warn("odd", "something is odd")
    assert len((await store.get(job.id)).warnings) == 1
