"""The checker itself: a history that keeps the promise is green, and each one that breaks a rule turns it red."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.db import Database
from app.jobs.models import BackupRecord, Job
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.queries import now
from app.sandbox.supervisor import cluster_directory
from tests.chaos.checker import Checker

NAME = "demo"
MAX_AGE_SECONDS = 3.0


class History:
    """Writes what a service would record, and the power log beside it, in the order a test wants."""

    def __init__(self, state_dir: Path, store: JobStore) -> None:
        self.state_dir = state_dir
        self._store = store
        self._power_log = cluster_directory(state_dir, NAME) / "power.log"
        self._power_log.parent.mkdir(parents=True)
        self._power_log.touch()

    async def job(self, kind: str = "stop") -> Job:
        """A job that runs."""
        job = await self._store.create(kind, NAME, {}, now() + timedelta(minutes=1))
        return await self._store.begin_attempt(job.id)

    async def begin(self, job: Job, key: str) -> None:
        """A step that has not ended."""
        await self._store.begin_step(job.id, key)

    async def prove(
        self, job: Job, *, key: str = "prove-backup", finished_at: datetime | None = None, status: str = "succeeded"
    ) -> None:
        """A proof, finished now unless said otherwise, and its record."""
        began = await self._store.begin_step(job.id, key)
        result = {"finished_at": (finished_at or now()).isoformat()}
        await self._store.end_step(job.id, key, status, started_at=began, result=result)

    async def begin_power_off(self, job: Job) -> None:
        """The point of no return."""
        await self._store.pass_point_of_no_return(job.id)

    def power(self, what: str) -> None:
        """A line of the power log, whatever the journal says."""
        with self._power_log.open("a") as log:
            log.write(f"{time.time_ns()} {what}\n")

    def power_off(self) -> None:
        """The power really goes, in one go."""
        self.power("ending")
        self.power("off")

    async def end(self, job: Job, status: JobStatus = JobStatus.SUCCEEDED, **how: Any) -> None:
        """The job's end."""
        await self._store.finish(job.id, status, **how)

    async def good_stop(self) -> None:
        """Everything in its order."""
        job = await self.job()
        await self.prove(job)
        await self.begin_power_off(job)
        self.power_off()
        await self.end(job)

    async def keep_proven(self, job: Job, name: str) -> None:
        """A proven backup in the history."""
        record = BackupRecord(
            host="here", instance=NAME, name=name, instance_id="i", job_id=job.id, scope="full", status="proven",
            created_at=now(), proven_at=now(),
        )  # fmt: skip
        await self._store.database.write(lambda session: session.add(record))

    def checker(self) -> Checker:
        """What the checker reads of it."""
        return Checker(self.state_dir, NAME, proof_max_age_seconds=MAX_AGE_SECONDS)


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    """An empty history over a migrated database where the service would have it."""
    (tmp_path / "state").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'state' / 'state.db'}")
    await database.migrate()
    yield History(tmp_path, JobStore(database, "here"))
    await database.close()


def backup(name: str, job: str, number: str) -> dict[str, Any]:
    """A Backup as the cluster lists it."""
    return {"metadata": {"name": name, "labels": {"kecs-state.dev/job": job, "kecs-state.dev/try": number}}}


async def test_a_history_that_keeps_the_promise_is_green(history: History) -> None:
    """Two stops, one after the other."""
    await history.good_stop()
    await history.good_stop()
    checker = history.checker()
    assert len(checker.power_offs) == 2
    assert checker.unproven_power_offs() == checker.unended_jobs() == checker.failed_jobs() == []


async def test_a_job_that_never_ended_is_red(history: History) -> None:
    """Named with what it still is."""
    job = await history.job()
    assert history.checker().unended_jobs() == [f"{job.id} is running"]


async def test_a_failed_job_is_red_and_a_cancelled_one_is_not(history: History) -> None:
    """A kill is no reason to fail; nobody's cancel is a failure."""
    await history.end(await history.job("start"), JobStatus.CANCELLED)
    await history.end(await history.job(), JobStatus.FAILED, error={"code": "step-timeout"})
    [violation] = history.checker().failed_jobs()
    assert "step-timeout" in violation


def test_two_backups_of_one_try_are_red(history: History) -> None:
    """Of another try or of another job they are not."""
    checker = history.checker()
    good = [backup("a", "one", "1"), backup("b", "one", "2"), backup("c", "two", "1")]
    assert checker.doubled_backups(good) == []
    assert len(checker.doubled_backups([*good, backup("d", "one", "2")])) == 1


async def test_a_power_off_out_of_nowhere_is_red(history: History) -> None:
    """No job at all."""
    history.power_off()
    assert "never begun" in history.checker().unproven_power_offs()[0]


async def test_a_power_off_before_its_beginning_was_recorded_is_red(history: History) -> None:
    """The order is what the promise is about."""
    job = await history.job()
    await history.prove(job)
    history.power_off()
    await history.begin_power_off(job)
    assert "never begun" in history.checker().unproven_power_offs()[0]


