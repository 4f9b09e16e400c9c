"""Running, resuming, cancelling and ending jobs, on a real database and a real event loop."""

import asyncio
import signal
import sys
from typing import Any

from app.db import Database, DatabaseError
from app.errors import ServiceError, TemporaryError
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


async def add(first: int, second: int) -> int:
    """A step."""
    return first + second


async def test_a_job_ends_with_what_its_workflow_gives_back(store: JobStore) -> None:
    """The result is the job's result."""

    async def run(journal: Journal) -> dict[str, Any]:
        return {"sum": await journal.step(add, 1, 2)}

    job = await run_job(store, run)
    assert (job.status, job.result) == (JobStatus.SUCCEEDED, {"sum": 3})


async def test_a_failed_job_ends_with_the_problem(store: JobStore) -> None:
    """The same document a request would be answered with."""

    async def run(_journal: Journal) -> dict[str, Any]:
        raise ServiceError("it broke", remedy="mend it", piece="wheel")

    job = await run_job(store, run)
    assert job.status == JobStatus.FAILED
    assert job.error is not None
    assert (job.error["detail"], job.error["remedy"], job.error["piece"]) == ("it broke", "mend it", "wheel")


async def test_an_unexpected_error_fails_the_job_without_telling_its_text(store: JobStore) -> None:
    """What an unexpected exception says may be secret."""

    async def run(_journal: Journal) -> dict[str, Any]:
        raise RuntimeError("password=hunter2")

    job = await run_job(store, run)
    assert job.status == JobStatus.FAILED
    assert "hunter2" not in str(job.error)


async def test_the_end_of_another_hosts_job_is_noticed_too(database: Database) -> None:
    """Nobody tells of it here: the row is looked at."""

    async def run(_journal: Journal) -> dict[str, Any]:
        return {}

    class Looked(JobStore):
        times = 0

        async def get(self, job_id: str) -> Job:
            self.times += 1
            return await super().get(job_id)

    there, here = JobStore(database, "there"), Looked(database, "here")
    job = await make_job(there)
    async with reconciling(here, run) as reconciler:
        waiting = asyncio.create_task(reconciler.wait(job.id, 10))
        await eventually(lambda: here.times == 2)
        await there.finish(job.id, JobStatus.SUCCEEDED)
        assert (await waiting).status == JobStatus.SUCCEEDED


async def test_a_temporary_error_is_tried_again(store: JobStore) -> None:
    """And each retry is an event."""
    calls = []

    async def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise TemporaryError("not yet")
        return 7

    async def run(journal: Journal) -> dict[str, Any]:
        return {"value": await journal.step(flaky)}

    job = await run_job(store, run)
    assert job.result == {"value": 7}
    assert [event.type for event in await store.events(job.id)].count("step.retried") == 2


async def test_a_temporary_error_that_lasts_fails_the_step(store: JobStore) -> None:
    """Within the time a step may try."""

    async def down() -> None:
        raise TemporaryError("the API server does not answer")

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.step(down)
        return {}

    job = await run_job(store, run, retry_timeout_seconds=0.5)
    assert job.status == JobStatus.FAILED


async def test_the_failure_of_an_optional_step_is_a_warning(store: JobStore) -> None:
    """The job goes on."""

    async def prune_backups() -> int:
        raise ServiceError("could not delete")

    async def run(journal: Journal) -> dict[str, Any]:
        return {"pruned": await journal.optional_step(prune_backups)}

    job = await run_job(store, run)
    assert job.result == {"pruned": None}
    assert [warning["code"] for warning in job.warnings] == ["prune-backups-failed"]


async def test_a_deadline_fails_the_job_and_names_the_step(store: JobStore) -> None:
    """Every wait has a deadline."""

    async def endless() -> None:
        await asyncio.Event().wait()

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.step(endless)
        return {}

    job = await make_job(store, seconds=0.3)
    async with reconciling(store, run) as reconciler:
        ended = await reconciler.wait(job.id, 10)
    assert ended.error is not None
    assert (ended.error["code"], ended.error["step"]) == ("step-timeout", "endless")


