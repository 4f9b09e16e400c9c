"""What is over goes after a while, and nothing that anybody still needs."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlmodel import Session, SQLModel

from app.access.audit import AuditStore
from app.db import Database, DatabaseError
from app.history import retention
from app.history import store as queries
from app.history.retention import OnHost, Retention
from app.history.store import HistoryStore
from app.jobs.models import BackupRecord, Job, JobStep
from app.jobs.repository import JobStore, lowest_id_of
from app.jobs.states import JobStatus
from app.jobs.statistics import Statistics
from app.queries import now
from app.settings import HistorySettings
from app.webhooks.models import Delivery
from app.webhooks.outbox import new_delivery
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job
from tests.waiting import eventually

pytestmark = ON_BOTH_DATABASES

Look = Callable[[str], Awaitable[OnHost | None]]
NOTHING = OnHost(due=frozenset(), present=frozenset())


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is there to let through; and there are many batches."""
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(queries, "JOBS_AT_ONCE", 2)
    monkeypatch.setattr(queries, "ROWS_AT_ONCE", 2)


async def no_directory(_instance: str) -> None:
    """Of no instance there is one."""


def on_host(**names: set[str]) -> Look:
    """Every instance has a directory that tells of these backups."""

    async def look(_instance: str) -> OnHost:
        return OnHost(**{"due": frozenset(), "present": frozenset()} | {key: frozenset(v) for key, v in names.items()})

    return look


class Clock:
    """Lets the days that things are kept pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.settings = HistorySettings(keep_days=90, keep_jobs=1)

    async def moment(self) -> datetime:
        """A time between what was before and what comes after, also by their ids: of ids that are made in the same
        millisecond, each has the next one."""
        await asyncio.sleep(0.02)
        at = now()
        await asyncio.sleep(0.002)
        return at

    def set(self, ninety_days_after: datetime) -> None:
        """Make it as late as that."""
        self._monkeypatch.setattr(retention, "now", lambda: ninety_days_after + timedelta(days=90))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Ninety days, and of each instance that there is one job whatever its age."""
    return Clock(monkeypatch)


async def remove(
    store: JobStore, clock: Clock, look: Look = no_directory, before: datetime | None = None
) -> Counter[str]:
    """One round, ninety days after that moment or after now."""
    clock.set(before or await clock.moment())
    removed: Counter[str] = Counter()
    await Retention(HistoryStore(store.database, store.host), clock.settings, look).remove_old(removed)
    return removed


async def ended_job(store: JobStore, instance: str = "demo", backup: str | None = None) -> Job:
    """A stop that has ended, with a step and its events."""
    job = await make_job(store, instance=instance)
    await store.begin_attempt(job.id)
    if backup is not None:
        await store.set_backup(job.id, backup)
    await store.begin_step(job.id, "prove")
    await store.finish(job.id, JobStatus.SUCCEEDED, result={})
    return job


async def back_up(store: JobStore, name: str, job: Job, instance: str = "demo") -> None:
    """A proven backup that a job has made."""
    await store.backups.save(
        BackupRecord(
            host=store.host, instance=instance, name=name, instance_id="i", job_id=job.id, scope="full",
            status="proven", size_bytes=7, seconds=1.5, created_at=now(), proven_at=now(),
        )
    )  # fmt: skip


async def ids(store: JobStore) -> list[str]:
    """Of all jobs, oldest first."""
    return [job.id for job in reversed(await store.list_jobs())]


async def rows(database: Database, name: str) -> int:
    """How many a table has."""
    query = select(func.count()).select_from(SQLModel.metadata.tables[name])
    return await database.read(lambda session: session.execute(query).scalar_one())


async def test_old_jobs_go_with_their_steps_and_events(store: JobStore, database: Database, clock: Clock) -> None:
    """Newer ones stay, and so does one that has not ended, however old it is."""
    for _ in range(5):
        await ended_job(store)
    active = await make_job(store, instance="busy")
    moment = await clock.moment()
    newer = await ended_job(store)
    assert await remove(store, clock, before=moment) == {"jobs": 5}
    assert await ids(store) == [active.id, newer.id]
    assert (await rows(database, "job_step"), len(await store.events(active.id)), len(await store.events(None))) == (
        1, 1, 1 + len(await store.events(newer.id)),
    )  # fmt: skip
    assert await remove(store, clock, before=moment) == {}


async def test_a_job_is_as_old_as_its_end(store: JobStore, clock: Clock) -> None:
    """It may have waited for days before it began."""
    job = await make_job(store)
    moment = await clock.moment()
    await store.finish(job.id, JobStatus.CANCELLED)
    await ended_job(store, "other")
    assert await remove(store, clock, before=moment) == {}


async def test_the_newest_of_each_instance_that_there_is_stay(store: JobStore, clock: Clock) -> None:
    """Two here. Who looks after a year still sees how it went."""
    clock.settings = HistorySettings(keep_jobs=2)
    of_demo = [await ended_job(store) for _ in range(4)]
    of_other = [await ended_job(store, "other") for _ in range(2)]
    assert await remove(store, clock, on_host()) == {"jobs": 2}
    assert await ids(store) == [job.id for job in (*of_demo[2:], *of_other)]


