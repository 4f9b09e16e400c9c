"""A full disk, a file locked by somebody else, a table that cannot be read: the job waits, and nothing is lost."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from app.db import Database
from app.jobs.journal import Journal
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from tests.jobs.conftest import make_job
from tests.jobs.running import eventually, reconciling

HOLD_THE_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


class Pragmas:
    """Pragmas set on each connection as it is taken from the pool, so that a test can change them meanwhile."""

    def __init__(self, database: Database) -> None:
        self.values: dict[str, int] = {}
        event.listen(database.engine, "checkout", self._set)

    def _set(self, connection: Any, *_rest: object) -> None:
        for name, value in self.values.items():
            connection.execute(f"PRAGMA {name}={value}")


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Another process holds the write lock."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD_THE_LOCK, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        await process.communicate(b"let go")


class PowerOff:
    """A workflow that proves, begins the power-off and powers off; ``go`` lets the proof end."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.proving = asyncio.Event()
        self.powered_off = 0

    async def run(self, journal: Journal) -> dict[str, Any]:
        """The order is what matters: nothing happens that is not on record first."""
        proof = await journal.step(self.prove)
        await journal.point_of_no_return()
        await journal.step(self.power_off)
        return {"proof": len(proof)}

    async def prove(self) -> str:
        """A result of some size."""
        self.proving.set()
        await self.go.wait()
        return "proof" * 10_000

    async def power_off(self) -> None:
        """Counted."""
        self.powered_off += 1


async def test_on_a_full_disk_nothing_is_powered_off_and_the_job_goes_on_afterwards(
    store: JobStore, database: Database
) -> None:
    """The record of the proof does not fit: the job stays active, in the same attempt, until there is room."""
    story, pragmas = PowerOff(), Pragmas(database)
    job = await make_job(store)
    async with reconciling(store, story.run) as reconciler:
        await story.proving.wait()
        pragmas.values["max_page_count"] = 1
        story.go.set()
        assert (await reconciler.wait(job.id, 2.5)).status == JobStatus.RUNNING
        assert story.powered_off == 0
        pragmas.values["max_page_count"] = 100_000
        ended = await reconciler.wait(job.id, 10)
    assert (ended.status, ended.attempt, story.powered_off) == (JobStatus.SUCCEEDED, 1, 1)


async def test_a_lock_held_for_longer_than_a_writer_waits_holds_the_job_up_and_no_more(
    store: JobStore, database: Database, tmp_path: Path
) -> None:
    """Readers go on; the job ends once the other process has let go. A tenth of a second stands for the ten."""
    story, pragmas = PowerOff(), Pragmas(database)
    pragmas.values["busy_timeout"] = 100
    job = await make_job(store)
    async with reconciling(store, story.run) as reconciler:
        await story.proving.wait()
        async with locked(tmp_path / "state.db"):
            story.go.set()
            assert (await reconciler.wait(job.id, 2.5)).status == JobStatus.RUNNING
            assert story.powered_off == 0
        ended = await reconciler.wait(job.id, 10)
    assert (ended.status, ended.attempt, story.powered_off) == (JobStatus.SUCCEEDED, 1, 1)


async def test_a_journal_that_cannot_be_read_uses_no_attempt_up(store: JobStore, database: Database) -> None:
    """However often it is tried: only the end of a process counts."""
    job = await make_job(store)
    await database.write(lambda session: session.execute(text("ALTER TABLE job_step RENAME TO job_step_gone")))
    story = PowerOff()
    story.go.set()
    async with reconciling(store, story.run) as reconciler:
        await asyncio.sleep(2.5)
        await database.write(lambda session: session.execute(text("ALTER TABLE job_step_gone RENAME TO job_step")))
        ended = await reconciler.wait(job.id, 10)
    assert (ended.status, ended.attempt) == (JobStatus.SUCCEEDED, 1)


async def test_the_file_is_free_while_a_step_waits_for_the_network(
    store: JobStore, database: Database, tmp_path: Path
) -> None:
    """No connection is taken from the pool, and anybody else may write at once."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await may_answer.wait()
        writer.write(b"done\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def ask() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"how is it?\n")
        said = (await reader.readline()).decode().strip()
        writer.close()
        return said

    async def run(journal: Journal) -> dict[str, Any]:
        return {"said": await journal.step(ask)}

    job = await make_job(store)
    async with server, reconciling(store, run) as reconciler:
        await asked.wait()
        # The loop looks at the jobs now and then; between two looks nothing is taken.
        await eventually(lambda: database.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]
        other = sqlite3.connect(tmp_path / "state.db", timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.close()
        may_answer.set()
        assert (await reconciler.wait(job.id, 10)).result == {"said": "done"}
