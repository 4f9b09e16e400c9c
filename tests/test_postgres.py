"""PostgreSQL as the store: what its sessions promise, and what is said when it cannot be used."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from app import postgres
from app.db import Database, DatabaseError
from app.jobs.journal import Journal
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.sandbox.ports import free_port
from tests.databases import ON_POSTGRES
from tests.jobs.conftest import make_job
from tests.jobs.running import reconciling
from tests.postgres import PASSWORD, PostgresServer
from tests.waiting import eventually

pytestmark = pytest.mark.postgres


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A database, closed at the end."""
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def refusal(url: str) -> DatabaseError:
    """What is said when a service begins with this URL; never with the password."""
    async with opened(url) as database:
        with pytest.raises(DatabaseError) as refused:
            await database.migrate()
    assert PASSWORD not in str(refused.value.problem())
    return refused.value


async def value_of(database: Database, query: str) -> Any:
    """The first column of the first row."""
    return await database.read(lambda session: session.execute(text(query)).scalar())


async def test_a_server_that_is_not_there_is_named(postgres_server: PostgresServer) -> None:
    """By its place; and jobs need nobody's help once it is back."""
    port = free_port()
    error = await refusal(postgres_server.url("history").replace(str(postgres_server.port), str(port)))
    assert f"127.0.0.1:{port}/history" in error.detail
    assert "refused" in error.detail
    assert "jobs go on by themselves" in error.remedy


async def test_a_wrong_password_is_said_to_be_one(postgres_server: PostgresServer) -> None:
    """The wrong one is not repeated either: it may be right elsewhere."""
    error = await refusal(postgres_server.url("postgres", password="wrong-4712"))
    assert "password authentication failed" in error.detail
    assert "KECS_STATE_DATABASE_URL" in error.remedy
    assert "4712" not in str(error.problem())


async def test_a_database_that_is_not_there_is_named(postgres_server: PostgresServer) -> None:
    """Making one is its owner's decision."""
    error = await refusal(postgres_server.url("nowhere"))
    assert '"nowhere" does not exist' in error.detail
    assert "Make what is named there" in error.remedy


async def test_a_role_that_may_make_no_tables_is_told_what_it_needs(postgres_server: PostgresServer) -> None:
    """From PostgreSQL 15 on that is how every other role begins."""
    name = postgres_server.database()
    postgres_server.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    error = await refusal(postgres_server.url(name, user="guest"))
    assert "permission denied for schema public" in error.detail
    assert "owner" in error.remedy