async def test_of_an_instance_that_is_gone_none_stays(store: JobStore, clock: Clock) -> None:
    """Else names that are used once, as in CI, would fill the database all the same."""

    async def look(instance: str) -> OnHost | None:
        return NOTHING if instance == "demo" else None

    await ended_job(store, "gone")
    await ended_job(store, "gone")
    job = await ended_job(store)
    assert await remove(store, clock, look) == {"jobs": 2}
    assert await ids(store) == [job.id]


async def test_the_newest_event_stays_so_that_ids_only_rise(store: JobStore, clock: Clock) -> None:
    """SQLite would give the id of a removed one again, and a follower would not hear of what comes then."""
    slow = await make_job(store, instance="slow")
    await ended_job(store)
    await store.finish(slow.id, JobStatus.FAILED)
    newest = await store.tail.newest_id()
    assert await remove(store, clock) == {"jobs": 1}
    assert await ids(store) == [slow.id]
    await make_job(store)
    assert await store.tail.newest_id() > newest


async def test_another_hosts_jobs_are_its_own(store: JobStore, database: Database, clock: Clock) -> None:
    """It may keep them for longer."""
    there = JobStore(database, "there")
    theirs = await ended_job(there)
    await back_up(there, "b", theirs)
    await there.backups.mark_deleted("demo", "b")
    await AuditStore(database, "there").add(caller="me", method="POST", path="/x", status=202)
    await database.write(lambda session: session.add(message("there", "delivered")))
    await ended_job(store)
    await ended_job(there, "last")
    assert await remove(store, clock) == {"jobs": 1}
    assert (await rows(database, "backup"), await rows(database, "audit_event")) == (1, 1)
    assert (await rows(database, "webhook_delivery"), (await ids(store))[0]) == (1, theirs.id)


async def test_what_made_a_backup_stays_for_as_long_as_its_row(store: JobStore, clock: Clock) -> None:
    """A deleted backup's row goes first, ninety days after it was deleted."""
    made = [await ended_job(store) for _ in range(3)]
    for number, job in enumerate(made):
        await back_up(store, f"b{number}", job)
    await store.backups.mark_deleted("demo", "b0")
    moment = await clock.moment()
    await store.backups.mark_deleted("demo", "b1")
    await ended_job(store, "last")
    assert await remove(store, clock, before=moment) == {"deleted backups": 1, "jobs": 1}
    assert await store.backups.recorded("demo", {"b0", "b1", "b2"}) == {"b1", "b2"}
    assert (await ids(store))[:2] == [made[1].id, made[2].id]


async def test_a_deleted_backup_of_which_something_is_left_stays_deleted(store: JobStore, clock: Clock) -> None:
    """Without its row, the proof on the host would bring it back as a backup that can be restored."""
    await back_up(store, "left", await ended_job(store))
    await store.backups.mark_deleted("demo", "left")
    await ended_job(store, "last")
    assert await remove(store, clock, on_host(present={"left"})) == {}
    assert await remove(store, clock, on_host()) == {"deleted backups": 1}


async def test_what_a_restore_or_a_migration_is_about_stays(store: JobStore, clock: Clock) -> None:
    """Those of other backups go."""
    due, _other, _newest = [await ended_job(store, backup=name) for name in ("due", "other", "newest")]
    await ended_job(store, "last")
    assert await remove(store, clock, on_host(due={"due"})) == {"jobs": 1}
    assert (await ids(store))[0] == due.id


def message(host: str, status: str, job: Job | None = None) -> Delivery:
    """One to a receiver."""
    delivery = new_delivery(host, "job.failed", "{}", url="http://127.0.0.1/", job_id=job.id if job else None)
    delivery.status = status
    return delivery


async def test_messages_go_once_they_are_sent_or_given_up(store: JobStore, database: Database, clock: Clock) -> None:
    """One that waits never does, nor the job it is about."""
    told = [await ended_job(store), await ended_job(store)]
    await ended_job(store, "last")
    waiting = message("here", "pending", told[0])
    old = [message("here", "delivered", told[1]), message("here", "failed"), message("here", "delivered")]
    again = message("here", "delivered")
    moment = await clock.moment()
    again.delivered_at = now()
    await database.write(lambda session: session.add_all([waiting, *old, again, message("here", "failed")]))
    assert await remove(store, clock, before=moment) == {"jobs": 1, "messages": 3}
    assert (await ids(store))[0] == told[0].id
    assert await rows(database, "webhook_delivery") == 3


async def test_old_audit_events_go(store: JobStore, database: Database, clock: Clock) -> None:
    """They come in the order of their ids."""
    audit = AuditStore(database, "here")
    for status in (202, 409, 401):
        await audit.add(caller="me", method="POST", path="/x", status=status)
    moment = await clock.moment()
    await audit.add(caller="me", method="POST", path="/x", status=200)
    assert await remove(store, clock, before=moment) == {"audit events": 3}
    assert [event.status for event in await audit.list(before=None, limit=9)] == [200]


