"""Who works a host's jobs in a shared PostgreSQL: one process, and after a loss of its session never two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.db import Database
from app.jobs import claim as claims
from app.jobs.claim import Claim, HostAlreadyServed, HostTakenOver
from app.jobs.journal import Journal
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.jobs.statistics import Statistics
from tests.databases import ON_POSTGRES
from tests.jobs.conftest import make_job
from tests.jobs.running import reconciling
from tests.postgres import PostgresServer
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for seconds here."""
    monkeypatch.setattr(claims, "TAKE_SECONDS", 0.0)
    monkeypatch.setattr(claims, "KEEP_SECONDS", 0.05)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """The same database as another process sees it."""
    database = Database(database_url)
    yield database
    await database.close()


def end_sessions(server: PostgresServer, database: Database) -> None:
    """Of every process that uses this database."""
    server.end_sessions(str(database.engine.url.database))


@asynccontextmanager
async def overtaken(
    server: PostgresServer, database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Claim]:
    """The first process's claim, after it has lost its session and ``other`` was quicker to take the host."""
    async with Claim(database, "here") as first:
        with monkeypatch.context() as slow:
            slow.setattr(first, "_hold", lambda: False)
            end_sessions(server, database)
            await eventually(lambda: can_be_taken(other))
            async with Claim(other, "here"):
                yield first


async def can_be_taken(database: Database) -> bool:
    """Whether the server has noticed that the session before has ended."""
    try:
        async with Claim(database, "here"):
            return True
    except HostAlreadyServed:
        return False


@ON_POSTGRES
async def test_a_second_process_of_a_host_is_refused_by_the_name_of_the_first(
    database: Database, other: Database
) -> None:
    """Another host is free."""
    async with Claim(database, "here"), Claim(other, "there"):
        with pytest.raises(HostAlreadyServed, match=r"process \d+ on .+ works the jobs of host here since 20") as why:
            await Claim(other, "here").__aenter__()
    assert "host-id" in why.value.remedy


@ON_POSTGRES
async def test_a_host_is_free_as_soon_as_its_process_has_ended(database: Database, other: Database) -> None:
    """And the next one may write."""
    async with Claim(database, "here"):
        pass
    async with Claim(other, "here"):
        await make_job(JobStore(other, "here"))


@ON_POSTGRES
async def test_a_lost_session_is_begun_anew_where_nobody_came_first(
    postgres_server: PostgresServer, database: Database, other: Database
) -> None:
    """The claim stays what it was: the process writes on, and a second one is refused again."""
    async with Claim(database, "here") as claim:
        lost = claim._connection
        end_sessions(postgres_server, database)

        async def held_again() -> bool:
            return claim._connection not in {None, lost}

        await eventually(held_again)
        await make_job(JobStore(database, "here"))
        claim.raise_if_lost()
        with pytest.raises(HostAlreadyServed):
            await Claim(other, "here").__aenter__()


@ON_POSTGRES
async def test_who_was_taken_over_writes_nothing_and_is_told(
    postgres_server: PostgresServer, database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading is harmless and goes on."""
    async with overtaken(postgres_server, database, other, monkeypatch) as first:
        with pytest.raises(HostTakenOver, match="has taken over the jobs of host here"):
            await make_job(JobStore(database, "here"))
        assert list(await JobStore(database, "here").list_jobs()) == []
        async with asyncio.timeout(10):
            await first.until_lost()
        with pytest.raises(HostTakenOver):
            first.raise_if_lost()


@ON_POSTGRES
async def test_who_was_taken_over_in_the_middle_of_a_job_powers_nothing_off(
    postgres_server: PostgresServer, database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that came after it takes the job up and does."""
    proving, proven, powered_off = asyncio.Event(), asyncio.Event(), []

    def story(name: str) -> Any:
        async def prove() -> None:
            proving.set()
            await proven.wait()

        async def run(journal: Journal) -> dict[str, Any]:
            await journal.step(prove)
            await journal.point_of_no_return()
            powered_off.append(name)
            return {}

        return run

    job = await make_job(JobStore(database, "here"))
    async with reconciling(JobStore(database, "here"), story("first")):
        await proving.wait()
        async with overtaken(postgres_server, database, other, monkeypatch):
            proven.set()
            async with reconciling(JobStore(other, "here"), story("second")) as reconciler:
                assert (await reconciler.wait(job.id, 20)).status == JobStatus.SUCCEEDED
    assert powered_off == ["second"]
    assert (await Statistics(JobStore(other, "here")).summary()).jobs == {"stop": {"succeeded": 1}}


async def test_on_sqlite_there_is_nothing_to_claim(database: Database, store: JobStore) -> None:
    """The lock of the instances directory keeps a second process out."""
    async with Claim(database, "here"), Claim(database, "here"):
        await make_job(store)
    assert database.fence is None
