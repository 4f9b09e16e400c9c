"""The newest events from memory: whatever a follower asks, the same as from the database."""

import asyncio
from datetime import timedelta

import pytest

from app.db import Database
from app.jobs import tail
from app.jobs.models import Job
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.queries import now
from tests.databases import ON_BOTH_DATABASES

pytestmark = ON_BOTH_DATABASES


async def job_on(store: JobStore, instance: str) -> Job:
    """A job with three events."""
    job = await store.create("backup", instance, {}, now() + timedelta(minutes=1))
    await store.add_event(job.id, "progress", {"instance": instance})
    await store.finish(job.id, JobStatus.SUCCEEDED)
    return job


async def heard(store: JobStore, cursor: int, job_id: str | None = None, instance: str | None = None) -> list[int]:
    """Ids by memory, which must reach back that far."""
    events = await store.tail.after(cursor, job_id, instance)
    assert events is not None
    return [event.id or 0 for event in events]


async def test_memory_says_what_the_database_says(store: JobStore) -> None:
    """Of everything, of one job, of one instance, from any cursor that it reaches back to."""
    await job_on(store, "before")
    begin = await store.tail.newest_id()
    assert await heard(store, begin) == []
    job, _ = [await job_on(store, instance) for instance in ("one", "two")]
    for cursor in range(begin, await store.tail.newest_id() + 1):
        for job_id, instance in ((None, None), (job.id, None), (None, "two")):
            listed = [event.id for event in await store.events(job_id, cursor, instance)]
            assert await heard(store, cursor, job_id, instance) == listed


async def test_memory_says_how_far_back_it_reaches(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what was written before it nor what it had to let go is passed over in silence."""
    monkeypatch.setattr(tail, "KEPT_EVENTS", 4)
    await job_on(store, "before")
    begin = await store.tail.newest_id()
    few = JobStore(store.database, store.host)
    assert await few.tail.after(begin - 1, None, None) is None
    await job_on(few, "one")
    assert len(await heard(few, begin)) == 3
    await job_on(few, "two")
    assert await few.tail.after(begin, None, None) is None
    assert len(await heard(few, begin + 2)) == 4


async def test_many_followers_read_once(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One read for each write, not one for each follower."""
    begin = await store.tail.newest_id()
    await heard(store, begin)
    await job_on(store, "one")
    reads = 0
    read = store.database.read

    async def counted(query):  # type: ignore[no-untyped-def]
        nonlocal reads
        reads += 1
        return await read(query)

    monkeypatch.setattr(store.database, "read", counted)
    everyone = await asyncio.gather(*(heard(store, begin) for _ in range(50)))
    assert {len(events) for events in everyone} == {3}
    assert reads == 1


async def test_what_another_process_wrote_is_heard_in_time(
    store: JobStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writes are not seen here, so memory gets old by itself."""
    monkeypatch.setattr(tail, "FRESH_SECONDS", 0.0)
    begin = await store.tail.newest_id()
    assert await heard(store, begin) == []
    other = JobStore(Database(database_url), "another-host")
    await job_on(other, "elsewhere")
    await other.database.close()
    assert len(await heard(store, begin)) == 3