async def test_the_metrics_do_not_fall_when_rows_go(store: JobStore, database: Database, clock: Clock) -> None:
    """Prometheus would take that for a restart; and they are read anew."""
    for number in range(3):
        await back_up(store, f"b{number}", await ended_job(store))
        await store.backups.mark_deleted("demo", f"b{number}")
    await ended_job(store, "last")
    before = await Statistics(store).prometheus()
    assert 'kecs_state_backup_total{result="proven"} 3.0' in before
    assert await remove(store, clock) == {"deleted backups": 3, "jobs": 3}
    assert await Statistics(store).prometheus() == before
    summary = await Statistics(store).summary("demo")
    assert (summary.jobs, summary.backup_seconds.count) == ({"stop": {"succeeded": 3}}, 3)
    assert (summary.backup_seconds.median, summary.stop_seconds.median) == (None, None)
    assert summary.last_proven_at is not None
    assert await rows(database, "backup") == 0


async def test_an_instance_that_cannot_be_looked_at_keeps_everything(
    store: JobStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what is needed of it. The others are none the worse for it."""

    async def look(instance: str) -> OnHost | None:
        if instance == "broken":
            raise PermissionError(13, "config.json")
        return None

    kept = await ended_job(store, "broken")
    await ended_job(store)
    await ended_job(store, "last")
    assert await remove(store, clock, look) == {"jobs": 1}
    assert (await ids(store))[0] == kept.id
    assert "nothing of broken is removed" in caplog.text


async def test_it_begins_with_the_service_and_says_what_it_did(
    store: JobStore, database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line; its owner ends it."""
    caplog.set_level(logging.INFO)
    await ended_job(store)
    last = await ended_job(store, "last")
    clock.set(await clock.moment())

    async def done() -> bool:
        return "removed" in caplog.text

    async with Retention(HistoryStore(database, "here"), clock.settings, no_directory):
        await eventually(done)
    assert await ids(store) == [last.id]
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("removed")]
    assert line == "removed what is over since more than 90 days: 1 jobs"
    assert "remove what is old" not in {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), DatabaseError("the server is away")])
async def test_no_trouble_ends_it(
    store: JobStore, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The next round is as good as the first."""
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.01)
    history, troubles = HistoryStore(database, "here"), [error, error]
    instances = history.instances

    async def troubled() -> Sequence[str]:
        if troubles:
            raise troubles.pop()
        return await instances()

    monkeypatch.setattr(history, "instances", troubled)
    await ended_job(store)
    last = await ended_job(store, "last")
    clock.set(await clock.moment())
    async with Retention(history, clock.settings, no_directory):
        await eventually(lambda: only(store, last))
    assert troubles == []


async def only(store: JobStore, job: Job) -> bool:
    """Whether that job is all there is."""
    return await ids(store) == [job.id]


async def test_a_round_has_a_deadline_and_the_next_goes_on(
    store: JobStore, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch a round here, since each is followed by a pause that is longer than the round."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 30)
    monkeypatch.setattr(retention, "ROUND_SECONDS", 1)
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.01)
    for _ in range(4):
        await ended_job(store)
    last = await ended_job(store, "last")
    clock.set(await clock.moment())
    async with Retention(HistoryStore(database, "here"), clock.settings, no_directory):
        await eventually(lambda: only(store, last))
    assert "more is old than could be removed at once" in caplog.text


async def value(database: Database, statement: str) -> Any:
    """What a statement gives."""
    return await database.read(lambda session: session.execute(text(statement)).scalar())


async def fill(store: JobStore, number: int) -> None:
    """So many ended jobs, each with a step whose result is as long as a stop's."""
    at = now()
    jobs = [
        Job(
            id=f"{lowest_id_of(at)}-{number:04}", type="stop", instance="demo", host=store.host,
            status=JobStatus.SUCCEEDED, request={}, created_at=at, finished_at=at, deadline_at=at,
        )
        for number in range(number)
    ]  # fmt: skip
    steps = [
        JobStep(job_id=job.id, key="list", status="succeeded", started_at=at, result=["uid" * 1000] * 4) for job in jobs
    ]

    def write(session: Session) -> None:
        session.add_all(jobs)
        session.flush()
        session.add_all(steps)

    await store.database.write(write)


async def test_the_file_stops_growing(
    store: JobStore, database: Database, clock: Clock, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that became free are used for what comes next; so the file is as large as the history once was."""
    monkeypatch.setattr(queries, "JOBS_AT_ONCE", 50)
    size = "SELECT page_count FROM pragma_page_count" if database_kind == "sqlite" else DATA_SIZE
    sizes = []
    for _ in range(5):
        await fill(store, 100)
        assert (await remove(store, clock))["jobs"] == 100
        if database_kind == "postgres":  # what the server does by itself after a while
            await database.read(lambda session: session.execute(text("VACUUM job_step, job")))
        sizes.append(await value(database, size))
    assert sizes[0] * 1.1 > sizes[-1] > 0


#: Without what the server notes about the tables, which grows as it likes.
DATA_SIZE = "SELECT pg_total_relation_size('job_step') + pg_total_relation_size('job')"
