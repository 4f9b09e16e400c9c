"""What must not bring the reconciler out of step: races, a failing store, a failing rest."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.db import Database
from app.errors import PastPointOfNoReturn, TemporaryError
from app.jobs.journal import Journal
from app.jobs.models import Job
from app.jobs.reconciler import Reconciler
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.settings import WorkflowSettings
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job
from tests.jobs.running import eventually, reconciling, run_job

pytestmark = ON_BOTH_DATABASES


async def succeed(_journal: Journal) -> dict[str, Any]:
    """A workflow without a step."""
    return {}


async def execute(database: Database, statement: str) -> None:
    """One statement on the test's database."""
    await database.write(lambda session: session.execute(text(statement)))


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.CANCELLED])
async def test_an_ended_job_is_never_begun_again(store: JobStore, status: JobStatus) -> None:
    """The loop may have read the row just before the end was written."""
    job = await make_job(store)
    await store.finish(job.id, status)
    again = await store.begin_attempt(job.id)
    assert (again.status, again.attempt) == (status, 0)


async def test_a_job_cancelled_while_queued_never_runs(store: JobStore) -> None:
    """It ends as cancelled all the same."""
    ran = []

    async def run(_journal: Journal) -> dict[str, Any]:
        ran.append(1)
        return {}

    job = await make_job(store)
    await store.request_cancel(job.id)
    async with reconciling(store, run) as reconciler:
        assert (await reconciler.wait(job.id, 10)).status == JobStatus.CANCELLED
    assert ran == []


async def test_exactly_one_of_cancel_and_power_off_wins(store: JobStore) -> None:
    """Both asked for at the same moment, ten times over."""

    async def cancel(job: Job) -> bool:
        try:
            await store.request_cancel(job.id)
        except PastPointOfNoReturn:
            return False
        return True

    for number in range(10):
        job = await make_job(store, instance=f"demo{number}")
        cancelled, passed = await asyncio.gather(cancel(job), store.pass_point_of_no_return(job.id))
        assert cancelled != passed


async def test_a_store_that_fails_at_a_steps_end_fails_neither_step_nor_job(
    store: JobStore, database: Database
) -> None:
    """The step runs again once the store works, and the same attempt goes on."""
    ran = []

    async def power_off() -> str:
        ran.append(1)
        if len(ran) == 1:
            await execute(database, "ALTER TABLE job_step RENAME TO job_step_gone")
        return "off"

    async def run(journal: Journal) -> dict[str, Any]:
        return {"power": await journal.step(power_off)}

    job = await make_job(store)
    async with reconciling(store, run) as reconciler:
        await eventually(lambda: len(ran) == 1)
        assert (await reconciler.wait(job.id, 0.3)).status == JobStatus.RUNNING
        await execute(database, "ALTER TABLE job_step_gone RENAME TO job_step")
        ended = await reconciler.wait(job.id, 10)
    assert (ended.result, ended.attempt) == ({"power": "off"}, 1)


async def test_a_rest_that_fails_is_tried_again_and_holds_no_job_up(store: JobStore) -> None:
    """Between two tries the slot is free."""
    rests = []

    async def rest(_instance: str) -> None:
        rests.append(1)
        raise TemporaryError("the API server is away") if len(rests) % 2 else RuntimeError("a mistake of ours")

    first = await make_job(store)
    async with Reconciler(store, {"stop": succeed}, WorkflowSettings(), rest) as reconciler:
        await reconciler.wait(first.id, 10)
        await eventually(lambda: len(rests) >= 2)
        second = await make_job(store)
        reconciler.wake()
        assert (await reconciler.wait(second.id, 10)).status == JobStatus.SUCCEEDED


async def test_after_a_restart_every_instance_with_a_recent_job_is_brought_to_rest_once(store: JobStore) -> None:
    """The process may have died between a job's end and the rest."""
    job = await run_job(store, succeed)
    rested: list[str] = []

    async def rest(instance: str) -> None:
        rested.append(instance)

    async with Reconciler(store, {"stop": succeed}, WorkflowSettings(), rest) as reconciler:
        await eventually(lambda: bool(rested))
        for _ in range(5):
            reconciler.wake()
            await asyncio.sleep(0)
    assert rested == [job.instance]


async def test_a_resumed_job_past_its_deadline_has_time_to_reach_a_safe_end(store: JobStore) -> None:
    """The grace counts from the resumption."""

    async def brief() -> str:
        await asyncio.sleep(0.05)
        return "done"

    async def run(journal: Journal) -> dict[str, Any]:
        return {"step": await journal.step(brief)}

    job = await make_job(store, seconds=-60)
    await store.begin_attempt(job.id)
    async with reconciling(store, run) as reconciler:
        assert (await reconciler.wait(job.id, 10)).status == JobStatus.SUCCEEDED


async def test_a_workflow_that_ignores_its_cancellation_for_a_while_does_not_block_the_shutdown(
    store: JobStore,
) -> None:
    """Its clean-up is waited for, and the job stays active for the next start."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def run(_journal: Journal) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()
        return {}

    job = await make_job(store)
    async with reconciling(store, run):
        await begun.wait()
    assert cleaned.is_set()
    assert (await store.get(job.id)).status == JobStatus.RUNNING