async def test_a_server_that_is_too_old_is_refused(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if ours wanted the version 99; nothing is made in it."""
    monkeypatch.setattr(postgres, "OLDEST_VERSION", 99)
    name = postgres_server.database()
    error = await refusal(postgres_server.url(name))
    assert (error.code, "is too old" in error.detail) == ("database-unsuitable", True)
    assert postgres_server.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'", database=name) == []


async def test_a_server_without_a_free_connection_is_said_to_have_none(postgres_server: PostgresServer) -> None:
    """The role's own limit here; the server's reads the same."""
    name = postgres_server.database()
    postgres_server.execute(f"CREATE ROLE narrow LOGIN CONNECTION LIMIT 0 PASSWORD '{PASSWORD}'")
    error = await refusal(postgres_server.url(name, user="narrow"))
    assert "too many connections" in error.detail
    assert "five connections" in error.remedy


async def test_transactions_wait_for_a_connection_and_then_say_so(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of a second stands for the ten. Once there is one again, nothing is left of it."""
    monkeypatch.setattr(postgres, "POOL_SECONDS", 0.1)
    async with opened(postgres_server.url("postgres")) as database:
        held = [database.engine.connect() for _ in range(4)]
        with pytest.raises(DatabaseError, match="QueuePool limit"):
            await value_of(database, "SELECT 1")
        for connection in held:
            connection.close()
        assert await value_of(database, "SELECT 1") == 1


async def test_two_services_that_begin_together_migrate_once(postgres_server: PostgresServer) -> None:
    """The second waits for the first, and finds everything done."""
    url = postgres_server.url(postgres_server.database())
    async with opened(url) as one, opened(url) as two:
        await asyncio.gather(one.migrate(), two.migrate())
        assert await value_of(two, "SELECT count(*) FROM alembic_version") == 1


@ON_POSTGRES
async def test_one_writes_at_a_time_so_events_are_seen_in_the_order_of_their_ids(database_url: str) -> None:
    """Who waited sees what was written meanwhile, and no follower that has seen its event misses the one before."""
    begun, may_end = threading.Event(), threading.Event()

    async with opened(database_url) as one, opened(database_url) as two:
        job = await make_job(JobStore(one, "here"))

        def write_slowly(session: Session) -> None:
            session.execute(
                text("INSERT INTO job_event (job_id, at, type, data) VALUES (:id, now(), 'slow', '{}')"), {"id": job.id}
            )
            begun.set()
            may_end.wait(20)

        slow = asyncio.create_task(one.write(write_slowly))
        await asyncio.to_thread(begun.wait, 20)
        quick = asyncio.create_task(JobStore(two, "here").add_event(job.id, "quick", {}))
        counted = "SELECT count(*) FROM job_event WHERE type = 'slow'"
        reading = asyncio.create_task(two.write(lambda session: session.execute(text(counted)).scalar()))
        await eventually(lambda: wait_for_a_lock(two, 2))
        may_end.set()
        await asyncio.gather(slow, quick)
        assert await reading == 1
        assert [event.type for event in await JobStore(two, "here").events(job.id)] == ["job.created", "slow", "quick"]


async def wait_for_a_lock(database: Database, number: int) -> bool:
    """Whether that many transactions wait for another one."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(await value_of(database, waiting) == number)


@ON_POSTGRES
async def test_a_writer_that_stands_still_holds_the_others_up_only_so_long(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends its transaction: of it nothing is written, and the process is told. Again in tenths."""
    frozen, may_go_on = threading.Event(), threading.Event()

    def freeze(session: Session) -> None:
        try:
            session.execute(text("INSERT INTO host_claim VALUES ('frozen', 1, '', now())"))
        finally:
            frozen.set()
        may_go_on.wait(20)
        session.execute(text("SELECT 1"))

    async with opened(database_url) as one, opened(database_url) as two:
        with monkeypatch.context() as impatient:
            impatient.setitem(postgres.SESSION_SETTINGS, "idle_in_transaction_session_timeout", "100ms")
            task = asyncio.create_task(one.write(freeze))
            await asyncio.to_thread(frozen.wait, 20)
        await make_job(JobStore(two, "there"))
        may_go_on.set()
        with pytest.raises(DatabaseError):
            await task
        assert await value_of(two, "SELECT count(*) FROM host_claim") == 0


@ON_POSTGRES
async def test_who_reads_may_take_its_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of a long history take seconds to add up between two queries."""
    monkeypatch.setitem(postgres.SESSION_SETTINGS, "idle_in_transaction_session_timeout", "50ms")

    def read_slowly(session: Session) -> Any:
        session.execute(text("SELECT 1"))
        time.sleep(0.5)
        return session.execute(text("SELECT 2")).scalar()

    async with opened(database_url) as database:
        assert await database.read(read_slowly) == 2


@ON_POSTGRES
async def test_a_write_is_isolated_as_we_say_on_a_connection_that_has_read(database_url: str) -> None:
    """This server's default would let who waited for the writers' lock see what was before, and fail for ever."""
    query = text("SHOW transaction_isolation")
    async with opened(database_url) as database:
        for _ in range(2):
            assert await database.write(lambda session: session.execute(query).scalar()) == "read committed"
            assert await value_of(database, "SHOW default_transaction_isolation") == "read committed"


@ON_POSTGRES
async def test_a_lock_that_is_not_given_back_is_an_error_after_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on SQLite: ten seconds, here a tenth of one."""
    monkeypatch.setitem(postgres.SESSION_SETTINGS, "lock_timeout", "100ms")
    async with opened(database_url) as database:
        with database.engine.connect() as other:
            other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": postgres.WRITERS})
            with pytest.raises(DatabaseError, match="lock timeout"):
                await make_job(JobStore(database, "here"))
        await make_job(JobStore(database, "here"))


@ON_POSTGRES
async def test_times_come_back_in_utc_whatever_zone_the_server_is_in(database_url: str) -> None:
    """This one is in Tokyo."""
    async with opened(database_url) as database:
        assert await value_of(database, "SHOW TimeZone") == "Asia/Tokyo"
        job = await make_job(JobStore(database, "here"))
        created = (await JobStore(database, "here").get(job.id)).created_at
    assert (created, created.tzinfo) == (job.created_at, UTC)
    assert abs((datetime.now(UTC) - created).total_seconds()) < 3600


@ON_POSTGRES
async def test_a_callers_nul_finds_nothing_and_breaks_nothing(database_url: str) -> None:
    """PostgreSQL's texts cannot hold it, and SQLite's can: the answer is the same."""
    async with opened(database_url) as database:
        assert list(await JobStore(database, "here").list_jobs(instance="de\0mo")) == []


@ON_POSTGRES
async def test_a_job_goes_on_once_a_server_that_crashed_is_back(
    database_url: str, postgres_server: PostgresServer
) -> None:
    """In the same attempt; nothing is powered off before the proof is on record."""
    proving, proven = asyncio.Event(), asyncio.Event()
    log: list[str] = []

    async def prove() -> str:
        proving.set()
        await proven.wait()
        log.append("proven")
        return "proof"

    async def run(journal: Journal) -> dict[str, Any]:
        await journal.step(prove)
        await journal.point_of_no_return()
        log.append("powered off")
        return {}

    async with opened(database_url) as database:
        job = await make_job(JobStore(database, "here"), seconds=60)
        async with reconciling(JobStore(database, "here"), run) as reconciler:
            await proving.wait()
            postgres_server.stop()
            try:
                proven.set()
                await eventually(lambda: asyncio.sleep(0, log == ["proven"]))
                with pytest.raises(DatabaseError):
                    await JobStore(database, "here").get(job.id)
            finally:
                postgres_server.start()
            ended = await reconciler.wait(job.id, 30)
    assert (ended.status, ended.attempt) == (JobStatus.SUCCEEDED, 1)
    assert log == ["proven", "proven", "powered off"]
