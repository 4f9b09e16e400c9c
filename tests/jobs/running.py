"""Running one workflow on a real reconciler, and waiting for what happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from app.jobs.models import Job
from app.jobs.reconciler import Reconciler, Runner
from app.jobs.repository import JobStore
from app.settings import WorkflowSettings
from tests.jobs.conftest import make_job


@asynccontextmanager
async def reconciling(store: JobStore, run: Runner, **settings: Any) -> AsyncIterator[Reconciler]:
    """A reconciler whose stops are run by ``run``."""
    async with Reconciler(store, {"stop": run}, WorkflowSettings(**settings)) as reconciler:
        yield reconciler


async def run_job(store: JobStore, run: Runner, **settings: Any) -> Job:
    """One job, run to its end."""
    job = await make_job(store)
    async with reconciling(store, run, **settings) as reconciler:
        return await reconciler.wait(job.id, 10)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something has happened, for at most ten seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
