"""A seeded sandbox cluster for tests; gone, with every process, at the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.sandbox import supervisor
from app.sandbox.seed import seed


@asynccontextmanager
async def running_cluster(
    state_dir: Path, name: str = "demo", *, kecs: bool = True, seeded: bool = True
) -> AsyncIterator[None]:
    """A running cluster of that name below ``state_dir``."""
    try:
        await supervisor.create(state_dir, name, kecs=kecs)
        if seeded:
            await seed(state_dir, name)
        yield
    finally:
        await supervisor.delete(state_dir, name)