async def test_a_second_power_off_on_one_beginning_is_red(history: History) -> None:
    """The proof before the first one says nothing of what came after it."""
    await history.good_stop()
    history.power_off()
    [violation] = history.checker().unproven_power_offs()
    assert "never begun" in violation


async def without_proof(_history: History, _job: Job) -> None:
    """Nothing was proven."""


async def failed_proof(history: History, job: Job) -> None:
    """The proof was made, and failed."""
    await history.prove(job, status="failed")


async def proof_of_an_older_try(history: History, job: Job) -> None:
    """A first try was proven, and a second one was begun since."""
    await history.prove(job)
    await history.begin(job, "create-backup#2")


async def proof_of_another_job(history: History, job: Job) -> None:
    """An earlier job's proof is not this one's."""
    await history.end(job)
    await history.good_stop()


@pytest.mark.parametrize("before", [without_proof, failed_proof, proof_of_an_older_try, proof_of_another_job])
async def test_a_power_off_without_a_proof_of_its_own_is_red(
    history: History, before: Callable[[History, Job], Any]
) -> None:
    """Only a recorded, successful proof of the newest try of the same job counts."""
    job = await history.job()
    await before(history, job)
    if before is proof_of_another_job:
        job = await history.job()
    await history.begin_power_off(job)
    history.power_off()
    [violation] = history.checker().unproven_power_offs()
    assert "no proof" in violation


async def test_a_proof_recorded_after_the_beginning_is_red(history: History) -> None:
    """Even one that says it was finished before."""
    job = await history.job()
    finished = now()
    await history.begin_power_off(job)
    await history.prove(job, finished_at=finished)
    history.power_off()
    assert "no proof" in history.checker().unproven_power_offs()[0]


async def test_a_proof_that_had_grown_old_is_red(history: History) -> None:
    """Its age counts from its end."""
    job = await history.job()
    await history.prove(job, finished_at=now() - timedelta(seconds=MAX_AGE_SECONDS + 1))
    await history.begin_power_off(job)
    history.power_off()
    assert "s old" in history.checker().unproven_power_offs()[0]


async def test_a_power_off_cut_off_half_way_may_be_finished_later(history: History) -> None:
    """The cluster was gone when the service came back, so there was nothing left to prove."""
    job = await history.job()
    await history.prove(job, finished_at=now() - timedelta(seconds=MAX_AGE_SECONDS - 0.5))
    await history.begin_power_off(job)
    history.power("ending")
    await asyncio.sleep(0.6)
    await history.begin_power_off(job)
    history.power("off")
    assert history.checker().unproven_power_offs() == []


async def test_a_power_off_begun_anew_on_a_whole_cluster_needs_a_new_proof(history: History) -> None:
    """The service was killed before anything was ended, and took the old proof for good."""
    job = await history.job()
    await history.prove(job, finished_at=now() - timedelta(seconds=MAX_AGE_SECONDS - 0.5))
    await history.begin_power_off(job)
    history.power("ending")
    await asyncio.sleep(0.6)
    await history.begin_power_off(job)
    history.power_off()
    assert "s old" in history.checker().unproven_power_offs()[0]


async def test_a_failed_job_that_lost_its_cluster_is_excused(history: History) -> None:
    """That one, and no other."""
    failed = []
    for kind in ("stop", "start"):
        failed.append(await history.job(kind))
        await history.end(failed[-1], JobStatus.FAILED, error={"code": "cluster-unreachable"})
    [violation] = history.checker().failed_jobs({failed[0].id})
    assert failed[1].id in violation


async def test_a_job_somebody_was_told_of_must_be_on_record(history: History) -> None:
    """An accepted job is never lost."""
    job = await history.job()
    assert history.checker().lost_jobs([job.id]) == []
    assert len(history.checker().lost_jobs([job.id, "gone"])) == 1


async def test_a_message_nobody_heard_is_red(history: History) -> None:
    """Beginning, proof and end of each job."""
    job = await history.job()
    await history.keep_proven(job, "one")
    await history.end(job)
    heard = {(job.id, kind) for kind in ("job.started", "backup.proven", "job.succeeded")}
    assert history.checker().unheard_messages(heard) == []
    for missing in heard:
        [violation] = history.checker().unheard_messages(heard - {missing})
        assert missing[1] in violation


async def test_a_history_that_is_not_the_buckets_is_red(history: History) -> None:
    """A proven backup that is gone, and one that nobody knows."""
    await history.keep_proven(await history.job(), "one")
    assert history.checker().untrue_history({"one"}) == []
    assert history.checker().untrue_history(set()) == ["one is proven and not in the bucket"]
    assert history.checker().untrue_history({"one", "two"}) == ["two is in the bucket and not in the history"]


async def test_power_offs_of_a_cluster_that_was_made_anew_count(history: History) -> None:
    """Its power log went with it; its lines are handed over."""
    lines = ["1000000000 ending", "2000000000 off"]
    checker = Checker(history.state_dir, NAME, proof_max_age_seconds=MAX_AGE_SECONDS, earlier_power_log=lines)
    [violation] = checker.unproven_power_offs()
    assert "never begun" in violation