async def test_a_cancelled_job_holds_its_slot_until_its_clean_up_has_ended(store: JobStore) -> None:
    """Two jobs never run side by side on one instance."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def run(_journal: Journal) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert (await store.active_job("demo")) is not None
            cleaned.set()
        return {}

    job = await make_job(store)
    async with reconciling(store, run) as reconciler:
        await begun.wait()
        await store.request_cancel(job.id)
        reconciler.wake()
        assert (await reconciler.wait(job.id, 10)).status == JobStatus.CANCELLED
    assert cleaned.is_set()


async def test_a_shutdown_leaves_the_job_active_and_the_next_start_goes_on(store: JobStore) -> None:
    """Finished steps are not run again, the one in flight is."""
    ran: list[str] = []
    go_on = asyncio.Event()

    async def first() -> str:
        ran.append("first")
        return "one"

    async def second() -> str:
        ran.append("second")
        await go_on.wait()
        return "two"

    async def run(journal: Journal) -> dict[str, Any]:
        return {"values": [await journal.step(first), await journal.step(second)]}

    job = await make_job(store)
    async with reconciling(store, run):
        await eventually(lambda: "second" in ran)
    assert (await store.get(job.id)).status == JobStatus.RUNNING
    go_on.set()
    async with reconciling(store, run) as reconciler:
        ended = await reconciler.wait(job.id, 10)
    assert ended.result == {"values": ["one", "two"]}
    assert ran == ["first", "second", "second"]


async def test_a_job_interrupted_too_often_fails(store: JobStore) -> None:
    """A job that kills its process must not do so for ever."""

    async def run(_journal: Journal) -> dict[str, Any]:
        return {}

    job = await make_job(store)
    for _ in range(5):
        await store.begin_attempt(job.id)
    async with reconciling(store, run) as reconciler:
        ended = await reconciler.wait(job.id, 10)
    assert ended.error is not None
    assert ended.error["code"] == "too-many-attempts"


async def test_a_failing_database_is_not_the_jobs_failure(store: JobStore) -> None:
    """The job stays active and is run again."""
    calls = []

    async def run(_journal: Journal) -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 1:
            raise DatabaseError("disk full")
        return {"ok": True}

    job = await run_job(store, run)
    assert job.result == {"ok": True}


async def test_the_next_job_waits_while_the_instance_is_brought_to_rest(store: JobStore) -> None:
    """Going to rest holds the instance's slot."""
    log: list[str] = []
    may_rest = asyncio.Event()

    async def run(_journal: Journal) -> dict[str, Any]:
        log.append("job")
        return {}

    async def rest(_instance: str) -> None:
        log.append("rest begins")
        await may_rest.wait()
        log.append("rest ends")

    first = await make_job(store)
    async with Reconciler(store, {"stop": run}, WorkflowSettings(), rest) as reconciler:
        await reconciler.wait(first.id, 10)
        await eventually(lambda: "rest begins" in log)
        second = await make_job(store)
        reconciler.wake()
        assert (await reconciler.wait(second.id, 0.2)).status == JobStatus.QUEUED
        may_rest.set()
        await reconciler.wait(second.id, 10)
    assert log[:4] == ["job", "rest begins", "rest ends", "job"]


PROGRAM = """
import asyncio, sys
from app.db import Database
from app.jobs.reconciler import Reconciler
from app.jobs.repository import JobStore
from app.settings import WorkflowSettings

async def first() -> str:
    print("first", flush=True)
    return "one"

async def second() -> str:
    print("second", flush=True)
    if sys.argv[2] == "hang":
        await asyncio.Event().wait()
    return "two"

async def run(journal):
    return {"values": [await journal.step(first), await journal.step(second)]}

async def main():
    store = JobStore(Database(sys.argv[1]), "here")
    async with Reconciler(store, {"stop": run}, WorkflowSettings()) as reconciler:
        job = (await store.active_jobs())[0]
        print((await reconciler.wait(job.id, 30)).result, flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_but_the_step_in_flight(
    store: JobStore, database: Database, database_url: str
) -> None:
    """SIGKILL in the second step; the next process runs only that one."""
    await make_job(store)
    await database.close()
    arguments = [sys.executable, "-c", PROGRAM, database_url]
    killed = await asyncio.create_subprocess_exec(*arguments, "hang", stdout=asyncio.subprocess.PIPE)
    assert killed.stdout is not None
    async with asyncio.timeout(20):
        while (await killed.stdout.readline()).strip() != b"second":
            pass
    killed.send_signal(signal.SIGKILL)
    await killed.communicate()
    resumed = await asyncio.create_subprocess_exec(*arguments, "go", stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(20):
        output, _ = await resumed.communicate()
    assert output.decode().splitlines() == ["second", "{'values': ['one', 'two']}"]


async def test_no_more_jobs_are_worked_at_once_than_the_settings_say(store: JobStore) -> None:
    """Further ones wait for their turn, the oldest first; one that is cancelled meanwhile ends without it."""
    opened, begun = asyncio.Event(), []

    async def run(journal: Journal) -> dict[str, Any]:
        begun.append(journal.job.instance)
        await opened.wait()
        return {}

    jobs = [await make_job(store, instance=name) for name in ("first", "second", "third", "fourth", "fifth")]
    async with reconciling(store, run, max_jobs_at_once=2) as reconciler:
        await eventually(lambda: len(begun) == 2)
        await store.request_cancel(jobs[2].id)
        reconciler.wake()
        assert (await reconciler.wait(jobs[2].id, 10)).status == JobStatus.CANCELLED
        assert sorted(begun) == ["first", "second"]
        assert (await store.get(jobs[3].id)).status == JobStatus.QUEUED
        opened.set()
        for job in (jobs[0], jobs[1], jobs[3], jobs[4]):
            assert (await reconciler.wait(job.id, 10)).status == JobStatus.SUCCEEDED
    assert sorted(begun[2:]) == ["fifth", "fourth"]


async def test_a_job_whose_turn_comes_too_late_says_so(store: JobStore) -> None:
    """Waiting for others takes of its time too: nothing is begun that could not be ended."""

    async def run(_journal: Journal) -> dict[str, Any]:
        await asyncio.sleep(1)
        return {}

    await make_job(store, instance="first")
    late = await make_job(store, instance="second", seconds=0.5)
    async with reconciling(store, run, max_jobs_at_once=1) as reconciler:
        ended = await reconciler.wait(late.id, 20)
    assert (ended.status, (ended.error or {})["code"]) == (JobStatus.FAILED, "step-timeout")
    assert "before it could begin" in (ended.error or {})["detail"]


async def test_rest_that_is_asked_for_while_an_instance_is_brought_to_rest_is_not_forgotten(store: JobStore) -> None:
    """What rest means may have changed meanwhile, as by a policy."""
    opened, looks = asyncio.Event(), []

    async def settle(instance: str) -> float:
        looks.append(instance)
        await opened.wait()
        return 0

    async with Reconciler(store, {}, WorkflowSettings(), settle) as reconciler:
        reconciler.settle("demo")
        await eventually(lambda: len(looks) == 1)
        reconciler.settle("demo")
        opened.set()
        await eventually(lambda: len(looks) == 2)
