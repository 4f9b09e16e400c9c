"""A million jobs on PostgreSQL and on SQLite side by side; writes docs/scale.md (``make bench-postgres``).

``python -m bench.postgres 50000`` does the same with fewer and writes nothing. A list that takes longer than its goal
ends the command with 1.
"""

import asyncio
import random
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config

from app.db import Database, migrations_directory
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.jobs.statistics import Statistics
from app.queries import now
from bench.history import (
    HOSTS,
    INSTANCES,
    TYPES,
    fill_postgres,
    fill_sqlite,
    job_id,
    jobs,
    sqlite_bytes,
    steps_and_events,
)
from bench.scale import LIST_GOAL_MS, write_report
from tests.postgres import PostgresServer, running_postgres

ROOT = Path("var/bench/scale")
JOBS = 1_000_000
#: So many of them get their steps and events as well; their size is reckoned per job.
JOURNALED = 10_000
LISTS = 400
PAGE = 51
#: The shortest of these counts: what others do on the machine meanwhile says nothing of the database.
TRIES = 3
WRITE_SECONDS = 5.0


@dataclass
class Figures:
    """What was measured on one database; times in milliseconds unless named otherwise."""

    name: str
    jobs: int
    lists: list[float] = field(default_factory=list)
    slowest_list: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    """Per second."""
    bytes: dict[str, float] = field(default_factory=dict)
    """Per job."""

    @property
    def p50(self) -> float:
        """Half of all lists took no longer."""
        return statistics.median(self.lists)

    @property
    def p95(self) -> float:
        """Nineteen of twenty took no longer."""
        return statistics.quantiles(self.lists, n=20)[-1]


@asynccontextmanager
async def filled(
    name: str, url: str, fill: Callable[..., None], size: Callable[[], int], count: int
) -> AsyncIterator[tuple[Database, Figures]]:
    """A database with that many jobs, brought up to date from the schema before the indexes of its lists."""
    figures = Figures(name, count)
    upgrade(url, "0002")
    await timed(figures, "filling", lambda: asyncio.to_thread(fill, "job", jobs(count)))
    database = Database(url)
    await timed(figures, "migrating", database.migrate)
    figures.bytes["the job, with its indexes"] = size() / count
    before = size()
    newest = [row[0] for row in jobs(count)][-JOURNALED:]
    for table, rows in zip(("job_step", "job_event"), steps_and_events(newest), strict=True):
        await asyncio.to_thread(fill, table, iter(rows))
    figures.bytes["its steps and events"] = (size() - before) / len(newest)
    try:
        yield database, figures
    finally:
        await database.close()


def upgrade(url: str, revision: str) -> None:
    """Migrate as far as that."""
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()))
    config.set_main_option("sqlalchemy.url", url)
    command.upgrade(config, revision)


