"""The journal of a job, read from the database's file: there in milliseconds, and also while no service runs."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path


def has_step(state_dir: Path, job_id: str, step: str) -> bool:
    """Whether a step of a job has begun."""
    return _is_there(state_dir, "SELECT 1 FROM job_step WHERE job_id = ? AND key = ?", job_id, step)


async def until_step(state_dir: Path, job_id: str, step: str, *, succeeded: bool = False) -> None:
    """Until a step of a job has begun (or has succeeded), or the job has ended."""
    query = """SELECT 1 FROM job_step WHERE job_id = ? AND key = ? AND status LIKE ?
               UNION SELECT 1 FROM job WHERE id = ? AND finished_at IS NOT NULL"""
    async with asyncio.timeout(60):
        while not _is_there(state_dir, query, job_id, step, "succeeded" if succeeded else "%", job_id):
            await asyncio.sleep(0.005)


def _is_there(state_dir: Path, query: str, *values: str) -> bool:
    with contextlib.closing(sqlite3.connect(state_dir / "state" / "state.db")) as database:
        return database.execute(query, values).fetchone() is not None
