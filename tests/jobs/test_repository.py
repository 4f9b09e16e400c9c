"""The rules the database itself keeps."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from app.db import Database
from app.errors import JobAlreadyFinished, JobNotFound, JobOfAnotherHost, OperationInProgress, PastPointOfNoReturn
from app.jobs.models import BackupRecord
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.queries import now
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job

pytestmark = ON_BOTH_DATABASES


async def test_a_second_active_job_on_an_instance_is_refused_with_the_first_ones_id(store: JobStore) -> None:
    """One active job per instance, by a unique index and not by a look."""
    first = await make_job(store)
    with pytest.raises(OperationInProgress) as refused:
        await make_job(store, kind="start")
    assert refused.value.extras["job_id"] == first.id


async def test_other_instances_and_hosts_are_free(store: JobStore, database: Database) -> None:
    """The slot belongs to one instance of one host."""
    await make_job(store)
    await make_job(store, instance="other")
    await make_job(JobStore(database, "there"))
    assert len(await store.active_jobs()) == 2


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])
async def test_an_ended_job_frees_its_instance(store: JobStore, status: JobStatus) -> None:
    """Any end does."""
    job = await make_job(store)
    await store.finish(job.id, status)
    assert (await make_job(store)).id > job.id


async def test_a_cancelling_job_still_holds_its_instance(store: JobStore) -> None:
    """Until its task has really ended."""
    job = await make_job(store)
    await store.request_cancel(job.id)
    with pytest.raises(OperationInProgress):
        await make_job(store)


async def test_a_cancel_after_the_point_of_no_return_is_refused(store: JobStore) -> None:
    """The power-off has begun."""
    job = await make_job(store)
    assert await store.pass_point_of_no_return(job.id)
    with pytest.raises(PastPointOfNoReturn):
        await store.request_cancel(job.id)


async def test_a_cancel_before_the_point_of_no_return_wins(store: JobStore) -> None:
    """Whichever transaction comes first decides."""
    job = await make_job(store)
    await store.request_cancel(job.id)
    assert not await store.pass_point_of_no_return(job.id)


async def test_an_ended_job_cannot_be_cancelled(store: JobStore) -> None:
    """409, with how it ended."""
    job = await make_job(store)
    await store.finish(job.id, JobStatus.SUCCEEDED)
    with pytest.raises(JobAlreadyFinished):
        await store.request_cancel(job.id)


async def test_a_job_of_another_host_is_shown_and_left_alone(store: JobStore, database: Database) -> None:
    """A shared history holds the jobs of instances that are not here."""
    job = await make_job(JobStore(database, "there"))
    assert [(shown.id, shown.host) for shown in await store.list_jobs()] == [(job.id, "there")]
    with pytest.raises(JobOfAnotherHost, match="is of host there, and this is host here"):
        await store.request_cancel(job.id)
    assert (await store.get(job.id)).status == JobStatus.QUEUED


async def test_an_end_is_written_once(store: JobStore) -> None:
    """A late second end changes nothing."""
    job = await make_job(store)
    await store.finish(job.id, JobStatus.FAILED, error={"code": "first"})
    await store.finish(job.id, JobStatus.SUCCEEDED)
    assert (await store.get(job.id)).error == {"code": "first"}


async def test_events_rise_and_can_be_read_from_a_cursor(store: JobStore) -> None:
    """A follower continues where it stopped."""
    job = await make_job(store)
    began = await store.begin_step(job.id, "one")
    await store.end_step(job.id, "one", "succeeded", started_at=began, result=1)
    events = await store.events(job.id)
    assert [event.type for event in events] == ["job.created", "step.started", "step.succeeded"]
    assert await store.events(job.id, after=events[1].id or 0) == [events[2]]


async def test_instances_with_recent_jobs_are_those_with_jobs_of_that_time(store: JobStore, database: Database) -> None:
    """Of this host, from a moment on."""
    before = now()
    await make_job(store)
    await make_job(JobStore(database, "there"), instance="elsewhere")
    assert await store.instances_with_jobs_since(before) == {"demo"}
    assert await store.instances_with_jobs_since(now() + timedelta(seconds=1)) == set()


async def test_an_unknown_job_is_said_to_be_unknown(store: JobStore) -> None:
    """404."""
    with pytest.raises(JobNotFound):
        await store.get("nope")


async def test_a_deleted_backup_stays_as_history(store: JobStore) -> None:
    """Its row remains, but it is no longer found as a backup."""
    record = BackupRecord(
        host="here", instance="demo", name="b", instance_id="i", scope="full", status="proven", created_at=now()
    )
    await store.backups.save(record)
    await store.backups.mark_deleted("demo", "b")
    assert await store.backups.find("demo", "b") is None
    page = await store.backups.page("demo", status=None, before=None, limit=10)
    assert ([row.status for row in page], await store.backups.kept("demo")) == (["deleted"], [])
    assert await store.backups.recorded("demo", {"b", "never"}) == {"b"}


async def test_a_long_history_is_not_read_to_know_what_there_is(store: JobStore) -> None:
    """Deleted backups' rows hold their proofs; every stop read them all, several times, and took ever more for it."""
    for number in range(50):
        record = BackupRecord(
            host="here", instance="demo", name=f"b{number:02}", instance_id="i", scope="full", status="proven",
            created_at=now(), proof={"objects": "x" * 1000},
        )  # fmt: skip
        await store.backups.save(record)
        if number < 47:
            await store.backups.mark_deleted("demo", record.name)
    loaded: list[str] = []

    def note(row: BackupRecord, _context: object) -> None:
        loaded.append(row.name)

    event.listen(BackupRecord, "load", note)
    try:
        assert [row.name for row in await store.backups.kept("demo")] == ["b49", "b48", "b47"]
    finally:
        event.remove(BackupRecord, "load", note)
    assert sorted(loaded) == ["b47", "b48", "b49"]
