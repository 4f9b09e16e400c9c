"""Processes that are killed and terminated in the middle of a job, and the time and attempts a resumed one has."""

import asyncio
import signal
import sys
import time
from typing import Any

import pytest

from app.db import Database
from app.jobs.journal import Journal
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.jobs.statistics import Statistics
from app.settings import WorkflowSettings
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job
from tests.jobs.running import reconciling


async def endless() -> None:
    """A step that only a deadline or a cancel ends."""
    await asyncio.Event().wait()


async def hang(journal: Journal) -> dict[str, Any]:
    """A workflow that never ends by itself."""
    await journal.step(endless)
    return {}


async def interrupt(url: str, number: signal.Signals) -> list[str]:
    """Run the job until its second step hangs, then send the signal; everything the process said."""
    process = await worker(url, "hang")
    assert process.stdout is not None
    said = []
    async with asyncio.timeout(20):
        while "second" not in said:
            said.append((await process.stdout.readline()).decode().strip())
    process.send_signal(number)
    async with asyncio.timeout(12):
        rest, _ = await process.communicate()
    return said + rest.decode().splitlines()


async def finish(url: str) -> list[str]:
    """Run the job to its end; everything the process said."""
    process = await worker(url, "go")
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return output.decode().splitlines()


async def worker(url: str, how: str) -> asyncio.subprocess.Process:
    """A process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.jobs.worker", url, how, stdout=asyncio.subprocess.PIPE
    )


@ON_BOTH_DATABASES
async def test_a_terminated_process_leaves_its_job_to_the_next_one(
    store: JobStore, database: Database, database_url: str
) -> None:
    """SIGTERM in the second step: the job stays running, the attempt is given back, and the next process runs that
    step alone."""
    await make_job(store)
    await database.close()
    assert await interrupt(database_url, signal.SIGTERM) == ["first", "second", "running in attempt 0"]
    assert await finish(database_url) == ["second", "succeeded in attempt 1"]


async def test_the_services_own_end_counts_no_attempt(store: JobStore) -> None:
    """However often it is restarted in order, the job may go on."""
    job = await make_job(store)
    for _ in range(7):
        async with reconciling(store, hang) as reconciler:
            assert (await reconciler.wait(job.id, 0.2)).attempt == 1
    ended = await store.get(job.id)
    assert (ended.status, ended.attempt) == (JobStatus.RUNNING, 0)


async def test_a_fifth_attempt_is_the_last(store: JobStore, database: Database, database_url: str) -> None:
    """Killed five times over, the job fails at the sixth start without running, says what was left, and is counted."""
    job = await make_job(store)
    for _ in range(5):
        assert (await interrupt(database_url, signal.SIGKILL))[-1] == "second"
    assert await finish(database_url) == ["failed in attempt 6"]
    ended = await store.get(job.id)
    assert ended.error is not None
    assert ended.error["code"] == "too-many-attempts"
    assert "interrupted 5 times; the cluster is left as it is" in ended.error["detail"]
    assert (await Statistics(store).summary()).jobs == {"stop": {"failed": 1}}
    await make_job(store)
    await database.close()


def test_a_resumed_job_has_a_minute_unless_set_otherwise() -> None:
    """And five attempts."""
    defaults = WorkflowSettings()
    assert (defaults.resume_grace_seconds, defaults.max_attempts) == (60, 5)


@pytest.mark.parametrize(("attempts_before", "at_least", "at_most"), [(0, 0.0, 0.9), (1, 1.0, 5.0)])
async def test_only_a_resumed_job_has_time_after_its_deadline(
    store: JobStore, attempts_before: int, at_least: float, at_most: float
) -> None:
    """One second here: the whole of it, counted from the resumption, and then the job fails."""
    job = await make_job(store, seconds=-60)
    for _ in range(attempts_before):
        await store.begin_attempt(job.id)
    begun = time.monotonic()
    async with reconciling(store, hang, resume_grace_seconds=1) as reconciler:
        ended = await reconciler.wait(job.id, 10)
    assert ended.status == JobStatus.FAILED
    assert at_least <= time.monotonic() - begun <= at_most


async def test_a_resumed_job_keeps_a_deadline_that_is_further_away(store: JobStore) -> None:
    """The grace lengthens, it never shortens."""
    job = await make_job(store, seconds=30)
    await store.begin_attempt(job.id)
    async with reconciling(store, hang, resume_grace_seconds=0.1) as reconciler:
        assert (await reconciler.wait(job.id, 1)).status == JobStatus.RUNNING
