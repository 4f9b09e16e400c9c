"""A real database per test, and the store over it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.db import Database
from app.jobs.models import Job
from app.jobs.repository import JobStore
from app.queries import now


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    database = Database(database_url)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    """The jobs of host ``here``."""
    return JobStore(database, "here")


async def make_job(store: JobStore, kind: str = "stop", instance: str = "demo", seconds: float = 60) -> Job:
    """A queued job with a deadline that far away."""
    return await store.create(kind, instance, {}, now() + timedelta(seconds=seconds))
