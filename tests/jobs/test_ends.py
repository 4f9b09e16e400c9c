"""How a job may end: by a cancel in time, by an exception nobody expected; never twice and never untold."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.errors import OperationInProgress, PastPointOfNoReturn
from app.jobs.journal import Journal
from app.jobs.reconciler import Reconciler
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.settings import WorkflowSettings
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job
from tests.jobs.running import reconciling, run_job

pytestmark = ON_BOTH_DATABASES


async def test_a_cancel_in_the_last_moment_before_the_power_off_prevents_it(store: JobStore) -> None:
    """It is on record before the task has heard of it: the point of no return itself refuses."""
    powered_off = []

    async def power_off() -> None:
        powered_off.append(1)

    async def run(journal: Journal) -> dict[str, Any]:
        await store.request_cancel(journal.job.id)
        await journal.point_of_no_return()
        await journal.step(power_off)
        return {}

    job = await run_job(store, run)
    assert (job.status, powered_off) == (JobStatus.CANCELLED, [])


async def test_a_cancel_during_the_power_off_is_refused_and_the_job_goes_on(store: JobStore) -> None:
    """Half a power-off would be worse than a whole one."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def power_off() -> str:
        begun.set()
        await may_end.wait()
        return "off"

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.point_of_no_return()
        return {"power": await journal.step(power_off)}

    job = await make_job(store)
    async with reconciling(store, run) as reconciler:
        await begun.wait()
        with pytest.raises(PastPointOfNoReturn):
            await store.request_cancel(job.id)
        reconciler.wake()
        may_end.set()
        assert (await reconciler.wait(job.id, 10)).result == {"power": "off"}


async def test_no_other_job_is_accepted_before_a_cancelled_one_has_cleaned_up(store: JobStore) -> None:
    """The slot is held by the row, so a second cancel and any number of turns change nothing."""
    begun, cleaning, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(_journal: Journal) -> dict[str, Any]:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await may_end.wait()
        return {}

    job = await make_job(store)
    async with reconciling(store, run) as reconciler:
        await begun.wait()
        for _ in range(2):
            await store.request_cancel(job.id)
            reconciler.wake()
            await cleaning.wait()
        with pytest.raises(OperationInProgress):
            await make_job(store, kind="start")
        assert (await reconciler.wait(job.id, 1.5)).status == JobStatus.CANCELLING
        may_end.set()
        assert (await reconciler.wait(job.id, 10)).status == JobStatus.CANCELLED
        await make_job(store)


async def test_a_cancelled_job_whose_process_ended_during_its_clean_up_ends_at_the_next_start(store: JobStore) -> None:
    """Without running again."""
    begun = asyncio.Event()

    async def run(_journal: Journal) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()  # until the end of the service cancels this, too
        return {}

    job = await make_job(store)
    async with reconciling(store, run) as reconciler:
        await begun.wait()
        await store.request_cancel(job.id)
        reconciler.wake()
        assert (await reconciler.wait(job.id, 0.5)).status == JobStatus.CANCELLING
    async with reconciling(store, run) as reconciler:
        ended = await reconciler.wait(job.id, 10)
    assert (ended.status, ended.attempt) == (JobStatus.CANCELLED, 1)


async def key_error() -> int:
    """A mistake of ours."""
    known: dict[str, int] = {}
    return known["password=hunter2"]


async def a_group_of_errors() -> None:
    """What a task group raises."""
    async with asyncio.TaskGroup() as group:
        group.create_task(key_error())


async def not_json() -> object:
    """A result the journal cannot keep."""
    return object()


@pytest.mark.parametrize("step", [key_error, a_group_of_errors, not_json])
async def test_an_exception_nobody_expected_ends_step_and_job_with_a_problem(
    store: JobStore, step: Callable[[], Awaitable[object]]
) -> None:
    """The user reads where to look; the text of the exception stays in the log, and the instance is free."""

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.step(step)
        return {}

    job = await run_job(store, run)
    assert job.error is not None
    assert (job.status, job.error["code"], job.error["status"]) == (JobStatus.FAILED, "internal-error", 500)
    assert [row.status for row in await store.steps(job.id)] == ["failed"]
    told = str([job.model_dump(), [event.data for event in await store.events(job.id)]])
    assert "hunter2" not in told
    assert "Traceback" not in told
    await make_job(store)


async def test_a_job_of_a_kind_this_version_does_not_know_ends_with_a_problem(store: JobStore) -> None:
    """It may have been accepted by another version."""
    job = await make_job(store, kind="hibernate")
    async with Reconciler(store, {}, WorkflowSettings()) as reconciler:
        ended = await reconciler.wait(job.id, 10)
    assert ended.error is not None
    assert ended.error["code"] == "internal-error"