async def timed(figures: Figures, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Seconds of something, noted."""
    began = time.perf_counter()
    await work()
    figures.seconds[name] = time.perf_counter() - began


async def measure_lists(figures: Figures, database: Database, count: int) -> None:
    """Pages with any filters, rare and common values, from the newest job or from anywhere."""
    chance, store = random.Random(7), JobStore(database, HOSTS[0])  # noqa: S311 - the same lists each time
    slowest = 0.0
    for _ in range(LISTS):
        wanted = {
            "instance": chance.choice([None, "demo", chance.choice(INSTANCES)]),
            "status": chance.choice([None, "succeeded", "failed", "cancelled", "running"]),
            "kind": chance.choice([None, *TYPES]),
        }
        number = chance.randrange(count)
        before = chance.choice([None, job_id(next(jobs(1))[12] + timedelta(minutes=number), number)])
        took = float("inf")
        for _ in range(TRIES):
            began = time.perf_counter()
            found = await store.list_jobs(**wanted, before=before, limit=PAGE)
            took = min(took, (time.perf_counter() - began) * 1000)
        figures.lists.append(took)
        if took > slowest:
            slowest = took
            filters = ", ".join(f"{key}={value}" for key, value in wanted.items() if value) or "no filter"
            figures.slowest_list = f"{filters}{', from the middle' * bool(before)}: {len(found)} found"


async def measure_service(figures: Figures, database: Database) -> None:
    """What a service does besides: look for its jobs each second, begin, and tell its figures."""
    store = JobStore(database, HOSTS[0])
    await timed(figures, "the reconciler's look, once a second", store.active_jobs)
    await timed(figures, "/metrics, 50,000 jobs of this host", Statistics(store).prometheus)


async def measure_writes(figures: Figures, database: Database, url: str) -> None:
    """Jobs accepted and ended one after the other; steps written by one process and by four at once."""
    store, ended = JobStore(database, HOSTS[0]), 0
    until = time.perf_counter() + WRITE_SECONDS
    while time.perf_counter() < until:
        job = await store.create("stop", f"new-{ended}", {}, now() + timedelta(minutes=15))
        await store.finish(job.id, JobStatus.SUCCEEDED, result={})
        ended += 1
    figures.rates["jobs accepted and ended, one after the other"] = ended / WRITE_SECONDS
    for processes in (1, 4):
        written = await asyncio.gather(*(write_in_a_process(url, number) for number in range(processes)))
        name = f"transactions of steps, {processes} process{'es' * (processes > 1)}"
        figures.rates[name] = sum(written) / WRITE_SECONDS


async def write_in_a_process(url: str, number: int) -> int:
    """Transactions that another process writes in the time given."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.postgres", "writer", url, str(number), stdout=asyncio.subprocess.PIPE
    )
    return int((await process.communicate())[0])


async def write_steps(url: str, number: str) -> None:
    """That other process: one job, whose steps begin and end until the time is over."""
    database = Database(url)
    store, written = JobStore(database, f"writer-{number}"), 0
    job = await store.create("stop", f"instance-{time.time_ns()}", {}, now() + timedelta(minutes=15))
    until = time.perf_counter() + WRITE_SECONDS
    while time.perf_counter() < until:
        began = await store.begin_step(job.id, f"step-{written}")
        await store.end_step(job.id, f"step-{written}", "succeeded", started_at=began, result={"a": "result"})
        written += 2
    await database.close()
    sys.stdout.write(f"{written}\n")


async def measure(name: str, url: str, fill: Callable[..., None], size: Callable[[], int], count: int) -> Figures:
    """Everything, on one database."""
    async with filled(name, url, fill, size, count) as (database, figures):
        await measure_lists(figures, database, count)
        await measure_service(figures, database)
        await measure_writes(figures, database, url)
    sys.stdout.write(f"{name}: a list takes {figures.p50:.1f} ms, {figures.p95:.1f} ms at the 95th percentile\n")
    return figures


async def main(count: int) -> int:
    """Measure both, one after the other; gives the exit code."""
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    path = (ROOT / "state.db").absolute()
    sqlite = await measure(
        "SQLite", f"sqlite:///{path}", lambda table, rows: fill_sqlite(path, table, rows),
        lambda: sqlite_bytes(path), count,
    )  # fmt: skip
    with running_postgres(()) as server:
        postgres = await measure_postgres(server, count)
    if count == JOBS:
        write_report(postgres, sqlite)
    shutil.rmtree(ROOT)
    return 0 if max(postgres.p95, sqlite.p95) <= LIST_GOAL_MS else 1


async def measure_postgres(server: PostgresServer, count: int) -> Figures:
    """On a server as it comes, that writes through to the disk."""
    name = server.database()
    url = server.url(name)

    def fill(table: str, rows: object) -> None:
        fill_postgres(url, table, rows)
        server.execute(f"VACUUM ANALYZE {table}", database=name)  # what the server itself would do soon

    def size() -> int:
        return int(server.execute("SELECT pg_database_size(%s)", name)[0][0])

    version = server.execute("SHOW server_version")[0][0].split()[0]
    return await measure(f"PostgreSQL {version}", url, fill, size, count)


if __name__ == "__main__":
    if sys.argv[1:2] == ["writer"]:
        asyncio.run(write_steps(*sys.argv[2:]))
    else:
        sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS)))
